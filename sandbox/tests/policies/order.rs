//! Of policies the first that applies, of mitigations the strongest.

use serde_json::{Value, json};

use crate::stage::{IP, SECOND, Stage, action};

/// Policies that apply to an event with their name in its path, in the order of their names.
fn each_alone(actions: [&str; 3]) -> String {
    let mut text = r#"entity = [{ name = "address", key = ["client_ip"] }]"#.to_owned();
    for (place, action) in actions.into_iter().enumerate() {
        let name = ["first", "second", "third"][place];
        text += &format!(
            r#"
            [[policy]]
            name = "{name}"
            entity = "address"
            match = {{ field = "path", contains = "{name}" }}
            mitigation = {{ action = "{action}", ttl_seconds = {} }}
            "#,
            30 - place * 10
        );
    }
    text
}

fn visit(path: &str) -> Value {
    json!({ "type": "x", "ip": IP, "path": path })
}

#[test]
fn an_event_brings_the_mitigation_of_the_first_policy_alone() {
    let mut stage = Stage::of(&each_alone(["challenge", "block", "block"]));
    stage.event(&visit("/second/first"));
    assert_eq!(stage.reason(), "first: an event matched");
    assert_eq!(stage.event(&visit("/second")).reason(), "second: an event matched");
}

#[test]
fn a_block_goes_before_a_challenge_and_that_before_monitoring() {
    let mut stage = Stage::of(&each_alone(["monitor", "challenge", "block"]));
    for path in ["/first", "/second", "/third"] {
        stage.event(&visit(path));
    }
    let decision = stage.decide(&json!({ "ip": IP }));
    assert_eq!(action(&decision), "block");
    let monitor = json!({ "policy": "first", "reason": "first: an event matched" });
    assert_eq!(decision["metadata"], json!({ "policy": "third", "monitor": monitor }));

    assert_eq!(stage.at(SECOND * 10).action(), "challenge", "the block is over");
    let decision = stage.at(SECOND * 20).decide(&json!({ "ip": IP }));
    assert_eq!(action(&decision), "allow");
    assert_eq!(decision["reason"], Value::Null);
    assert_eq!(decision["metadata"], json!({ "monitor": monitor }));
    assert_eq!(stage.at(SECOND * 30).decide(&json!({ "ip": IP }))["metadata"], Value::Null);
}

#[test]
fn of_mitigations_with_the_same_effect_the_first_policys_is_told() {
    let mut stage = Stage::of(&each_alone(["block", "block", "monitor"]));
    stage.event(&visit("/second")).event(&visit("/first"));
    assert_eq!(stage.reason(), "first: an event matched");
}

#[test]
fn a_policy_on_requests_is_told_in_its_place_among_those_that_monitor() {
    let on_requests = r#"
        [[policy]]
        name = "seen"
        on = "requests"
        match = { field = "path", glob = "/account/*" }
        mitigation = { action = "monitor" }
    "#;
    let asked = json!({ "ip": IP, "path": "/account/7" });
    let policy = |stage: &Stage| stage.decide(&asked)["metadata"]["monitor"]["policy"].clone();
    let mut stage = Stage::of(&format!("{}{on_requests}", each_alone(["monitor"; 3])));
    assert_eq!(policy(&stage), "seen");
    stage.event(&visit("/third"));
    assert_eq!(policy(&stage), "third");
    assert_eq!(stage.decide(&json!({ "ip": IP }))["metadata"]["monitor"]["policy"], "third");
}

#[test]
fn an_event_that_one_policy_takes_is_counted_by_the_others() {
    let text = r#"
        entity = [{ name = "address", key = ["client_ip"] }]
        [[policy]]
        name = "trap"
        entity = "address"
        match = { field = "path", equals = "/trap" }
        mitigation = { action = "monitor", ttl_seconds = 1 }
        [[policy]]
        name = "many"
        entity = "address"
        window = { seconds = 10, over = 2 }
        mitigation = { action = "block", ttl_seconds = 60 }
    "#;
    let mut stage = Stage::of(text);
    stage.event(&visit("/trap")).event(&visit("/trap")).event(&visit("/trap"));
    assert_eq!(stage.action(), "allow", "the trap takes them");
    assert_eq!(stage.event(&visit("/")).action(), "block");
}

#[test]
fn a_block_behind_a_challenge_is_for_those_who_pass_and_go_on() {
    let text = r#"
        entity = [{ name = "address", key = ["client_ip"] }]
        [[policy]]
        name = "many"
        entity = "address"
        window = { seconds = 10, over = 60 }
        mitigation = { action = "challenge", ttl_seconds = 60 }
        [[policy]]
        name = "too_many"
        entity = "address"
        window = { seconds = 10, over = 200 }
        mitigation = { action = "block", ttl_seconds = 60 }
    "#;
    assert_eq!(Stage::of(text).burst(201).action(), "challenge");
    let mut stage = Stage::of(text);
    assert_eq!(stage.burst(150).pass().burst(50).action(), "allow");
    assert_eq!(stage.burst(1).reason(), "too_many: more than 200 events in 10 s");
}

#[test]
fn a_mitigation_follows_its_entity_and_no_other() {
    let text = r#"
        [[entity]]
        name = "session"
        key = ["session_id"]
        [[entity]]
        name = "plan"
        key = ["data.plan", "headers.x-tenant"]
        match = { field = "client_ip", network_in = ["203.0.113.0/24"] }
        [[policy]]
        name = "session"
        entity = "session"
        match = { field = "path", equals = "/s" }
        mitigation = { action = "challenge", ttl_seconds = 60 }
        [[policy]]
        name = "plan"
        entity = "plan"
        match = { field = "path", equals = "/p" }
        mitigation = { action = "block", ttl_seconds = 60 }
    "#;
    let mut stage = Stage::of(text);
    stage.event(&json!({ "type": "x", "path": "/s", "session_id": "one" }));
    for (metadata, expected) in [
        (json!({ "session_id": "one" }), "challenge"),
        (json!({ "session_id": "other" }), "allow"),
        (json!({}), "allow"),
    ] {
        let decision = stage.decide(&json!({ "ip": IP, "metadata": metadata }));
        assert_eq!(action(&decision), expected, "{metadata}");
    }
    let data = json!({ "plan": 7, "headers": { "X-Tenant": "acme" } });
    stage.event(&json!({ "type": "x", "path": "/p", "ip": IP, "data": data }));
    for (ip, plan, tenant, expected) in [
        (IP, 7, "acme", "block"),
        (IP, 8, "acme", "allow"),
        (IP, 7, "other", "allow"),
        ("203.0.113.200", 7, "acme", "block"),
        ("198.51.100.7", 7, "acme", "allow"),
    ] {
        let headers = json!({ "x-tenant": tenant });
        let request = json!({ "ip": ip, "metadata": { "plan": plan }, "headers": headers });
        assert_eq!(action(&stage.decide(&request)), expected, "{request}");
    }
}
