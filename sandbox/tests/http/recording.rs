//! What a test can see of the requests, and of the time.

use std::time::Duration;

use esper_sandbox::{Fault, Operation, Sandbox};
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use crate::caller::{Answer, Caller, posts};
use crate::raw::PATIENCE;

const IP: &str = "203.0.113.7";

#[tokio::test]
async fn requests_are_recorded_in_their_order_without_keys() {
    let builder = Sandbox::builder().api_key("sk_secret");
    let sandbox = builder.start().await.expect("a sandbox");
    let caller = Caller::of(&sandbox);
    for (path, body) in posts() {
        let call =
            caller.request(path).header("X-Esper-Api-Key", "sk_secret").header("X-Own", "a: b");
        Answer::to(call.json(&body)).await;
    }
    caller.usage().await;
    caller.post("/v1/elsewhere?token=1", json!({})).await;

    let requests = sandbox.requests();
    assert!(!format!("{requests:?}").contains("sk_secret"), "{requests:?}");
    let seen: Vec<_> = requests
        .iter()
        .map(|it| (it.number(), it.method(), it.path(), it.operation(), it.status()))
        .collect();
    let expected = [
        (1, "POST", "/v1/mitigate", Some(Operation::CheckMitigation), Some(200)),
        (2, "POST", "/v1/verify", Some(Operation::VerifyChallenge), Some(200)),
        (
            3,
            "POST",
            "/api/v1/challenge/proof/verify",
            Some(Operation::VerifyChallengeProof),
            Some(200),
        ),
        (4, "POST", "/v1/events", Some(Operation::SendBeaconEvent), Some(202)),
        (5, "GET", "/v1/usage", Some(Operation::GetUsage), Some(200)),
        (6, "POST", "/v1/elsewhere", None, Some(404)),
    ];
    assert_eq!(seen, expected);
    for (request, (_, body)) in requests.iter().zip(posts()) {
        assert_eq!(request.body(), Some(&body));
        assert_eq!(request.header("x-OWN"), Some("a: b"));
        assert_eq!(request.header("content-type"), Some("application/json"));
    }
    assert_eq!(requests[4].body(), None);
}

#[tokio::test]
async fn a_request_shows_the_status_that_its_caller_saw() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    let faults = sandbox.faults();
    for fault in [Fault::status(503), Fault::reset(), Fault::lost_answer(), Fault::truncated()] {
        faults.add(fault.times(1));
    }
    for _ in 0..4 {
        // Some of them have no answer, and that is the point.
        let _ = caller.request("/v1/mitigate").json(&json!({ "ip": IP })).send().await;
    }
    let statuses: Vec<_> = sandbox.requests().iter().map(|request| request.status()).collect();
    assert_eq!(statuses, [Some(503), None, None, Some(200)]);
}

#[tokio::test]
async fn what_is_recorded_is_bounded() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    let long = "x".repeat(20_000);
    for _ in 0..2 {
        caller.event(json!({ "type": long })).await;
    }
    let text = caller.request("/v1/events").header(CONTENT_TYPE, "application/json").body("{");
    Answer::to(text.header("x-long", &long)).await;
    assert!(sandbox.requests().iter().all(|request| request.body().is_none()));
    assert_eq!(sandbox.requests()[2].header("x-long"), None);
    for _ in 0..1000 {
        caller.usage().await;
    }
    let requests = sandbox.requests();
    assert_eq!((requests.len(), requests[0].number(), sandbox.request_count()), (1000, 4, 1003));
}

#[tokio::test]
async fn the_health_is_not_recorded() {
    let sandbox = Sandbox::start().await;
    Answer::to(Caller::of(&sandbox).http.get(format!("{}/healthz", sandbox.url()))).await;
    assert_eq!(sandbox.request_count(), 0);
}

#[tokio::test]
async fn an_advanced_clock_ends_windows_and_mitigations() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    caller.events(IP, 61).await;
    assert_eq!(caller.decide(IP).await["action"], "challenge");
    sandbox.advance(Duration::from_secs(61));
    assert_eq!(caller.decide(IP).await, json!({ "action": "allow", "score": 0.0 }));
}

#[tokio::test]
async fn an_advanced_clock_renews_the_rate_limit() {
    let builder = Sandbox::builder().requests_per_minute(1);
    let sandbox = builder.start().await.expect("a sandbox");
    let caller = Caller::of(&sandbox);
    for _ in 0..3 {
        assert_eq!(caller.usage().await.status, 200);
        caller.usage().await.refusal(429, "rate_limited");
        sandbox.advance(Duration::from_secs(60));
    }
}

#[tokio::test]
async fn events_can_be_waited_for() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    let sending = async {
        for _ in 0..5 {
            caller.event(json!({ "type": "x" })).await;
        }
    };
    let (came, ()) = tokio::join!(sandbox.wait_for_events(5, PATIENCE), sending);
    came.expect("five events");
    sandbox.wait_for_events(0, Duration::ZERO).await.expect("they are there already");
    sandbox.wait_for_events_blocking(5, Duration::ZERO).expect("they are there already");
}

#[tokio::test]
async fn too_few_events_are_an_error_that_tells_how_many_came() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    caller.events(IP, 2).await;
    caller.post("/v1/events", json!({})).await.refusal(400, "invalid_request");
    let limit = Duration::from_millis(10);
    let error = sandbox.wait_for_events(3, limit).await.expect_err("too few");
    assert_eq!(
        (error.came(), error.to_string().as_str()),
        (2, "2 of 3 events were accepted within 10ms")
    );
    assert_eq!(sandbox.wait_for_events_blocking(3, limit), Err(error));
}

#[tokio::test]
async fn an_event_that_is_delivered_again_is_waited_for_once() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for _ in 0..3 {
        let id = "0192f3c4-5d6e-7f80-91a2-b3c4d5e6f708";
        let request = caller.request("/v1/events").header("Idempotency-Key", id);
        Answer::to(request.json(&json!({ "type": "x" }))).await;
    }
    let error = sandbox.wait_for_events(2, Duration::ZERO).await.expect_err("too few");
    assert_eq!(error.came(), 1);
}
