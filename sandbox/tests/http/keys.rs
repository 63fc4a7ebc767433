//! Who is let in, and how often.

use esper_sandbox::Sandbox;
use serde_json::json;

use crate::caller::{Answer, Caller, posts};

#[tokio::test]
async fn every_operation_refuses_a_wrong_key_before_it_reads_the_body() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox).with_key("wrong");
    for (path, _) in posts() {
        for body in ["not json", "{}"] {
            let answer = Answer::to(caller.request(path).body(body)).await;
            let message = answer.refusal(401, "unauthorized");
            let header = if path == "/v1/events" { "X-Esper-Key" } else { "Authorization" };
            assert!(message.starts_with("the API key is missing or wrong; "), "{path}: {message}");
            assert!(message.contains(header), "{path}: {message}");
        }
        let large = caller.request(path).body(vec![b' '; 2 << 20]);
        Answer::to(large).await.refusal(401, "unauthorized");
    }
    caller.usage().await.refusal(401, "unauthorized");
}

#[tokio::test]
async fn every_operation_refuses_a_missing_key() {
    let sandbox = Sandbox::start().await;
    let http = Caller::of(&sandbox).http;
    for (path, body) in posts() {
        let request = http.post(format!("{}{path}", sandbox.url())).json(&body);
        let answer = Answer::to(request).await;
        answer.refusal(401, "unauthorized");
        let challenge = match path {
            "/v1/events" => "ApiKey header=\"X-Esper-Key\"",
            _ => "Bearer",
        };
        assert_eq!(answer.headers["www-authenticate"], challenge, "{path}");
    }
    let request = http.get(format!("{}/v1/usage", sandbox.url()));
    let answer = Answer::to(request).await;
    answer.refusal(401, "unauthorized");
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn a_key_counts_in_its_own_header_alone() {
    let sandbox = Sandbox::start().await;
    let http = Caller::of(&sandbox).http;
    for (path, body) in posts() {
        let request = http.post(format!("{}{path}", sandbox.url())).json(&body);
        let request = match path {
            "/v1/events" => request.bearer_auth(sandbox.api_key()),
            _ => request.header("X-Esper-Key", sandbox.api_key()),
        };
        Answer::to(request).await.refusal(401, "unauthorized");
    }
}

#[tokio::test]
async fn two_keys_at_once_are_no_key() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for (path, body) in posts() {
        let header = if path == "/v1/events" { "X-Esper-Key" } else { "Authorization" };
        let request = caller.request(path).header(header, "Bearer other").json(&body);
        Answer::to(request).await.refusal(401, "unauthorized");
    }
}

#[tokio::test]
async fn the_scheme_of_a_bearer_key_may_be_in_any_case() {
    let sandbox = Sandbox::start().await;
    let http = Caller::of(&sandbox).http;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = http.get(format!("{}/v1/usage", sandbox.url()));
        let request = request.header("Authorization", format!("{scheme} {}", sandbox.api_key()));
        assert_eq!(Answer::to(request).await.status.as_u16(), 200, "{scheme}");
    }
}

#[tokio::test]
async fn every_configured_key_is_accepted_and_the_default_one_is_not() {
    let builder = Sandbox::builder().api_key("first").api_key("second");
    let sandbox = builder.start().await.expect("a sandbox");
    assert_eq!(sandbox.api_key(), "first");
    for (key, status) in [("first", 200), ("second", 200), (Sandbox::DEFAULT_API_KEY, 401)] {
        let answer = Caller::of(&sandbox).with_key(key).usage().await;
        assert_eq!(answer.status.as_u16(), status, "{key}");
    }
}

#[tokio::test]
async fn a_key_that_no_header_carries_is_refused_without_being_shown() {
    for key in ["", "secret\n", "s\u{e9}cret"] {
        let builder = Sandbox::builder().api_key("good").api_key(key);
        let error = builder.start().await.expect_err("a bad key");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(!error.to_string().contains("cret"), "{error}");
    }
}

#[tokio::test]
async fn a_used_up_rate_limit_tells_when_to_come_back() {
    let builder = Sandbox::builder().api_key("first").api_key("second").requests_per_minute(3);
    let sandbox = builder.start().await.expect("a sandbox");
    let (first, second) = (Caller::of(&sandbox), Caller::of(&sandbox).with_key("second"));

    // Another's wrong key costs nobody anything.
    Caller::of(&sandbox).with_key("wrong").usage().await.refusal(401, "unauthorized");
    for _ in 0..3 {
        assert_eq!(first.usage().await.status.as_u16(), 200);
    }
    for (path, body) in posts() {
        let answer = first.post(path, body).await;
        answer.refusal(429, "rate_limited");
        assert_eq!(answer.body["details"], json!({ "limit_per_minute": 3 }));
        let wait = answer.headers["retry-after"].to_str().expect("text");
        let wait: u32 = wait.parse().expect("seconds");
        assert!((1..=60).contains(&wait), "{wait}");
    }
    first.usage().await.refusal(429, "rate_limited");
    assert_eq!(second.usage().await.status.as_u16(), 200, "limits are independent");
}

#[tokio::test]
async fn a_rate_limit_of_nothing_is_refused() {
    let error = Sandbox::builder().requests_per_minute(0).start().await.expect_err("no limit");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
