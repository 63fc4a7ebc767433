//! The last verdicts in virtual time.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn verdicts(visitors: usize) -> LastVerdicts {
    LastVerdicts::new(NonZeroUsize::new(visitors).unwrap())
}

fn verdict(action: &str) -> MitigationResponse {
    serde_json::from_value(json!({
        "action": action,
        "reason": "flood",
        "challenge": { "type": "turnstile", "token": "t" },
        "metadata": { "policy": "flood" },
    }))
    .unwrap()
}

fn from(ip: &str, agent: Option<&str>) -> MitigationRequest {
    let request = MitigationRequest::new(ip);
    match agent {
        Some(agent) => request.with_user_agent(agent),
        None => request,
    }
}

#[test]
fn a_block_or_a_challenge_holds_for_its_time_and_an_allow_ends_it() {
    let (verdicts, now) = (verdicts(10), Instant::now());
    let until = now + MINUTE;
    let visitor = verdicts.visitor(&from("192.0.2.1", None)).unwrap();
    for action in ["block", "challenge"] {
        let mut verdict = verdict(action);
        verdicts.note(visitor, &mut verdict, || now);
        assert!(!verdict.metadata.is_empty(), "it is the caller's");
        let held = verdicts.recall(&visitor, until - Duration::from_nanos(1), MINUTE).unwrap();
        assert_eq!(held.action.to_string(), action);
        assert_eq!(held.reason.as_deref(), Some("flood"));
        assert!(held.metadata.is_empty() && held.challenge.is_some());
        assert!(verdicts.recall(&visitor, until, MINUTE).is_none());
    }
    verdicts.note(visitor, &mut verdict("block"), || now);
    verdicts.note(visitor, &mut verdict("allow"), || now);
    assert!(verdicts.recall(&visitor, now, MINUTE).is_none());
}

#[test]
fn a_lifetime_is_that_of_the_guard_which_asks_and_of_no_other() {
    let (verdicts, now) = (verdicts(10), Instant::now());
    let visitor = verdicts.visitor(&from("192.0.2.1", None)).unwrap();
    verdicts.note(visitor, &mut verdict("block"), || now);
    assert!(verdicts.recall(&visitor, now, Duration::ZERO).is_none());
    let later = now + Duration::from_secs(1);
    assert!(verdicts.recall(&visitor, later, Duration::from_secs(1)).is_none());
    assert!(verdicts.recall(&visitor, later, MINUTE).is_some());
    assert!(verdicts.recall(&visitor, now + 1_000 * MINUTE, Duration::MAX).is_some());
}

#[test]
fn a_solved_challenge_is_forgotten_and_a_block_is_not() {
    let (verdicts, now) = (verdicts(10), Instant::now());
    let visitor = verdicts.visitor(&from("192.0.2.1", None)).unwrap();
    for (action, stays) in [("challenge", false), ("block", true)] {
        verdicts.note(visitor, &mut verdict(action), || now);
        verdicts.forget_challenge(&visitor);
        assert_eq!(verdicts.recall(&visitor, now, MINUTE).is_some(), stays, "{action}");
    }
}

#[test]
fn a_visitor_is_an_address_in_any_spelling_with_a_user_agent() {
    let verdicts = verdicts(10);
    let visitor = |ip, agent| verdicts.visitor(&from(ip, agent));
    assert_eq!(visitor("::ffff:192.0.2.1", None), visitor("192.0.2.1", None));
    assert_eq!(visitor("2001:DB8:0::1", Some("a")), visitor("2001:db8::1", Some("a")));
    assert_ne!(visitor("192.0.2.1", Some("a")), visitor("192.0.2.1", Some("b")));
    assert_ne!(visitor("192.0.2.1", Some("a")), visitor("192.0.2.2", Some("a")));
    assert_ne!(visitor("192.0.2.1", Some("")), visitor("192.0.2.1", None));
    assert_eq!(visitor("192.0.2.1:80", None), None);
}

#[test]
fn ten_times_as_many_visitors_as_fit_keep_memory_within_its_bound() {
    let (verdicts, now) = (verdicts(1_000), Instant::now());
    let visitors: Vec<_> = (0..10_000_u32)
        .map(|number| verdicts.visitor(&from(&std::net::Ipv4Addr::from(number).to_string(), None)))
        .map(Option::unwrap)
        .collect();
    for visitor in &visitors {
        verdicts.note(*visitor, &mut verdict("block"), || now);
        assert!(verdicts.lock().len() <= 1_000);
    }
    let kept = |visitor: &&Visitor| verdicts.recall(visitor, now, MINUTE).is_some();
    assert_eq!(visitors.iter().filter(kept).count(), 1_000);
    assert!(visitors[9_000..].iter().all(|visitor| kept(&visitor)), "the last ones are kept");
}

#[test]
fn of_a_verdict_that_is_too_large_its_action_is_kept() {
    let mut large = verdict("block");
    large.reason = Some("x".repeat(LARGEST));
    let short = abridged(&mut large);
    assert_eq!((short.action, short.reason, short.challenge), (large.action, None, None));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_verdict_is_only_ever_served_to_its_visitor(
        // Few characters, and those that could be taken for a delimiter.
        agents in proptest::collection::vec("[a:|\\x00 1.]{0,6}", 1..40),
        addresses in proptest::collection::vec(0_u8..4, 1..40),
    ) {
        let (verdicts, now) = (verdicts(1_000), Instant::now());
        let mut expected = HashMap::new();
        for (number, (agent, address)) in agents.iter().zip(&addresses).enumerate() {
            let request = from(&format!("192.0.2.{address}"), Some(agent));
            let mut verdict = verdict("block");
            verdict.reason = Some(number.to_string());
            verdicts.note(verdicts.visitor(&request).unwrap(), &mut verdict, || now);
            expected.insert((*address, agent.clone()), number.to_string());
        }
        prop_assert_eq!(verdicts.lock().len(), expected.len());
        for ((address, agent), reason) in expected {
            let visitor = verdicts.visitor(&from(&format!("192.0.2.{address}"), Some(&agent)));
            let held = verdicts.recall(&visitor.unwrap(), now, MINUTE).unwrap();
            prop_assert_eq!(held.reason, Some(reason));
        }
    }
}
