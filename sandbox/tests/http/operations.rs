//! Every operation at its place, and nothing else.

use esper_sandbox::Sandbox;
use reqwest::{Client, Method, Version};
use serde_json::json;

use crate::caller::{Answer, Caller, posts};

#[tokio::test]
async fn every_operation_answers_with_its_documented_status() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for (path, body) in posts() {
        let expected = if path == "/v1/events" { 202 } else { 200 };
        assert_eq!(caller.post(path, body).await.status.as_u16(), expected, "{path}");
    }
    assert_eq!(caller.usage().await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_path_that_is_no_operation_is_not_found() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for path in ["/v1", "/v1/mitigate/", "/v1//mitigate", "/V1/mitigate", "/api/v1/mitigate"] {
        caller.post(path, json!({})).await.refusal(404, "not_found");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let sandbox = Sandbox::start().await;
    let http = Caller::of(&sandbox).http;
    let posts = posts().into_iter().map(|(path, _)| (path, "POST"));
    for (path, allowed) in posts.chain([("/v1/usage", "GET"), ("/healthz", "GET")]) {
        for method in [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ] {
            if method == allowed {
                continue;
            }
            let request = http.request(method.clone(), format!("{}{path}", sandbox.url()));
            let answer = Answer::to(request).await;
            assert_eq!(answer.status.as_u16(), 405, "{method} {path}");
            let allow: Vec<_> = answer.headers.get_all("allow").iter().collect();
            assert_eq!(allow, [allowed], "{method} {path}");
            if method != Method::HEAD {
                answer.refusal(405, "method_not_allowed");
            }
        }
    }
}

#[tokio::test]
async fn health_is_told_without_a_key() {
    let sandbox = Sandbox::start().await;
    let request = Caller::of(&sandbox).http.get(format!("{}/healthz", sandbox.url()));
    let answer = Answer::to(request).await;
    assert_eq!((answer.status.as_u16(), answer.body), (200, json!("ok")));
}

#[tokio::test]
async fn http_2_is_spoken_without_tls() {
    let sandbox = Sandbox::start().await;
    let http = Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    let request = http.post(format!("{}/v1/mitigate", sandbox.url()));
    let request = request.bearer_auth(sandbox.api_key()).json(&json!({ "ip": "203.0.113.7" }));
    let response = request.send().await.expect("an answer");
    assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
}

#[tokio::test]
async fn usage_counts_the_decisions_of_each_key() {
    let builder = Sandbox::builder().api_key("first").api_key("second");
    let sandbox = builder.start().await.expect("a sandbox");
    let (first, second) = (Caller::of(&sandbox), Caller::of(&sandbox).with_key("second"));

    first.decide("203.0.113.1").await;
    second.events("203.0.113.2", 61).await;
    first.decide("203.0.113.2").await;
    second.events("203.0.113.2", 140).await;
    first.decide("203.0.113.2").await;
    first.decide("203.0.113.2").await;
    first.post("/v1/mitigate", json!({})).await.refusal(400, "invalid_request");

    let usage = first.usage().await.body;
    let period = usage["period"].as_str().expect("a period");
    assert!(period.len() == 7 && period.as_bytes()[4] == b'-', "{period}");
    let expected = json!({
        "requests": 4, "allowed": 1, "challenged": 1, "blocked": 2, "period": period,
    });
    assert_eq!(usage, expected);
    assert_eq!(second.usage().await.body["requests"], 0);
}
