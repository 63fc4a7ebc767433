//! What a row is, and that there are few of them.

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
    let observation = Observation { user_agent: Some(&long), path: Some(&long), ..observation(1) };
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
