//! What each test of a field holds for.

use serde_json::{Value, json};

use crate::stage::{Stage, action};

/// A policy that blocks whoever's event fits a condition.
fn blocking(condition: &str) -> Stage {
    let text = format!(
        r#"
        entity = [{{ name = "address", key = ["client_ip"] }}]
        [[policy]]
        name = "p"
        entity = "address"
        match = {condition}
        mitigation = {{ action = "block", ttl_seconds = 60 }}
        "#
    );
    Stage::of(&text)
}

/// The event of the table, with the address that is decided about.
fn event(members: &Value) -> Value {
    let mut event = json!({ "type": "http_request", "ip": "203.0.113.7" });
    let members = members.as_object().expect("an object").clone();
    event.as_object_mut().expect("an object").extend(members);
    event
}

#[test]
fn each_test_holds_for_what_it_says() {
    for (condition, members, holds) in [
        (r#"{ field = "type", equals = "login" }"#, json!({ "type": "login" }), true),
        (r#"{ field = "type", equals = "login" }"#, json!({}), false),
        (r#"{ field = "method", equals = "POST" }"#, json!({ "method": "POST" }), true),
        (r#"{ field = "method", equals = "POST" }"#, json!({ "method": "post" }), false),
        (r#"{ field = "method", equals = "POST" }"#, json!({}), false),
        (r#"{ field = "path", contains = "/api/" }"#, json!({ "path": "/v1/api/x" }), true),
        (r#"{ field = "path", contains = "/api/" }"#, json!({ "path": "/api" }), false),
        (r#"{ field = "path", starts_with = "/api" }"#, json!({ "path": "/api/x" }), true),
        (r#"{ field = "path", starts_with = "/api" }"#, json!({ "path": "/x/api" }), false),
        (r#"{ field = "path", glob = "/u/*/edit" }"#, json!({ "path": "/u/7/edit" }), true),
        (r#"{ field = "path", glob = "/u/*/edit" }"#, json!({ "path": "/u/7/8/edit" }), false),
        (r#"{ field = "path", regex = '^/u/\d+$' }"#, json!({ "path": "/u/77" }), true),
        (r#"{ field = "path", regex = '^/u/\d+$' }"#, json!({ "path": "/u/x" }), false),
        (r#"{ field = "path", regex = 'u' }"#, json!({ "path": "/u/x" }), true),
        (r#"{ field = "user_agent", regex = '(?i)bot' }"#, json!({ "user_agent": "XBOT" }), true),
        (r#"{ field = "session_id", in = ["a", "b"] }"#, json!({ "session_id": "b" }), true),
        (r#"{ field = "session_id", in = ["a", "b"] }"#, json!({ "session_id": "c" }), false),
        (
            r#"{ field = "user_agent", word_in = ["curl"] }"#,
            json!({ "user_agent": "Curl/8" }),
            true,
        ),
        (
            r#"{ field = "user_agent", word_in = ["curl"] }"#,
            json!({ "user_agent": "curly" }),
            false,
        ),
        (r#"{ field = "client_ip", network_in = ["203.0.113.0/24"] }"#, json!({}), true),
        (
            r#"{ field = "client_ip", network_in = ["203.0.113.0/24"] }"#,
            json!({ "ip": "::ffff:203.0.113.7" }),
            true,
        ),
        (r#"{ field = "client_ip", network_in = ["10.0.0.0/8", "::/0"] }"#, json!({}), false),
        (r#"{ field = "client_ip", equals = "::ffff:203.0.113.7" }"#, json!({}), true),
        (r#"{ field = "client_ip", in = ["203.0.113.8"] }"#, json!({}), false),
        (r#"{ field = "client_ip", starts_with = "203.0." }"#, json!({}), true),
        (
            r#"{ field = "data.forwarded", network_in = ["10.0.0.0/8"] }"#,
            json!({ "data": { "forwarded": "10.1.2.3" } }),
            true,
        ),
        (
            r#"{ field = "data.forwarded", network_in = ["10.0.0.0/8"] }"#,
            json!({ "data": { "forwarded": "10.1.2.3, 10.1.2.4" } }),
            false,
        ),
        (
            r#"{ field = "data.status", equals = "401" }"#,
            json!({ "data": { "status": 401 } }),
            true,
        ),
        (r#"{ field = "metadata.ok", equals = "true" }"#, json!({ "data": { "ok": true } }), true),
        (
            r#"{ field = "headers.x-a", equals = "1" }"#,
            json!({ "data": { "headers": { "X-A": "1" } } }),
            true,
        ),
        (r#"{ field = "headers.x-a", equals = "1" }"#, json!({ "data": { "x-a": "1" } }), false),
        (r#"{ field = "session_id", present = true }"#, json!({ "session_id": "a" }), true),
        (r#"{ field = "session_id", present = true }"#, json!({ "session_id": "" }), false),
        (r#"{ field = "session_id", present = false }"#, json!({}), true),
        (r#"{ field = "data.list", present = true }"#, json!({ "data": { "list": [] } }), true),
        (r#"{ not = { field = "method", equals = "GET" } }"#, json!({}), true),
        (r#"{ not = { field = "method", equals = "GET" } }"#, json!({ "method": "GET" }), false),
        (
            r#"{ all = [{ field = "method", equals = "GET" }, { field = "path", equals = "/" }] }"#,
            json!({ "method": "GET" }),
            false,
        ),
        (
            r#"{ all = [{ field = "method", equals = "GET" }, { field = "path", equals = "/" }] }"#,
            json!({ "method": "GET", "path": "/" }),
            true,
        ),
        (
            r#"{ any = [{ field = "method", equals = "GET" }, { field = "path", equals = "/" }] }"#,
            json!({ "path": "/" }),
            true,
        ),
        (
            r#"{ any = [{ field = "method", equals = "GET" }, { field = "path", equals = "/" }] }"#,
            json!({ "path": "/x", "method": "PUT" }),
            false,
        ),
    ] {
        let mut stage = blocking(condition);
        let event = event(&members);
        stage.event(&event);
        let decision = stage.decide(&json!({ "ip": event["ip"] }));
        assert_eq!(action(&decision) == "block", holds, "{condition} {members}");
    }
}

#[test]
fn a_policy_on_requests_sees_the_request() {
    let stage = Stage::of(
        r#"
        [[policy]]
        name = "p"
        on = "requests"
        match = { all = [
            { field = "session_id", equals = "s" },
            { field = "data.plan", equals = "free" },
            { field = "headers.Accept", contains = "html" },
            { field = "path", equals = "/" },
        ] }
        mitigation = { action = "monitor" }
        "#,
    );
    let mut request = json!({
        "ip": "203.0.113.7",
        "path": "/",
        "headers": { "accept": "text/html" },
        "metadata": { "plan": "free", "session_id": "s" },
    });
    let monitor = |request: &Value| stage.decide(request)["metadata"]["monitor"].clone();
    assert_eq!(monitor(&request), json!({ "policy": "p" }));
    request["metadata"]["plan"] = "paid".into();
    assert_eq!(monitor(&request), Value::Null);
}
