//! What a guard says in the log.

use esper_rs_client::{FallbackReason, MitigationRequest};

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
    guard.warm().await;
    for _ in 1..50 {
        assert_eq!(reason(&guard.decide(&request()).await), FallbackReason::Unauthorized);
    }
    assert_eq!(log.lines("ERROR"), 1, "{}", log.text());
    assert!(log.text().contains("refuses the api key"), "{}", log.text());
    assert_eq!(guard.decide(&request()).await.fallback_reason(), None);
    assert!(log.text().contains("accepts the api key again"), "{}", log.text());
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
