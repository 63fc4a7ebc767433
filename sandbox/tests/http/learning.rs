//! What events lead to which decisions.

use esper_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::caller::{Answer, Caller};

const IP: &str = "203.0.113.7";

/// The decision after so many events in much less than ten seconds.
async fn decision_after(events: usize) -> Value {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    caller.events(IP, events).await;
    caller.decide(IP).await
}

#[tokio::test]
async fn a_stranger_is_allowed_without_further_words() {
    assert_eq!(decision_after(0).await, json!({ "action": "allow", "score": 0.0 }));
}

#[tokio::test]
async fn sixty_one_events_are_challenged() {
    let decision = decision_after(61).await;
    assert_eq!(decision["action"], "challenge");
    assert_eq!(decision["reason"], "burst: 61 events in 10 s");
    assert_eq!(decision["score"], 52.2);
    assert_eq!(decision["metadata"], json!({ "policy": "burst" }));
    let challenge = &decision["challenge"];
    assert_eq!(challenge["type"], "proof_of_work");
    assert_eq!(challenge["params"]["algorithm"], "sha256");
    assert_eq!(challenge["params"]["difficulty"], 16);
    assert!(challenge["params"]["salt"].is_string() && challenge["token"].is_string());
}

#[tokio::test]
async fn two_hundred_and_one_events_are_blocked() {
    let expected = json!({
        "action": "block",
        "reason": "flood: more than 200 events in 10 s",
        "score": 95.0,
        "metadata": { "policy": "flood" },
    });
    assert_eq!(decision_after(201).await, expected);
}

#[tokio::test]
async fn another_address_or_user_agent_is_another_visitor() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for _ in 0..61 {
        caller.event(json!({ "type": "x", "ip": IP, "user_agent": "demo" })).await;
    }
    for (ip, user_agent, action) in [
        (IP, "demo", "challenge"),
        ("::ffff:203.0.113.7", "demo", "challenge"),
        (IP, "Demo", "allow"),
        ("203.0.113.8", "demo", "allow"),
    ] {
        let decision = caller.decide_about(json!({ "ip": ip, "user_agent": user_agent })).await;
        assert_eq!(decision["action"], action, "{ip} {user_agent}");
    }
    assert_eq!(caller.decide(IP).await["action"], "allow", "no user agent is another one");
}

#[tokio::test]
async fn an_event_without_an_address_is_nobodys() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for _ in 0..201 {
        caller.event(json!({ "type": "http_request" })).await;
    }
    assert_eq!(caller.decide(IP).await["score"], 0.0);
}

#[tokio::test]
async fn decisions_teach_nothing() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for _ in 0..300 {
        assert_eq!(caller.decide(IP).await, json!({ "action": "allow", "score": 0.0 }));
    }
}

#[tokio::test]
async fn an_event_delivered_again_counts_once() {
    let builder = Sandbox::builder().api_key("first").api_key("second");
    let sandbox = builder.start().await.expect("a sandbox");
    let (first, second) = (Caller::of(&sandbox), Caller::of(&sandbox).with_key("second"));
    let deliver = async |caller: &Caller, id: &str| {
        let event = json!({ "type": "http_request", "ip": IP });
        let request = caller.request("/v1/events").header("Idempotency-Key", id).json(&event);
        assert!(Answer::to(request).await.status.is_success());
    };
    for _ in 0..5 {
        deliver(&first, "0192f3c4-5d6e-7f80-91a2-b3c4d5e6f708").await;
        deliver(&first, "0192F3C4-5D6E-7F80-91A2-B3C4D5E6F708").await;
    }
    assert_eq!(first.decide(IP).await["score"], 0.5, "one event");
    deliver(&first, "0192f3c4-5d6e-7f80-91a2-b3c4d5e6f709").await;
    assert_eq!(first.decide(IP).await["score"], 1.0, "two events");
    deliver(&second, "0192f3c4-5d6e-7f80-91a2-b3c4d5e6f708").await;
    assert_eq!(first.decide(IP).await["score"], 1.5, "another key's event is another");
}

#[tokio::test]
async fn an_event_that_was_refused_can_be_sent_again() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    let deliver = async |event: Value| {
        let id = "0192f3c4-5d6e-7f80-91a2-b3c4d5e6f708";
        let request = caller.request("/v1/events").header("Idempotency-Key", id);
        Answer::to(request.json(&event)).await.status.as_u16()
    };
    assert_eq!(deliver(json!({ "type": " ", "ip": IP })).await, 400);
    assert_eq!(deliver(json!({ "type": "x", "ip": IP })).await, 202);
    assert_eq!(caller.decide(IP).await["score"], 0.5);
}

#[tokio::test]
async fn a_known_crawler_is_monitored_and_treated_like_anybody() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    let request = json!({ "ip": IP, "user_agent": "Mozilla/5.0 (compatible; gptbot/1.2)" });
    let monitor = json!({ "policy": "known_crawler", "word": "GPTBot" });

    let decision = caller.decide_about(request.clone()).await;
    let expected = json!({ "action": "allow", "score": 0.0, "metadata": { "monitor": monitor } });
    assert_eq!(decision, expected);

    let mut event = request.clone();
    event["type"] = "http_request".into();
    for _ in 0..61 {
        caller.event(event.clone()).await;
    }
    let decision = caller.decide_about(request).await;
    assert_eq!(decision["action"], "challenge");
    assert_eq!(decision["metadata"], json!({ "policy": "burst", "monitor": monitor }));
}
