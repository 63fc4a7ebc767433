//! What people and tests do with mitigations and policies, among what the service does.

use std::io;

use tracing::{info, warn};

use super::{Service, lock};
use crate::engine::policy::{MitigationAction, Task};
use crate::engine::visitor::Visitor;
use crate::engine::{MitigationSummary, PolicySummary};
use crate::policy_file::Content;

impl Service {
    /// Blocks a visitor until that is lifted.
    #[track_caller]
    pub(crate) fn block(&self, visitor: &Visitor) {
        self.put(visitor, MitigationAction::Block);
    }

    /// Challenges a visitor until that is lifted, or the challenge solved.
    #[track_caller]
    pub(crate) fn challenge(&self, visitor: &Visitor) {
        self.put(visitor, MitigationAction::Challenge(Task::ProofOfWork(None)));
    }

    /// Lifts all that a visitor may meet.
    #[track_caller]
    pub(crate) fn lift_all(&self, visitor: &Visitor) {
        lock(&self.analysis).lift_all(visitor, self.clock.now());
        self.note_ended();
    }

    /// The mitigations in force, the newest first and as many as a person looks at, and how many
    /// there are in all.
    pub(crate) fn in_force(&self) -> (Vec<MitigationSummary>, usize) {
        let in_force = lock(&self.analysis).in_force(self.clock.now());
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
        let read = self.source.read(content).map(|policies| lock(&self.analysis).replace(policies));
        self.note_reload(path, read.as_ref().err());
        self.note_ended();
        read.inspect(|()| info!(file = %path.display(), "the policies are read again"))
    }

    #[track_caller]
    fn put(&self, visitor: &Visitor, action: MitigationAction) {
        let begun = lock(&self.analysis).put(visitor, action);
        self.note_begun(&begun);
        self.note_ended();
    }
}
