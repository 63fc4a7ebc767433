//! Rolling windows are exact at their edges, and mitigations last as long as they say.

use esper_sandbox::{Rehearsal, STARTER_POLICIES};
use serde_json::{Value, json};

use crate::stage::{INSTANT, IP, SECOND, Stage};

fn starters() -> Stage {
    Stage::of(STARTER_POLICIES)
}

/// Many values of a field within ten seconds, from one address.
const DISTINCT: &str = r#"
    entity = [{ name = "address", key = ["client_ip"] }]
    [[policy]]
    name = "sessions"
    entity = "address"
    window = { seconds = 10, over = 2, distinct = "session_id" }
    mitigation = { action = "challenge", ttl_seconds = 60 }
"#;

impl Stage {
    fn sessions(&mut self, sessions: &[&str]) -> &mut Self {
        for session in sessions {
            self.event(&json!({ "type": "login", "ip": IP, "session_id": session }));
        }
        self
    }
}

#[test]
fn sixty_events_are_allowed_and_one_more_is_challenged() {
    assert_eq!(starters().burst(60).action(), "allow");
    assert_eq!(starters().burst(61).action(), "challenge");
}

#[test]
fn two_hundred_events_are_challenged_and_one_more_is_blocked() {
    assert_eq!(starters().burst(200).action(), "challenge");
    assert_eq!(starters().burst(201).action(), "block");
}

#[test]
fn an_event_as_old_as_the_window_no_longer_counts() {
    assert_eq!(starters().burst(60).at(SECOND * 10).burst(1).action(), "allow");
    assert_eq!(starters().burst(60).at(SECOND * 10 - INSTANT).burst(1).action(), "challenge");
}

#[test]
fn the_window_slides_rather_than_starts_anew() {
    let mut stage = starters();
    stage.at(SECOND * 9).burst(30).at(SECOND * 11).burst(31);
    assert_eq!(stage.action(), "challenge");
}

#[test]
fn a_mitigation_ends_sixty_seconds_after_the_last_excess() {
    for (events, expected) in [(61, "challenge"), (201, "block")] {
        let mut stage = starters();
        assert_eq!(stage.burst(events).at(SECOND * 60 - INSTANT).action(), expected);
        assert_eq!(stage.at(SECOND * 60).action(), "allow");
    }
}

#[test]
fn every_event_in_excess_renews_the_mitigation_and_no_other_does() {
    let mut stage = starters();
    stage.burst(61).at(SECOND * 5).burst(1).at(SECOND * 30).burst(1);
    assert_eq!(stage.at(SECOND * 65 - INSTANT).action(), "challenge");
    assert_eq!(stage.at(SECOND * 65).action(), "allow");
}

#[test]
fn a_challenge_that_outlives_a_block_takes_over() {
    let mut stage = starters();
    // 101 events in the window: an excess for the challenge, none for the block.
    stage.burst(201).at(SECOND * 10).burst(101);
    assert_eq!(stage.at(SECOND * 60 - INSTANT).action(), "block");
    assert_eq!(stage.at(SECOND * 60).action(), "challenge");
    assert_eq!(stage.at(SECOND * 70).action(), "allow");
}

#[test]
fn a_mitigation_tells_the_highest_count_since_it_began() {
    let mut stage = starters();
    assert_eq!(stage.burst(72).at(SECOND * 10).burst(61).reason(), "burst: 72 events in 10 s");
    let next = stage.at(SECOND * 70).burst(61).reason();
    assert_eq!(next, "burst: 61 events in 10 s", "a new one, a new count");
}

#[test]
fn a_passed_challenge_counts_anew() {
    let mut stage = starters();
    let nothing = json!({ "action": "allow", "score": 0.0 });
    assert_eq!(stage.burst(130).pass().decide(&json!({ "ip": IP })), nothing);
    assert_eq!(stage.at(SECOND).burst(60).action(), "allow", "old events do not count");
    assert_eq!(stage.reason(), Value::Null);
    assert_eq!(stage.burst(1).reason(), "burst: 61 events in 10 s");
}

#[test]
fn a_passed_challenge_can_be_followed_by_another() {
    let mut stage = starters();
    assert_eq!(stage.burst(100).pass().burst(60).action(), "allow");
    assert_eq!(stage.burst(1).action(), "challenge");
}

#[test]
fn a_passed_challenge_lifts_no_block_and_buys_none_off() {
    assert_eq!(starters().burst(201).pass().action(), "block");
    assert_eq!(starters().burst(150).pass().burst(51).action(), "block", "201 events in 10 s");
}

#[test]
fn a_score_grows_with_the_count_and_stays_within_its_range() {
    let mut stage = starters();
    let scores: Vec<f64> = (0..=300)
        .map(|_| stage.burst(1).decide(&json!({ "ip": IP }))["score"].as_f64().expect("a score"))
        .collect();
    assert!(scores.is_sorted(), "{scores:?}");
    assert!(scores.iter().all(|score| (0.0..=100.0).contains(score)), "{scores:?}");
    assert_eq!((scores[59], scores[60], scores[200]), (30.0, 52.2, 95.0));
}

#[test]
fn distinct_values_count_once_each_however_often_they_come() {
    let mut stage = Stage::of(DISTINCT);
    assert_eq!(stage.sessions(&["a"; 100]).sessions(&["b"; 100]).action(), "allow");
    assert_eq!(stage.sessions(&["c"]).action(), "challenge");
    assert_eq!(stage.reason(), "sessions: more than 2 values of session_id in 10 s");
}

#[test]
fn an_event_without_the_field_adds_no_value() {
    let mut stage = Stage::of(DISTINCT);
    assert_eq!(stage.sessions(&["a", "b"]).burst(100).action(), "allow");
}

#[test]
fn a_value_leaves_the_window_ten_seconds_after_it_was_last_seen() {
    let mut stage = Stage::of(DISTINCT);
    stage.sessions(&["a", "b"]).at(SECOND * 5).sessions(&["a"]);
    assert_eq!(stage.at(SECOND * 10).sessions(&["c"]).action(), "allow", "b has left");
    assert_eq!(stage.at(SECOND * 15 - INSTANT).sessions(&["b"]).action(), "challenge");

    let mut stage = Stage::of(DISTINCT);
    stage.sessions(&["a", "b"]).at(SECOND * 5).sessions(&["a"]);
    assert_eq!(stage.at(SECOND * 15).sessions(&["c", "b"]).action(), "allow", "a has left");
}

#[test]
fn asking_changes_nothing() {
    let mut stage = starters();
    stage.burst(60);
    for _ in 0..1000 {
        assert_eq!(stage.action(), "allow");
    }
    assert_eq!(stage.reason(), Value::Null);
}

#[test]
fn what_the_api_would_refuse_is_refused_by_its_member_and_teaches_nothing() {
    let mut rehearsal = Rehearsal::of(STARTER_POLICIES).expect("no mistake");
    for (event, member) in [
        (json!({ "type": " ", "ip": IP }), Some("type")),
        (json!({ "type": "x", "ip": "localhost" }), Some("ip")),
        (json!({ "type": "x", "path": 7 }), Some("path")),
        (json!(["id", "x", 7, IP]), None),
        (json!("x"), None),
    ] {
        let error = rehearsal.event(&event).expect_err("no event");
        assert_eq!(error.member(), member, "{event}: {error}");
    }
    let error = rehearsal.decide(&json!({})).expect_err("no address");
    assert_eq!(error.to_string(), "ip: is required");
    assert_eq!(rehearsal.decide(&json!({ "ip": IP })).expect("a decision")["score"], 0.0);
}
