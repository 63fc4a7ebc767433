//! What the console is told, and what it shows.
//!
//! The one place that knows both the engine and the console's words for it.

use std::path::Path;

use url::Host;

use super::{Service, lock};
use crate::clock::Moment;
use crate::console::journal::{Journal, Verdict, second};
use crate::console::{ConsoleState, Fault, Policy, Row, View, more, plot};
use crate::engine::Standing;
use crate::engine::facts::Facts;
use crate::engine::mitigation::Mitigation;
use crate::engine::policy::Effect;
use crate::http::wire::Action;

/// What tells one view from the next; whoever saw one need not see it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edition {
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

    /// Whether this is the host of the public URL.
    pub(crate) fn has_host(&self, host: &Host) -> bool {
        self.public_url.has_host(host)
    }

    /// What there is to see, unless it is the edition that was seen.
    pub(crate) fn look(&self, seen: Option<Edition>) -> Option<(View, Edition)> {
        let console = self.console()?;
        let (mitigations, held) = self.in_force();
        let faults = self.faults.version();
        let journal = lock(&console.journal);
        let now = self.clock.now();
        let moves = held > 0 || !journal.rates().is_quiet(now);
        let second = moves.then(|| second(now));
        let edition = Edition { journal: journal.version(), faults, second };
        if seen == Some(edition) {
            return None;
        }
        let rows =
            journal.rows().rev().map(|row| Row::new(row, self.clock.time_of(row.at))).collect();
        let plot = plot(journal.rates(), now);
        let mistake = journal.mistake().unwrap_or_default().to_owned();
        drop(journal);
        let (policies, faults) = (self.policies(), self.faults.list());
        let view = View {
            url: self.public_url.with_path("").unwrap_or_default(),
            plot,
            rows,
            held: held.to_string(),
            more: more(mitigations.len(), held, "that began before these"),
            mitigations: mitigations.into_iter().map(Into::into).collect(),
            more_policies: more(SHOWN, policies.len(), "further policies"),
            policies: policies.into_iter().take(SHOWN).map(Policy::from).collect(),
            mistake,
            more_faults: more(SHOWN, faults.len(), "further faults"),
            faults: faults.into_iter().take(SHOWN).map(Fault::from).collect(),
        };
        Some((view, edition))
    }

    pub(super) fn note_event(&self, facts: &Facts<'_>, repeated: bool) {
        let kind = facts.kind.unwrap_or_default();
        self.note(|journal, now| journal.event(facts.into(), kind, repeated, now));
    }

    pub(super) fn note_decision(&self, facts: &Facts<'_>, standing: &Standing) {
        let (held, monitored) = (standing.held.as_ref(), standing.monitored.as_ref());
        let verdict = Verdict {
            action: match held.map(|held| held.remedy.effect()) {
                None | Some(Effect::Monitor) => Action::Allow,
                Some(Effect::Challenge) => Action::Challenge,
                Some(Effect::Block) => Action::Block,
            },
            reason: held.map(|held| held.reason.as_str()),
            policy: held.and_then(|held| held.policy.as_deref()),
            monitor: monitored.map(|monitored| monitored.policy.as_str()),
            score: standing.score,
        };
        self.note(|journal, now| journal.decision(facts.into(), verdict, now));
    }

    pub(super) fn note_begun(&self, held: &Mitigation) {
        self.note(|journal, now| journal.begun(held, now));
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

/// The most policies, and the most faults, that a view shows.
const SHOWN: usize = 50;
