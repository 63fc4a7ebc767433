//! What the console is told, and what it shows.
//!
//! The one place that knows both the engine and the console's words for it.

use std::path::Path;

use super::Service;
use crate::clock::Moment;
use crate::console::journal::{Journal, Verdict, second};
use crate::console::{ConsoleState, FaultView, PolicyView, RowView, View, more, plot};
use crate::engine::Assessment;
use crate::engine::attributes::Attributes;
use crate::engine::mitigation::Mitigation;
use crate::lock::lock;

/// What tells one view from the next; whoever saw one need not see it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ViewVersion {
    journal: u64,
    faults: u64,
    /// Differs while anything in the view moves with the time.
    second: Option<u64>,
}

impl Service {
    /// What the console knows, if there is a console.
    pub(crate) fn console(&self) -> Option<&ConsoleState> {
        self.console.as_ref()
    }

    /// What there is to see, unless it is the version that was seen.
    pub(crate) fn look(&self, seen: Option<ViewVersion>) -> Option<(View, ViewVersion)> {
        let console = self.console()?;
        let (mitigations, in_force) = self.in_force(SHOWN);
        let faults = self.faults.version();
        let journal = lock(&console.journal);
        let now = self.clock.now();
        let moves = in_force > 0 || !journal.rates().is_quiet(now);
        let second = moves.then(|| second(now));
        let version = ViewVersion { journal: journal.version(), faults, second };
        if seen == Some(version) {
            return None;
        }
        let rows =
            journal.rows().rev().map(|row| RowView::new(row, self.clock.time_of(row.at))).collect();
        let plot = plot(journal.rates(), now);
        let mistake = journal.mistake().unwrap_or_default().to_owned();
        drop(journal);
        let (policies, faults) = (self.policies(), self.faults.list());
        let view = View {
            url: self.public_url.with_path("").unwrap_or_default(),
            plot,
            rows,
            held: in_force.to_string(),
            more: more(mitigations.len(), in_force, "that began before these"),
            mitigations: mitigations.into_iter().map(Into::into).collect(),
            more_policies: more(SHOWN, policies.len(), "further policies"),
            policies: policies.into_iter().take(SHOWN).map(PolicyView::from).collect(),
            mistake,
            more_faults: more(SHOWN, faults.len(), "further faults"),
            faults: faults.into_iter().take(SHOWN).map(FaultView::from).collect(),
        };
        Some((view, version))
    }

    pub(super) fn note_event(&self, attributes: &Attributes<'_>, repeated: bool) {
        let kind = attributes.kind.unwrap_or_default();
        self.note(|journal, now| journal.event(attributes.into(), kind, repeated, now));
    }

    pub(super) fn note_decision(&self, attributes: &Attributes<'_>, assessment: &Assessment) {
        let (mitigation, monitored) =
            (assessment.mitigation.as_ref(), assessment.monitored.as_ref());
        let verdict = Verdict {
            action: assessment.action(),
            reason: mitigation.map(|mitigation| mitigation.reason.as_str()),
            policy: mitigation.and_then(|mitigation| mitigation.policy.as_deref()),
            monitor: monitored.map(|monitored| monitored.policy.as_str()),
            score: assessment.score,
        };
        self.note(|journal, now| journal.decision(attributes.into(), verdict, now));
    }

    pub(super) fn note_begun(&self, mitigation: &Mitigation) {
        self.note(|journal, now| journal.begun(mitigation, now));
    }

    /// Notes which mitigations have ended. Nobody else has to know, so it may be done later.
    pub(super) fn note_ended(&self) {
        let ended = lock(&self.analysis).take_ended();
        for ended in &ended {
            self.note(|journal, now| journal.ended(ended, now));
        }
    }

    pub(super) fn note_reload(&self, file: &Path, mistake: Option<&std::io::Error>) {
        let mistake = mistake.map(ToString::to_string);
        let file = file.to_string_lossy();
        self.note(|journal, now| journal.reloaded(&file, mistake.as_deref(), now));
    }

    pub(super) fn note_advance(&self) {
        self.note(|journal, _| journal.advanced());
    }

    fn note(&self, record: impl FnOnce(&mut Journal, Moment)) {
        let Some(console) = self.console() else { return };
        let mut journal = lock(&console.journal);
        // The time is read under the lock, so that rows are in order.
        record(&mut journal, self.clock.now());
    }
}

/// The most of each list that a view shows.
const SHOWN: usize = 50;
