//! Remember what happened lately, for whoever looks at the console.
//!
//! What a visitor does again within a moment counts into the same row, and a moment has few rows.
//! So a record costs the same at any load, and memory is bounded whoever calls.

mod excerpt;
mod rates;
mod row;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::time::Duration;

use crate::clock::Moment;
use crate::engine::Action;
use crate::engine::mitigation::{Ended, Mitigation};

pub(crate) use self::excerpt::excerpt;
pub(crate) use self::rates::{Rates, SECONDS, TrafficCounts, second};
pub(crate) use self::row::{Class, Observation, Place, Row, Subject, Verdict, What};

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

    /// A number that is another after every record.
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn observation(visitor: u32) -> Observation<'static> {
        let ip = Some(IpAddr::from(Ipv4Addr::from_bits(visitor)));
        Observation { ip, user_agent: Some("demo"), method: None, path: Some("/") }
    }

    fn verdict(action: Action, reason: Option<&str>) -> Verdict<'_> {
        Verdict { action, reason, policy: Some("burst"), monitor: None, score: 60.0 }
    }

    fn at(millis: u64) -> Moment {
        Moment::START.after(Duration::from_millis(millis))
    }

    fn counts(journal: &Journal) -> Vec<u64> {
        journal.rows().map(|row| row.count).collect()
    }

    #[test]
    fn what_a_visitor_repeats_within_a_tick_is_one_row() {
        let mut journal = Journal::new();
        for millis in [0, 1, 1999] {
            journal.event(observation(1), "http_request", false, at(millis));
        }
        journal.event(observation(2), "http_request", false, at(1999));
        journal.event(observation(1), "login", false, at(1999));
        journal.event(observation(1), "http_request", true, at(1999));
        journal.event(observation(1), "http_request", false, at(2000));
        assert_eq!(counts(&journal), [3, 1, 1, 1, 1]);
    }

    #[test]
    fn a_row_tells_the_first_path_and_that_there_are_others() {
        let mut journal = Journal::new();
        for path in ["/a", "/a"] {
            journal.event(Observation { path: Some(path), ..observation(1) }, "x", false, at(0));
        }
        let others = |journal: &Journal| match &journal.rows[0].what {
            What::Event { place, .. } => (place.shown.clone(), place.others),
            what => panic!("{what:?}"),
        };
        assert_eq!(others(&journal), ("/a".to_owned(), false));
        journal.event(Observation { path: Some("/b"), ..observation(1) }, "x", false, at(0));
        assert_eq!(others(&journal), ("/a".to_owned(), true));
    }

    #[test]
    fn a_decision_row_has_the_newest_reason() {
        let mut journal = Journal::new();
        journal.decision(observation(1), verdict(Action::Challenge, Some("61 events")), at(0));
        journal.decision(observation(1), verdict(Action::Challenge, Some("62 events")), at(1));
        journal.decision(observation(1), verdict(Action::Allow, None), at(1));
        assert_eq!(counts(&journal), [2, 1]);
        let What::Decision { reason, .. } = &journal.rows[0].what else { panic!("a decision") };
        assert_eq!(reason, "62 events");
    }

    #[test]
    fn a_flood_of_visitors_has_few_rows_and_hides_no_decision() {
        let mut journal = Journal::new();
        for visitor in 0..10_000 {
            journal.event(observation(visitor), "http_request", false, at(0));
        }
        journal.decision(observation(1), verdict(Action::Block, Some("flood")), at(0));
        assert_eq!(journal.rows.len(), OPEN + 2);
        assert_eq!(journal.rows[OPEN].count, 10_000 - OPEN as u64);
        assert!(matches!(journal.rows[OPEN].subject, Subject::Others));
        assert!(matches!(journal.rows[OPEN + 1].what, What::Decision { .. }));
    }

    #[test]
    fn memory_is_bounded_however_long_it_goes_on() {
        let mut journal = Journal::new();
        for round in 0..1000_u32 {
            for visitor in 0..20 {
                journal.event(observation(visitor), "x", false, at(u64::from(round) * 2000));
            }
        }
        assert_eq!(journal.rows.len(), ROWS);
        assert!(journal.open.len() <= OPEN + 1);
        let numbers: Vec<_> = journal.rows().map(|row| row.number).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    }

    #[test]
    fn texts_of_any_length_leave_short_ones() {
        let mut journal = Journal::new();
        let long = "\u{202e}".repeat(100_000);
        let observation =
            Observation { user_agent: Some(&long), path: Some(&long), ..observation(1) };
        journal.event(observation, &long, false, at(0));
        journal.decision(observation, verdict(Action::Block, Some(&long)), at(0));
        assert!(format!("{:?}", journal.rows).len() < 4000);
    }

    #[test]
    fn a_mistake_in_the_policies_is_told_until_they_are_read_without_one() {
        let mut journal = Journal::new();
        journal.reloaded("p.toml", Some("p.toml:2:1: \u{202e}"), at(0));
        assert_eq!(journal.mistake(), Some("p.toml:2:1: \\u{202e}"));
        let What::Reload { mistake } = &journal.rows[0].what else { panic!("a reload") };
        assert_eq!(mistake.as_deref(), Some("2:1: \\u{202e}"));
        journal.reloaded("p.toml", Some(&"x".repeat(100_000)), at(0));
        assert!(journal.mistake().is_some_and(|mistake| mistake.len() < 1000));
        journal.reloaded("p.toml", None, at(0));
        assert_eq!((journal.mistake(), counts(&journal)), (None, vec![1, 1, 1]));
    }

    #[test]
    fn every_record_changes_the_version() {
        let mut journal = Journal::new();
        journal.event(observation(1), "x", false, at(0));
        journal.event(observation(1), "x", false, at(0));
        journal.decision(observation(1), verdict(Action::Allow, None), at(0));
        journal.reloaded("p.toml", None, at(0));
        journal.advanced();
        assert_eq!(journal.version(), 5);
    }
}
