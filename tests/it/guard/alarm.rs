//! What a guard says in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use esper_rs_client::{FallbackReason, MitigationRequest};
use tracing::{Instrument, Level, info, info_span};

use super::{guard, reason, request};
use crate::support::thread_log::ThreadLog;
use crate::support::{Answer, KEY, RawServer};

#[tokio::test]
async fn a_refused_key_is_one_loud_line_however_many_decisions_it_costs() {
    let (log, _subscribed) = ThreadLog::start();
    let server = RawServer::start(|number, _| match number {
        50 => Answer::allow(),
        _ => Answer::json(401, r#"{"message":"the API key is wrong"}"#),
    });
    let guard = guard(&server.url());
    assert!(guard.warm().await.is_err_and(|error| error.status().is_some()));
    for _ in 1..50 {
        assert_eq!(reason(&guard.decide(&request()).await), FallbackReason::Unauthorized);
    }
    assert_eq!(log.lines("ERROR"), 1, "{}", log.text());
    assert!(log.text().contains("rejects the api key"), "{}", log.text());
    assert_eq!(guard.decide(&request()).await.fallback_reason(), None);
    assert!(log.text().contains("accepts the api key again"), "{}", log.text());
}

#[tokio::test]
async fn answers_that_are_no_decisions_are_one_warning_that_names_the_url_to_check() {
    type Case = (fn() -> Answer, FallbackReason);
    let cases: [Case; 3] = [
        (|| Answer::html(200, "<html>a portal"), FallbackReason::Undecodable),
        (|| Answer::status(404), FallbackReason::Refused),
        (
            || Answer::Http(301, vec![("location", "/elsewhere".into())], String::new()),
            FallbackReason::Refused,
        ),
    ];
    for (answer, expected) in cases {
        let (log, _subscribed) = ThreadLog::start();
        // Single ones between decisions, as a visitor may bring them about, and then no others.
        let server = RawServer::start(move |number, _| match number {
            2 | 4 | 20 => Answer::allow(),
            _ => answer(),
        });
        let guard = guard(&server.url());
        for number in 0..20 {
            let decision = guard.decide(&request()).await;
            let is_answer = matches!(number, 2 | 4);
            assert_eq!(decision.fallback_reason(), (!is_answer).then_some(expected), "{number}");
            assert_eq!(log.lines("WARN"), usize::from(number >= 9), "{number}: {}", log.text());
        }
        assert!(log.text().contains("check ESPER_API_URL"), "{}", log.text());
        assert_eq!(guard.decide(&request()).await.fallback_reason(), None);
        assert!(log.text().contains("esper decides again"), "{}", log.text());
    }
}

#[tokio::test]
async fn a_key_that_is_refused_after_its_rate_limit_is_as_loud_and_a_warm_up_ends_no_other_alarm() {
    let (log, _subscribed) = ThreadLog::start();
    let revoked = Arc::new(AtomicBool::new(false));
    let is_revoked = Arc::clone(&revoked);
    let server = RawServer::start(move |_, request| match is_revoked.load(Ordering::SeqCst) {
        _ if request.method == "GET" => Answer::json(200, USAGE),
        false => Answer::status(429),
        true => Answer::status(401),
    });
    let guard = guard(&server.url());
    for _ in 0..10 {
        assert_eq!(reason(&guard.decide(&request()).await), FallbackReason::RateLimited);
    }
    assert_eq!((log.lines("WARN"), log.lines("ERROR")), (1, 0), "{}", log.text());
    guard.warm().await.unwrap();
    assert!(!log.text().contains("decides again"), "{}", log.text());
    revoked.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(reason(&guard.decide(&request()).await), FallbackReason::Unauthorized);
    }
    assert_eq!((log.lines("WARN"), log.lines("ERROR")), (1, 1), "{}", log.text());
}

#[tokio::test]
async fn a_breaker_that_opens_is_a_warning_and_neither_key_nor_visitor_is_logged() {
    let (log, _subscribed) = ThreadLog::start();
    let server = RawServer::always(|| Answer::status(500));
    let guard = guard(&server.url());
    let request = MitigationRequest::new("203.0.113.250").with_user_agent("canary\nERROR forged");
    for _ in 0..20 {
        let _ = guard.decide(&request).await;
    }
    assert_eq!((log.lines("WARN"), log.lines("ERROR")), (1, 0), "{}", log.text());
    assert!(log.text().contains("fallback=\"breaker_open\""), "{}", log.text());
    for secret in [KEY, "203.0.113.250", "canary"] {
        assert!(!log.text().contains(secret), "{secret}: {}", log.text());
    }
}

#[tokio::test]
async fn an_outage_is_one_warning_with_its_cause_however_many_probes_fail() {
    let (log, _subscribed) = ThreadLog::start();
    let server = RawServer::always(|| Answer::json(500, r#"{"message":"out of order"}"#));
    let guard = guard(&server.url()).with_breaker(1, Duration::ZERO);
    for _ in 0..10 {
        assert_eq!(reason(&guard.decide(&request()).await), FallbackReason::ServerError);
    }
    assert_eq!(log.lines("WARN"), 1, "{}", log.text());
    let warning = log.text().lines().find(|line| line.contains(" WARN ")).unwrap().to_owned();
    assert!(warning.contains("reason=server_error"), "{warning}");
    assert!(warning.contains("out of order"), "{warning}");
}

#[tokio::test]
async fn the_callers_own_span_keeps_its_fields_where_that_of_a_decision_is_not_enabled() {
    let (log, _subscribed) = ThreadLog::start_at(Level::INFO);
    let server = RawServer::always(|| Answer::status(400));
    let guard = guard(&server.url());
    let span = info_span!("request", action = "checkout", held = "a lock");
    async {
        let _ = guard.decide(&request()).await;
        info!("handled");
    }
    .instrument(span)
    .await;
    let text = log.text();
    assert!(text.contains("request{action=\"checkout\" held=\"a lock\"}"), "{text}");
}

const USAGE: &str = r#"{"requests":1,"blocked":0,"challenged":0,"allowed":1,"period":"2026-11"}"#;
