//! What the console is told, and what it shows and does.
//!
//! The one place that knows both the analysis and the console's words for it.

use tracing::info;
use url::Host;

use super::{Decision, Service, lock};
use crate::clock::Moment;
use crate::console::{ConsoleState, Held, InForce, Policy, Row, View, plot};
use crate::crawlers::CRAWLER_POLICY;
use crate::entity::Entity;
use crate::journal::{Ending, Journal, Sighting, Verdict, Visitor, second};
use crate::mitigation::Mitigation;
use crate::policy::{Effect, POLICIES};
use crate::wire::Action;

/// What tells one view from the next; whoever saw one need not see it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edition {
    version: u64,
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
        let now = self.clock.now();
        let (mitigations, held) = self.in_force(console, now);
        let journal = lock(&console.journal);
        let moves = held > 0 || !journal.rates().is_quiet(now);
        let edition = Edition { version: journal.version(), second: moves.then(|| second(now)) };
        if seen == Some(edition) {
            return None;
        }
        let rows = journal.rows().rev().map(|row| Row::new(row, console.time_of(row.at))).collect();
        let plot = plot(journal.rates(), now);
        drop(journal);
        let view = View {
            url: self.public_url.with_path("").unwrap_or_default(),
            plot,
            rows,
            held: held.to_string(),
            more: match held - mitigations.len() {
                0 => String::new(),
                more => format!("and {more} that began before these"),
            },
            mitigations,
            policies: policies(),
            faults: Vec::new(),
        };
        Some((view, edition))
    }

    /// Lifts the mitigation that an id of a view names. One that is over already is as good.
    pub(crate) fn lift(&self, id: &str) {
        let Some(console) = self.console() else { return };
        let Some(held) = lock(&console.active).find(id) else { return };
        lock(&self.analysis).lift(held.entity, held.policy);
        info!(entity = %held.entity, policy = held.policy, "a mitigation is lifted by hand");
        self.ended(held.entity, Ending::Lifted);
    }

    pub(super) fn note_event(&self, whose: Sighting<'_>, kind: &str, repeated: bool) {
        self.note(|journal, now| journal.event(whose, kind, repeated, now));
    }

    pub(super) fn note_decision(&self, whose: Sighting<'_>, decision: &Decision) {
        let mitigation = decision.standing.mitigation;
        let reason = mitigation.map(|mitigation| mitigation.reason());
        let verdict = Verdict {
            action: match mitigation.map(|mitigation| mitigation.policy.effect) {
                None => Action::Allow,
                Some(Effect::Challenge) => Action::Challenge,
                Some(Effect::Block) => Action::Block,
            },
            reason: reason.as_deref(),
            policy: mitigation.map(|mitigation| mitigation.policy.name),
            score: decision.standing.score(),
        };
        self.note(|journal, now| journal.decision(whose, verdict, now));
    }

    pub(super) fn begun(&self, entity: Entity, whose: Sighting<'_>, mitigation: &Mitigation) {
        let (Some(console), Some(visitor)) = (self.console(), Visitor::new(&whose)) else { return };
        let policy = mitigation.policy.name;
        let reason = mitigation.reason();
        self.note(|journal, now| journal.begun(&visitor, policy, &reason, now));
        lock(&console.active).begin(Held { entity, policy }, visitor);
    }

    /// Notes what is no longer in force against an entity.
    pub(super) fn ended(&self, entity: Entity, how: Ending) {
        if let Some(console) = self.console() {
            self.settle(console, how, self.clock.now(), |held| held.entity == entity);
        }
    }

    /// The newest mitigations in force, and how many there are.
    fn in_force(&self, console: &ConsoleState, now: Moment) -> (Vec<InForce>, usize) {
        self.settle(console, Ending::Expired, now, |_| true);
        let active = lock(&console.active);
        let analysis = lock(&self.analysis);
        let shown = active.iter().take(SHOWN).filter_map(|(held, visitor)| {
            let in_force = analysis.in_force(held.entity, now);
            let mitigation = in_force.iter().find(|one| one.policy.name == held.policy)?;
            let effect = effect(mitigation.policy.effect);
            let (reason, remaining) = (mitigation.reason(), mitigation.remaining(now));
            Some(InForce::new(held.id(), effect, visitor, held.policy, reason, remaining))
        });
        (shown.collect(), active.iter().len())
    }

    /// Forgets, of those asked for, what is over, and notes it.
    fn settle(
        &self,
        console: &ConsoleState,
        how: Ending,
        now: Moment,
        asked: impl Fn(Held) -> bool,
    ) {
        let mut active = lock(&console.active);
        let analysis = lock(&self.analysis);
        let is_held = |held: Held| {
            analysis.in_force(held.entity, now).iter().any(|one| one.policy.name == held.policy)
        };
        let over = active.settle(|held| asked(held) && !is_held(held));
        drop((active, analysis));
        for (held, visitor) in over {
            self.note(|journal, now| journal.ended(&visitor, held.policy, how, now));
        }
    }

    fn note(&self, record: impl FnOnce(&mut Journal, Moment)) {
        let Some(console) = self.console() else { return };
        let mut journal = lock(&console.journal);
        // The time is read under the lock, so that rows are in order.
        record(&mut journal, self.clock.now());
    }
}

/// The policies in force, in the order of what they do.
fn policies() -> Vec<Policy> {
    let learnt = POLICIES.iter().rev().map(|policy| {
        let (effect, tone) = effect(policy.effect);
        let (window, hold) = (policy.window.as_secs(), policy.hold.as_secs());
        let description = format!(
            "more than {} events of a visitor in {window} s, until {hold} s after the last in \
             excess",
            policy.limit
        );
        Policy { id: policy.name.to_owned(), tone, effect, description }
    });
    let crawlers = Policy {
        id: CRAWLER_POLICY.to_owned(),
        tone: "event",
        effect: "monitor",
        description: "a user agent that names a known crawler".to_owned(),
    };
    learnt.chain([crawlers]).collect()
}

/// What is done, and its colour.
fn effect(effect: Effect) -> (&'static str, &'static str) {
    match effect {
        Effect::Challenge => ("challenge", "challenge"),
        Effect::Block => ("block", "block"),
    }
}

/// The most mitigations that a view shows.
const SHOWN: usize = 50;
