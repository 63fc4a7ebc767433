//! What happened lately, for whoever looks at the console.
//!
//! What a visitor does again within a moment counts into the same row, and a moment has few rows.
//! So a record costs the same at any load, and memory is bounded whoever calls.

mod excerpt;
mod rates;
mod row;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::time::Duration;

pub(crate) use self::excerpt::excerpt;
pub(crate) use self::rates::{Rates, SECONDS, TrafficCounts, second};
pub(crate) use self::row::{Class, Observation, Place, Row, Subject, Verdict, What};
use crate::clock::Moment;
use crate::engine::Action;
use crate::engine::mitigation::{Ended, Mitigation};

/// The rows of late, and how much happened in each second.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Oldest first, with numbers that follow one another.
    rows: VecDeque<Row>,
    /// The number of the next row.
    next: u64,
    tick: Moment,
    /// The rows that the current tick may still count into, by the hash of what they are about.
    open: HashMap<u64, u64>,
    opened: [usize; Class::COUNT],
    hasher: RandomState,
    rates: Rates,
    /// Why the policies were refused when they were last read.
    mistake: Option<String>,
    version: u64,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            rows: VecDeque::with_capacity(ROWS),
            next: 0,
            tick: Moment::START,
            open: HashMap::new(),
            opened: [0; Class::COUNT],
            hasher: RandomState::new(),
            rates: Rates::default(),
            mistake: None,
            version: 0,
        }
    }

    /// Notes an event; one that was counted before is `repeated`.
    pub(crate) fn event(
        &mut self,
        observation: Observation<'_>,
        kind: &str,
        repeated: bool,
        now: Moment,
    ) {
        self.rates.at(now).events += 1;
        let hash = self.hasher.hash_one(observation.place());
        let topic = (observation.key(), beginning(kind), repeated);
        let what = || What::Event {
            kind: excerpt(kind, SHORT),
            place: Place::new(&observation, hash),
            repeated,
        };
        let subject = || observation.into();
        let entry = Entry { class: Class::Event, topic, subject, what };
        self.note(entry, now, |what| {
            if let What::Event { place, .. } = what {
                place.others |= place.hash != hash;
            }
        });
    }

    /// Notes a decision.
    pub(crate) fn decision(
        &mut self,
        observation: Observation<'_>,
        verdict: Verdict<'_>,
        now: Moment,
    ) {
        let Verdict { action, reason, policy, monitor, score } = verdict;
        let counts = self.rates.at(now);
        let (class, count) = match action {
            Action::Allow => (Class::Allowed, &mut counts.allowed),
            Action::Challenge => (Class::Mitigated, &mut counts.challenged),
            Action::Block => (Class::Mitigated, &mut counts.blocked),
        };
        *count += 1;
        let hash = self.hasher.hash_one(observation.place());
        let name = |policy: Option<&str>| policy.map(|policy| excerpt(policy, SHORT));
        let what = || What::Decision {
            action,
            place: Place::new(&observation, hash),
            reason: excerpt(reason.unwrap_or(""), LONG),
            policy: name(policy),
            monitor: name(monitor),
            score,
        };
        let topic = (observation.key(), action, policy, monitor);
        let subject = || observation.into();
        self.note(Entry { class, topic, subject, what }, now, |what| {
            if let What::Decision { place, reason: shown, score: shown_score, .. } = what {
                place.others |= place.hash != hash;
                *shown_score = score;
                // The newest, which is most often the same.
                let reason = reason.unwrap_or("");
                if shown != reason {
                    *shown = excerpt(reason, LONG);
                }
            }
        });
    }

    /// Notes that a mitigation begins.
    pub(crate) fn begun(&mut self, mitigation: &Mitigation, now: Moment) {
        let topic = (mitigation.entity, mitigation.policy(), "begun");
        let what = || What::Begun { reason: excerpt(&mitigation.reason(), LONG) };
        let subject = || Subject::entity(mitigation);
        self.note(Entry { class: Class::Mitigation, topic, subject, what }, now, |_| ());
    }

    /// Notes that a mitigation is no longer in force.
    pub(crate) fn ended(&mut self, ended: &Ended, now: Moment) {
        let Ended { mitigation, how } = ended;
        let topic = (mitigation.entity, mitigation.policy(), how);
        let policy = || mitigation.policy().map(|policy| excerpt(policy, SHORT));
        let what = || What::Ended { policy: policy(), how: *how };
        let subject = || Subject::entity(mitigation);
        self.note(Entry { class: Class::Mitigation, topic, subject, what }, now, |_| ());
    }

    /// Notes that the policies in a file were read again, or refused for a mistake.
    pub(crate) fn reloaded(&mut self, file: &str, mistake: Option<&str>, now: Moment) {
        let mistake = mistake.map(|mistake| excerpt(mistake, LONGEST));
        self.mistake.clone_from(&mistake);
        // The row has the file already.
        let mistake = mistake.map(|told| match told.strip_prefix(file) {
            Some(place) => place.trim_start_matches(':').to_owned(),
            None => told,
        });
        let topic = mistake.clone();
        let subject = || Subject::Policies(excerpt(file, LONG));
        let what = || What::Reload { mistake };
        self.note(Entry { class: Class::Reload, topic, subject, what }, now, |_| ());
    }

    /// Notes that time was let pass, so that there is something new to see.
    pub(crate) fn advanced(&mut self) {
        self.version += 1;
    }

    /// Why the policies were refused when they were last read, if they were.
    pub(crate) fn mistake(&self) -> Option<&str> {
        self.mistake.as_deref()
    }

    /// The rows of late, oldest first.
    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.rows.iter()
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Increases with every record.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Counts into the open row of a topic, or opens one, or counts it among the others.
    fn note(
        &mut self,
        entry: Entry<impl Hash, impl FnOnce() -> Subject, impl FnOnce() -> What>,
        now: Moment,
        again: impl FnOnce(&mut What),
    ) {
        let Entry { class, topic, subject, what } = entry;
        self.version += 1;
        if now.since(self.tick) >= TICK {
            self.tick = now;
            self.open.clear();
            self.opened = [0; Class::COUNT];
        }
        let key = self.hasher.hash_one((class, Some(topic)));
        if let Some(row) = self.open_row(key) {
            row.count += 1;
            return again(&mut row.what);
        }
        if self.opened[class.index()] < OPEN {
            self.opened[class.index()] += 1;
            return self.push(key, now, subject(), what());
        }
        let others = self.hasher.hash_one((class, None::<()>));
        match self.open_row(others) {
            Some(row) => row.count += 1,
            None => self.push(others, now, Subject::Others, What::Many(class)),
        }
    }

    fn open_row(&mut self, key: u64) -> Option<&mut Row> {
        let number = self.open.get(&key)?;
        let first = self.rows.front()?.number;
        let place = usize::try_from(number.checked_sub(first)?).ok()?;
        self.rows.get_mut(place)
    }

    fn push(&mut self, key: u64, at: Moment, subject: Subject, what: What) {
        if self.rows.len() == ROWS {
            self.rows.pop_front();
        }
        self.rows.push_back(Row { number: self.next, at, subject, what, count: 1 });
        self.open.insert(key, self.next);
        self.next += 1;
    }
}

/// What is noted. The row is written only if there is no open one of the same topic.
struct Entry<T, S, W> {
    class: Class,
    /// What the row is about.
    topic: T,
    subject: S,
    what: W,
}

/// What tells one text from another: more of it would be work without end for whoever sends it.
fn beginning(text: &str) -> &[u8] {
    &text.as_bytes()[..text.len().min(256)]
}

/// The most rows that are remembered.
pub(crate) const ROWS: usize = 120;

/// How long a row counts what is like it.
const TICK: Duration = Duration::from_secs(2);

/// The most rows of a class in a tick, apart from that of all others.
const OPEN: usize = 12;

/// The most characters of a name, and those of a text.
const SHORT: usize = 60;
const LONG: usize = 160;

/// The most characters of a mistake in a policy file, which tells where it is and what was expected.
const LONGEST: usize = 700;
