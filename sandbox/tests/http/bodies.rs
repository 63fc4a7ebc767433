//! What a body must be, member by member.

use esper_sandbox::Sandbox;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::caller::{Answer, Caller, posts};

const MITIGATE: &str = "/v1/mitigate";
const VERIFY: &str = "/v1/verify";
const PROOF: &str = "/api/v1/challenge/proof/verify";
const EVENTS: &str = "/v1/events";

/// Asserts that each body is refused with a message that begins with the member's name.
async fn refused(path: &str, bodies: &[(Value, &str)]) {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for (body, expected) in bodies {
        let answer = caller.post(path, body.clone()).await;
        let message = answer.refusal(400, "invalid_request");
        assert!(message.starts_with(expected), "{body}: {message}");
        let member = expected.split_once(':').expect("a member").0;
        assert_eq!(answer.body["details"], json!({ "member": member }), "{body}");
    }
}

#[tokio::test]
async fn a_mitigation_request_is_refused_by_the_member_at_fault() {
    let ip = "203.0.113.7";
    let bodies = [
        (json!({}), "ip: is required"),
        (json!({ "ip": null }), "ip: is required"),
        (json!({ "ip": "nowhere" }), "ip: not an IP address"),
        (json!({ "ip": "203.0.113.7:443" }), "ip: not an IP address"),
        (json!({ "ip": 5 }), "ip: invalid type: integer `5`, expected a string"),
        (json!({ "ip": ip, "user_agent": 5 }), "user_agent: invalid type"),
        (json!({ "ip": ip, "path": [] }), "path: invalid type"),
        (json!({ "ip": ip, "method": {} }), "method: invalid type"),
        (json!({ "ip": ip, "headers": "x" }), "headers: invalid type"),
        (json!({ "ip": ip, "headers": { "accept": 1 } }), "headers.accept: invalid type"),
        (json!({ "ip": ip, "metadata": [] }), "metadata: invalid type"),
        (json!({ "ip": ip, "return_url": "/here" }), "return_url: not an absolute"),
    ];
    refused(MITIGATE, &bodies).await;
}

#[tokio::test]
async fn a_verification_is_refused_by_the_member_at_fault() {
    let bodies = [
        (json!({}), "token: is required"),
        (json!({ "token": "x" }), "response: is required"),
        (json!({ "token": "", "response": "1" }), "token: must not be empty"),
        (json!({ "token": "x", "response": "" }), "response: must not be empty"),
        (json!({ "token": 1, "response": "1" }), "token: invalid type"),
        (json!({ "token": "x", "response": 48213 }), "response: invalid type"),
    ];
    refused(VERIFY, &bodies).await;
}

#[tokio::test]
async fn a_proof_is_refused_by_the_member_at_fault() {
    let ip = "203.0.113.7";
    let bodies = [
        (json!({ "ip": ip }), "proof: is required"),
        (json!({ "proof": "", "ip": ip }), "proof: must not be empty"),
        (json!({ "proof": "x" }), "ip: is required"),
        (json!({ "proof": "x", "ip": "nowhere" }), "ip: not an IP address"),
        (json!({ "proof": "x", "ip": ip, "user_agent": 1 }), "user_agent: invalid type"),
    ];
    refused(PROOF, &bodies).await;
}

#[tokio::test]
async fn an_event_is_refused_by_the_member_at_fault() {
    let bodies = [
        (json!({}), "type: is required"),
        (json!({ "type": "" }), "type: must not be blank"),
        (json!({ "type": " \t" }), "type: must not be blank"),
        (json!({ "type": 1 }), "type: invalid type"),
        (json!({ "type": "x", "timestamp": -1 }), "timestamp: must not be negative"),
        (json!({ "type": "x", "timestamp": 1.5 }), "timestamp: invalid type"),
        (json!({ "type": "x", "timestamp": "now" }), "timestamp: invalid type"),
        (json!({ "type": "x", "timestamp": u64::MAX }), "timestamp: invalid value"),
        (json!({ "type": "x", "ip": "nowhere" }), "ip: not an IP address"),
        (json!({ "type": "x", "session_id": 1 }), "session_id: invalid type"),
        (json!({ "type": "x", "data": 1 }), "data: invalid type"),
    ];
    refused(EVENTS, &bodies).await;
}

#[tokio::test]
async fn an_idempotency_key_is_a_uuid_of_version_7_as_uuids_are_written() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for value in [
        "",
        "1",
        "0192f3c4-5d6e-7f80-91a2-b3c4d5e6f70",
        "0192f3c4-5d6e-4f80-91a2-b3c4d5e6f708",
        "0192f3c4-5d6e-7f80-01a2-b3c4d5e6f708",
        "0192f3c45d6e7f8091a2b3c4d5e6f708",
        "{0192f3c4-5d6e-7f80-91a2-b3c4d5e6f708}",
        "urn:uuid:0192f3c4-5d6e-7f80-91a2-b3c4d5e6f708",
    ] {
        let request = caller.request(EVENTS).json(&json!({ "type": "x" }));
        let answer = Answer::to(request.header("Idempotency-Key", value)).await;
        let message = answer.refusal(400, "invalid_request");
        let expected = "Idempotency-Key: not a UUID of version 7 with hyphens";
        assert_eq!(message, expected, "{value:?}");
    }
}

#[tokio::test]
async fn what_is_no_json_object_is_refused_by_every_operation() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for (path, _) in posts() {
        for (body, expected) in [
            (&b""[..], "the body is not a JSON object"),
            (b"ip=203.0.113.7", "the body is not a JSON object"),
            (b"null", "the body is not a JSON object"),
            (b"[\"203.0.113.7\"]", "the body is not a JSON object"),
            (b"{", "the body is not valid JSON"),
            (b"{}{}", "the body is not valid JSON"),
            (b"{\"ip\":\"\xff\"}", "the body is not encoded as UTF-8"),
        ] {
            let request = caller.request(path).header(CONTENT_TYPE, "application/json");
            let answer = Answer::to(request.body(body)).await;
            let message = answer.refusal(400, "invalid_request");
            assert!(message.starts_with(expected), "{path}: {message}");
        }
    }
}

#[tokio::test]
async fn a_body_is_declared_as_json() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for (path, body) in posts() {
        let body = body.to_string();
        for wrong in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
            let request = caller.request(path).header(CONTENT_TYPE, wrong).body(body.clone());
            Answer::to(request).await.refusal(415, "unsupported_media_type");
        }
        let undeclared = Answer::to(caller.request(path).body(body.clone())).await;
        undeclared.refusal(415, "unsupported_media_type");
        for right in ["application/json; charset=utf-8", "Application/JSON"] {
            let request = caller.request(path).header(CONTENT_TYPE, right).body(body.clone());
            assert!(Answer::to(request).await.status.is_success(), "{path} {right}");
        }
    }
}

#[tokio::test]
async fn a_body_has_one_mebibyte_at_most() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for (path, body) in posts() {
        let mut body = body.to_string();
        body.extend(std::iter::repeat_n(' ', (1 << 20) - body.len()));
        let request = |body: &str| {
            caller.request(path).header(CONTENT_TYPE, "application/json").body(body.to_owned())
        };
        assert!(Answer::to(request(&body)).await.status.is_success(), "{path}");
        body.push(' ');
        let answer = Answer::to(request(&body)).await;
        let message = answer.refusal(413, "content_too_large");
        assert_eq!(message, "the request body has more than 1048576 bytes");
    }
}

#[tokio::test]
async fn members_that_are_unknown_or_only_looked_at_are_accepted() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    let request = json!({
        "ip": "2001:db8::7", "user_agent": "demo", "path": "/checkout", "method": "POST",
        "headers": { "accept-language": "de-CH" }, "body": [1, { "items": 2 }, null],
        "metadata": { "session_id": "session-123" },
        "return_url": "https://shop.example.net/checkout", "tomorrow": true,
    });
    assert_eq!(caller.decide_about(request).await["action"], "allow");
    let event = json!({
        "type": "http_request", "timestamp": 1_732_406_400_000_u64, "ip": "203.0.113.7",
        "user_agent": "demo", "path": "/login", "method": "POST", "session_id": "session-123",
        "data": { "status": 200, "duration_ms": 12.5 }, "tomorrow": true,
    });
    caller.event(event).await;
}

#[tokio::test]
async fn a_message_stays_short_whatever_was_sent() {
    let sandbox = Sandbox::start().await;
    let body = json!({ "type": "x", "timestamp": "9".repeat(500_000) });
    let answer = Caller::of(&sandbox).post(EVENTS, body).await;
    assert!(answer.refusal(400, "invalid_request").len() < 1000);
}
