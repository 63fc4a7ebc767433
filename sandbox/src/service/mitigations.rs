//! What people and tests do with mitigations and policies, among what the service does.

use std::io;

use tracing::{info, warn};

use super::Service;
use crate::engine::policy::{MitigationAction, Task};
use crate::engine::visitor::Target;
use crate::engine::{MitigationSummary, PolicySummary};
use crate::lock::lock;
use crate::policy_file::Content;

impl Service {
    /// Blocks a visitor until that is lifted.
    pub(crate) fn block(&self, target: &Target) {
        self.put(target, MitigationAction::Block);
    }

    /// Challenges a visitor until that is lifted, or the challenge solved.
    pub(crate) fn challenge(&self, target: &Target) {
        self.put(target, MitigationAction::Challenge(Task::ProofOfWork(None)));
    }

    /// Lifts all that a visitor may meet.
    pub(crate) fn lift_all(&self, target: &Target) {
        lock(&self.analysis).lift_all(target, self.clock.now());
        self.note_ended();
    }

    /// The newest mitigations in force, the newest first, and how many there are in all.
    pub(crate) fn in_force(&self, most: usize) -> (Vec<MitigationSummary>, usize) {
        let in_force = lock(&self.analysis).in_force(most, self.clock.now());
        self.note_ended();
        in_force
    }

    /// Lifts one of the mitigations in force, and tells whether it was.
    pub(crate) fn lift(&self, id: u64) -> bool {
        let lifted = lock(&self.analysis).lift(id, self.clock.now());
        if lifted {
            info!(id, "a mitigation is lifted by hand");
        }
        self.note_ended();
        lifted
    }

    /// The policies in force.
    pub(crate) fn policies(&self) -> Vec<PolicySummary> {
        lock(&self.analysis).policies()
    }

    /// Reads the policy file again and applies it, or keeps the policies that are in force.
    pub(crate) fn reload_policies(&self) -> io::Result<()> {
        self.reload(&mut lock(&self.content))
    }

    /// Does so unless the file was read with this content already. Nobody waits for the outcome.
    pub(crate) fn reload_changed_policies(&self, seen: &Content) {
        let mut content = lock(&self.content);
        if *content != *seen
            && let Err(error) = self.reload(&mut content)
        {
            warn!(%error, "the policies stay as they were");
        }
    }

    /// Reads the file and applies it, one after the other: what was read first is not applied last.
    fn reload(&self, content: &mut Content) -> io::Result<()> {
        let Some(path) = self.source.file() else {
            let why = "these policies come from no file; give one with --policies or \
                       SandboxBuilder::policies_file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        };
        let read = self.source.read_again(content);
        let read = read.map(|policies| lock(&self.analysis).replace(policies));
        self.note_reload(path, read.as_ref().err());
        self.note_ended();
        read.inspect(|()| info!(file = %path.display(), "the policies are read again"))
    }

    fn put(&self, target: &Target, action: MitigationAction) {
        let begun = lock(&self.analysis).put(target, action);
        self.note_begun(&begun);
        self.note_ended();
    }
}
