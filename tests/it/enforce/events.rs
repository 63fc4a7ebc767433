//! What Esper is told of how requests ended.

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use esper_rs_client::AsyncEsperClient;
use esper_rs_client::enforce::{EnforceLayer, Rule};
use esper_sandbox::Operation;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::echo::{Echo, asked, events, layer};
use super::site::until;
use crate::support::{config, patient, sandbox};

fn outcome(event: &Value) -> [&Value; 7] {
    let data = &event["data"];
    let (kind, method, path) = (&event["type"], &event["method"], &event["path"]);
    [kind, method, path, &data["status"], &data["action"], &data["source"], &data["enforced"]]
}

#[tokio::test]
async fn one_event_tells_of_each_request_that_is_not_exempt() {
    let sandbox = sandbox().await;
    let layer = layer(sandbox.url()).with_path("/watched", Rule::monitor()).unwrap();
    let failing = async || StatusCode::INTERNAL_SERVER_ERROR;
    let echo = Echo::of(|application| {
        Router::new().route("/failing", get(failing)).fallback_service(application).layer(layer)
    })
    .await;
    let headers = [("user-agent", "curl/8"), ("x-request-id", "id-1")];
    let mut told = 0;
    for (line, expected) in [
        ("GET /?token=1", Some(json!(["GET", "/", 200, "allow", "service", true]))),
        ("GET /failing", Some(json!(["GET", "/failing", 500, "allow", "service", true]))),
        ("GET /healthz", None),
        ("BREW /x", Some(json!(["BREW", "/x", 200, "allow", "service", true]))),
        ("POST /pay", Some(json!(["POST", "/pay", 403, "block", "service", true]))),
        ("GET /watched", Some(json!(["GET", "/watched", 200, "block", "service", false]))),
        ("GET /pay", Some(json!(["GET", "/pay", 429, "challenge", "service", true]))),
    ] {
        match line {
            "POST /pay" => sandbox.block("127.0.0.1"),
            "GET /pay" => sandbox.challenge("127.0.0.1"),
            _ => {}
        }
        let sent = Instant::now();
        let answer = echo.send(line, &headers).await;
        let elapsed = sent.elapsed().as_secs_f64() * 1e3;
        let Some(expected) = expected else { continue };
        assert_eq!(expected[2], answer.status());
        // Events may overtake each other, so that each is waited for.
        told += 1;
        let event = events(&sandbox, told).await.pop().unwrap();
        let [kind, rest @ ..] = outcome(&event);
        assert_eq!((kind, &json!(rest)), (&json!("http_request"), &expected));
        assert_eq!(event["ip"], "127.0.0.1");
        assert_eq!(event["user_agent"], "curl/8");
        assert_eq!(event["data"]["request_id"], "id-1");
        let duration = event["data"]["duration_ms"].as_f64().unwrap();
        assert!((1e-3..=elapsed).contains(&duration), "{duration} ms of {elapsed}");
    }
    assert_eq!(events(&sandbox, told).await.len(), 6, "one for each");
}

#[tokio::test]
async fn an_event_names_the_failure_without_which_esper_would_have_decided() {
    let sandbox = sandbox().await;
    let fault = esper_sandbox::Fault::status(429).on(Operation::CheckMitigation);
    sandbox.faults().add(fault);
    let echo = Echo::behind(layer(sandbox.url())).await;
    assert_eq!(echo.send("GET /", &[]).await.status(), 200);
    let events = events(&sandbox, 1).await;
    let data = &events[0]["data"];
    assert_eq!((&data["source"], &data["fallback"]), (&json!("fallback"), &json!("rate_limited")));
}

/// Whoever ends the connection early must not stay unknown.
#[tokio::test]
async fn an_event_tells_of_a_request_whose_client_went_away_as_well() {
    let sandbox = sandbox().await;
    let layer = layer(sandbox.url());
    let guard = layer.guard().clone();
    let endless = async || std::future::pending::<()>().await;
    let echo = Echo::of(|_| Router::new().fallback(endless).layer(layer)).await;
    let mut client = TcpStream::connect(echo.addr).await.unwrap();
    client.write_all(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    until(|| guard.stats().by_service == 1).await;
    drop(client);
    let events = events(&sandbox, 1).await;
    let [_, method, path, status, action, ..] = outcome(&events[0]);
    assert_eq!((method, path, action), (&json!("GET"), &json!("/endless"), &json!("allow")));
    assert_eq!(status, &Value::Null, "there was no answer");
}

/// Nor whoever ends it before there is a decision.
#[tokio::test]
async fn an_event_tells_of_a_request_whose_client_went_away_before_the_decision() {
    let sandbox = sandbox().await;
    sandbox.faults().add(esper_sandbox::Fault::silence().on(Operation::CheckMitigation));
    let echo = Echo::behind(layer(sandbox.url())).await;
    let mut client = TcpStream::connect(echo.addr).await.unwrap();
    client.write_all(b"GET /impatient HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    until(|| !asked(&sandbox).is_empty()).await;
    drop(client);
    let events = events(&sandbox, 1).await;
    let [kind, method, path, status, action, source, enforced] = outcome(&events[0]);
    assert_eq!((kind, method, path), (&json!("http_request"), &json!("GET"), &json!("/impatient")));
    assert_eq!((status, action, source), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(enforced, &json!(true));
    assert_eq!(echo.calls(), 0);
}

#[tokio::test]
async fn the_share_of_requests_that_events_tell_of_is_exact() {
    for (share, told) in [(0.0, 0), (0.25, 10), (1.0, 40), (-1.0, 0), (7.0, 40), (f64::NAN, 0)] {
        let sandbox = sandbox().await;
        let client = AsyncEsperClient::new(config(sandbox.url())).unwrap();
        let beacons = client.beacons();
        let layer = EnforceLayer::new(patient(client)).with_telemetry_share(share);
        let echo = Echo::behind(layer).await;
        for _ in 0..40 {
            assert_eq!(echo.send("GET /", &[]).await.status(), 200);
        }
        beacons.flush(Duration::from_secs(20)).await;
        let stats = beacons.stats();
        assert_eq!((stats.accepted, stats.delivered), (told, told), "{share}: {stats:?}");
    }
}
