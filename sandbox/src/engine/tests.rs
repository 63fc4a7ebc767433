//! What becomes of mitigations: by hand, on a reload, and as they are shown.

use std::time::Duration;

use super::*;
use crate::engine::policy::{MitigationAction, Task};
use crate::engine::visitor::{Target, Visitor};
use crate::policy_file::STARTER_POLICIES;

const BLOCK: &str = r#"
    entity = [{ name = "visitor", key = ["client_ip", "user_agent"] }]
    [[policy]]
    name = "trap"
    entity = "visitor"
    match = { field = "path", equals = "/trap" }
    mitigation = { action = "block", ttl_seconds = 60 }
"#;

const MANY: &str = r#"
    [[policy]]
    name = "many"
    entity = "visitor"
    window = { seconds = 10, over = 2 }
    mitigation = { action = "challenge", ttl_seconds = 60 }
"#;

fn parse(text: &str) -> PolicySet {
    PolicySet::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn analysis(texts: &[&str]) -> Analysis {
    Analysis::new(parse(&texts.concat()))
}

fn attributes(user_agent: &'static str) -> Attributes<'static> {
    Attributes {
        kind: Some("http_request"),
        ip: Some([203, 0, 113, 7].into()),
        user_agent: Some(user_agent),
        ..Attributes::default()
    }
}

fn trap(user_agent: &'static str) -> Attributes<'static> {
    Attributes { path: Some("/trap"), ..attributes(user_agent) }
}

/// Whoever is at an address.
fn target(ip: &str) -> Target {
    Visitor::new(ip).target()
}

fn at(seconds: u64) -> Moment {
    Moment::START.after(Duration::from_secs(seconds))
}

fn observe(analysis: &mut Analysis, attributes: &Attributes<'_>, events: usize, now: Moment) {
    for _ in 0..events {
        analysis.observe(attributes, now);
    }
}

fn reason(analysis: &Analysis, user_agent: &'static str, now: Moment) -> Option<String> {
    analysis.assess(&attributes(user_agent), now).mitigation.map(|mitigation| mitigation.reason)
}

#[test]
fn a_decision_remembers_nobody() {
    let analysis = analysis(&[STARTER_POLICIES]);
    assert_eq!(analysis.assess(&attributes("curl"), at(0)), Assessment::default());
    assert_eq!(analysis.store.len(), 0);
}

#[test]
fn a_mitigation_is_told_once_when_it_begins() {
    let mut analysis = analysis(&[STARTER_POLICIES]);
    let begun = (0..300).filter_map(|_| analysis.observe(&attributes("curl"), at(0)));
    let begun: Vec<_> = begun.filter_map(|begun| begun.policy().map(str::to_owned)).collect();
    assert_eq!(begun, ["burst", "flood"]);
}

#[test]
fn no_more_arrivals_are_kept_than_the_policies_need() {
    let mut analysis = analysis(&[STARTER_POLICIES]);
    observe(&mut analysis, &attributes("curl"), 10_000, at(0));
    let entity = analysis.policies.entities[0].entity(&attributes("curl")).expect("an entity");
    let state = analysis.store.get(0, entity).expect("a state");
    assert!(state.spilled() <= 256 * 16, "{}", state.spilled());
}

#[test]
fn what_is_in_force_is_shown_the_newest_first_with_its_remaining_time() {
    let mut analysis = analysis(&[BLOCK]);
    analysis.put(&target("203.0.113.9"), MitigationAction::Block);
    observe(&mut analysis, &trap("curl"), 1, at(10));
    observe(&mut analysis, &trap("wget"), 1, at(20));
    let shown: Vec<_> = analysis
        .in_force(50, at(30))
        .0
        .into_iter()
        .map(|one| (one.id, one.entity, one.policy, one.kind, one.reason, one.remaining))
        .collect();
    let of_trap = |id, user_agent, seconds| {
        (
            id,
            format!("client_ip 203.0.113.7, user_agent {user_agent}"),
            Some("trap".to_owned()),
            ActionKind::Block,
            "trap: an event matched".to_owned(),
            Some(Duration::from_secs(seconds)),
        )
    };
    let by_hand = (
        0,
        "client_ip 203.0.113.9".to_owned(),
        None,
        ActionKind::Block,
        "put by hand".to_owned(),
        None,
    );
    assert_eq!(shown, [of_trap(2, "wget", 50), of_trap(1, "curl", 40), by_hand]);
    assert_eq!(analysis.in_force(50, at(70)).0.len(), 2, "one is over");
    assert_eq!(analysis.in_force(50, at(10_000)).0.len(), 1, "what was put by hand stays");
}

#[test]
fn no_more_is_shown_than_a_person_looks_at() {
    let mut analysis = analysis(&[""]);
    for number in 0..=255 {
        analysis.put(&target(&format!("203.0.113.{number}")), MitigationAction::Block);
    }
    let (shown, in_force) = analysis.in_force(50, at(255));
    assert_eq!((shown.len(), in_force), (50, 256));
    assert_eq!(shown[0].entity, "client_ip 203.0.113.255");
}

#[test]
fn a_count_says_when_it_may_be_higher() {
    let higher = MANY.replace("many", "higher").replace("over = 2", "over = 5");
    let higher = higher.replace("challenge", "monitor");
    let mut analysis = analysis(&[BLOCK, MANY, &higher]);
    for (events, expected) in [(3, "many: 3"), (2, "many: 5"), (1, "many: more than 5")] {
        observe(&mut analysis, &attributes("curl"), events, at(0));
        let reason = reason(&analysis, "curl", at(0));
        assert_eq!(reason, Some(format!("{expected} events in 10 s")));
    }
}

#[test]
fn the_end_of_a_mitigation_is_told_once_with_its_reason() {
    let mut analysis = analysis(&[BLOCK, MANY]);
    let mut ended = |act: &dyn Fn(&mut Analysis)| {
        act(&mut analysis);
        let ended = analysis.take_ended().into_iter();
        ended.map(|ended| (ended.mitigation.id, ended.how)).collect::<Vec<_>>()
    };
    let by_hand = target("203.0.113.9");
    assert_eq!(ended(&|it| observe(it, &trap("curl"), 1, at(0))), []);
    assert_eq!(ended(&|it| observe(it, &attributes("wget"), 3, at(0))), []);
    assert_eq!(ended(&|it| drop(it.put(&by_hand, MitigationAction::Block))), []);
    // It is held for longer, so that the other one ends first.
    assert_eq!(ended(&|it| observe(it, &trap("curl"), 1, at(1))), []);
    assert_eq!(ended(&|it| drop(it.in_force(50, at(60)))), [(1, Ending::Expired)]);
    assert_eq!(ended(&|it| drop(it.in_force(50, at(60)))), []);
    assert_eq!(ended(&|it| drop(it.put(&by_hand, MitigationAction::Block))), [(2, Ending::Lifted)]);
    assert_eq!(ended(&|it| assert!(it.lift(3, at(60)))), [(3, Ending::Lifted)]);
    assert_eq!(ended(&|it| it.replace(parse(&[BLOCK, "\n#\n", MANY].concat()))), []);
    assert_eq!(ended(&|it| it.replace(parse(""))), [(0, Ending::Withdrawn)]);
}

#[test]
fn whoever_comes_after_the_end_begins_anew() {
    let mut analysis = analysis(&[BLOCK, MANY]);
    observe(&mut analysis, &attributes("curl"), 3, at(0));
    let assessment = analysis.assess(&attributes("curl"), at(0));
    analysis.lift_challenges(assessment.mitigation.expect("a challenge").entity);
    observe(&mut analysis, &trap("curl"), 1, at(0));
    observe(&mut analysis, &trap("curl"), 1, at(60));
    let ended: Vec<_> = analysis.take_ended().into_iter().map(|ended| ended.how).collect();
    assert_eq!(ended, [Ending::Passed, Ending::Expired]);
    assert_eq!(analysis.in_force(50, at(60)).1, 1);
}

#[test]
fn a_lifted_mitigation_does_not_come_again_with_the_next_event() {
    let mut analysis = analysis(&[BLOCK, MANY]);
    observe(&mut analysis, &attributes("curl"), 3, at(0));
    observe(&mut analysis, &attributes("wget"), 3, at(0));
    let id = analysis.in_force(50, at(0)).0[1].id;
    assert!(analysis.lift(id, at(0)));
    assert!(!analysis.lift(id, at(0)), "it is gone");
    observe(&mut analysis, &attributes("curl"), 2, at(0));
    assert_eq!(reason(&analysis, "curl", at(0)), None);
    assert!(reason(&analysis, "wget", at(0)).is_some(), "another's stays");
    observe(&mut analysis, &attributes("curl"), 1, at(0));
    assert!(reason(&analysis, "curl", at(0)).is_some());
}

#[test]
fn what_is_put_by_hand_is_in_force_at_once_for_whom_it_names() {
    let mut analysis = analysis(&[STARTER_POLICIES]);
    analysis.put(&target("203.0.113.7"), MitigationAction::Challenge(Task::ProofOfWork(None)));
    assert_eq!(reason(&analysis, "curl", at(0)).as_deref(), Some("put by hand"));
    let with_curl = Visitor::new("::ffff:203.0.113.7").with_user_agent("curl").target();
    analysis.put(&with_curl, MitigationAction::Block);
    let kind = |user_agent| {
        let mitigation = analysis.assess(&attributes(user_agent), at(0)).mitigation;
        mitigation.map(|mitigation| mitigation.action.kind())
    };
    assert_eq!(kind("curl"), Some(ActionKind::Block));
    assert_eq!(kind("wget"), Some(ActionKind::Challenge));
    let other = Attributes { ip: Some([203, 0, 113, 8].into()), ..attributes("curl") };
    assert_eq!(analysis.assess(&other, at(0)).mitigation, None);
}

#[test]
fn a_passed_challenge_by_hand_is_over() {
    let mut analysis = analysis(&[""]);
    analysis.put(&target("203.0.113.7"), MitigationAction::Challenge(Task::ProofOfWork(None)));
    let mitigation = analysis.assess(&attributes("curl"), at(0)).mitigation.expect("a challenge");
    analysis.lift_challenges(mitigation.entity);
    assert_eq!(reason(&analysis, "curl", at(0)), None);
}

#[test]
fn all_that_a_visitor_meets_is_lifted_and_nobody_elses() {
    let mut analysis = analysis(&[BLOCK, MANY]);
    observe(&mut analysis, &trap("curl"), 1, at(0));
    observe(&mut analysis, &trap("wget"), 1, at(0));
    let with_curl = Visitor::new("203.0.113.7").with_user_agent("curl").target();
    analysis.put(&with_curl, MitigationAction::Block);
    analysis.lift_all(&with_curl, at(0));
    assert_eq!(reason(&analysis, "curl", at(0)), None);
    assert!(reason(&analysis, "wget", at(0)).is_some());
    analysis.lift_all(&target("203.0.113.8"), at(0));
    assert!(reason(&analysis, "wget", at(0)).is_some());
    analysis.lift_all(&target("203.0.113.7"), at(0));
    assert_eq!(reason(&analysis, "wget", at(0)), None);
}

#[test]
fn other_policies_keep_what_was_learnt_by_those_that_read_the_same() {
    let mut analysis = analysis(&[BLOCK, MANY]);
    observe(&mut analysis, &trap("curl"), 1, at(0));
    observe(&mut analysis, &attributes("wget"), 2, at(0));
    analysis.put(&target("203.0.113.9"), MitigationAction::Block);

    // Another form of the same trap, and a stricter threshold on the same events.
    let block =
        BLOCK.replace("{ field = \"path\", equals", "{ equals = \"/trap\", field = \"path\" } #");
    analysis.replace(parse(&(block + &MANY.replace("over = 2", "over = 3"))));
    assert_eq!(reason(&analysis, "curl", at(0)).as_deref(), Some("trap: an event matched"));
    observe(&mut analysis, &attributes("wget"), 2, at(0));
    assert!(reason(&analysis, "wget", at(0)).is_some(), "four events, two of them from before");
    assert_eq!(analysis.in_force(50, at(0)).0.len(), 3);

    let others = BLOCK.replace("ttl_seconds = 60", "ttl_seconds = 61");
    analysis.replace(parse(&others));
    let left: Vec<_> = analysis.in_force(50, at(0)).0.into_iter().map(|one| one.reason).collect();
    assert_eq!(left, ["put by hand"], "the trap reads otherwise, and the other is gone");
    assert_eq!(analysis.store.len(), 0);
}

#[test]
fn a_count_that_was_a_bound_stays_one_when_other_policies_count_further() {
    let mut analysis = analysis(&[BLOCK, MANY]);
    observe(&mut analysis, &attributes("curl"), 50, at(0));
    let told = Some("many: more than 2 events in 10 s");
    assert_eq!(reason(&analysis, "curl", at(0)).as_deref(), told);
    let more = MANY.replace("many", "more").replace("over = 2", "over = 200");
    analysis.replace(parse(&[BLOCK, &more, MANY].concat()));
    assert_eq!(reason(&analysis, "curl", at(0)).as_deref(), told);
}

#[test]
fn a_policy_is_shown_as_a_file_of_its_own() {
    let analysis = analysis(&[STARTER_POLICIES]);
    let policies = analysis.policies();
    let names: Vec<_> = policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["trap_path", "flood", "credential_stuffing", "burst", "known_crawler"]);
    for policy in policies {
        let alone = Analysis::new(parse(&policy.definition)).policies();
        assert_eq!(alone.len(), 1, "{}", policy.definition);
        assert_eq!(alone[0].definition, policy.definition);
        assert_eq!(alone[0].kind, policy.kind);
    }
}
