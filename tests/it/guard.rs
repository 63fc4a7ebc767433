//! What a guard answers, by whom, and when.

use std::time::Duration;

use esper_rs_client::{
    Decision, DecisionSource, EsperError, FailurePolicy, FallbackReason, Guard, MitigationAction,
    MitigationRequest,
};

use crate::support::{Answer, ClosedPort, KEY, RawServer, guard, sandbox};

mod alarm;
mod breaker;
mod cancellation;
mod deadline;
mod load;

fn request() -> MitigationRequest {
    MitigationRequest::new("192.0.2.1").with_user_agent("a browser")
}

fn reason(decision: &Decision) -> FallbackReason {
    decision.fallback_reason().unwrap_or_else(|| panic!("{decision:?}"))
}

fn verdict(action: &str) -> Answer {
    let challenge = r#"{"type":"turnstile","token":"a token","params":{"site_key":"a site"}}"#;
    Answer::json(
        200,
        &format!(r#"{{"action":"{action}","reason":"flood","challenge":{challenge}}}"#),
    )
}

/// Every decision has one end, and nothing is under way.
fn assert_settled(guard: &Guard) {
    let stats = guard.stats();
    let ended = stats.by_service + stats.fallbacks.total() + stats.cancelled;
    assert_eq!((stats.decisions, stats.in_flight), (ended, 0), "{stats:?}");
}

#[tokio::test]
async fn the_service_decides_and_a_decision_says_so() {
    let sandbox = sandbox().await;
    let guard = guard(sandbox.url());
    guard.warm().await.unwrap();
    let decision = guard.decide(&request()).await;
    assert_eq!(
        (decision.action, decision.source),
        (MitigationAction::Allow, DecisionSource::Service)
    );
    assert!(decision.is_allowed() && decision.response().is_some() && decision.error().is_none());
    assert_eq!(guard.stats().by_service, 1);
    assert_settled(&guard);

    let server = RawServer::always(|| verdict("challenge"));
    let decision = self::guard(&server.url()).decide(&request()).await;
    assert_eq!(decision.action, MitigationAction::Challenge);
    assert_eq!(decision.open_challenge().unwrap().token, "a token");
    assert_eq!(decision.response().unwrap().reason.as_deref(), Some("flood"));
}

/// An answer that is no decision, with the reason and the number of requests that it leads to.
type Case = (fn() -> Answer, FallbackReason, usize);

fn failures() -> Vec<Case> {
    use FallbackReason::*;
    let mut failures: Vec<Case> = vec![
        (|| Answer::status(500), ServerError, 2),
        (|| Answer::Http(503, vec![], "<html>".into()), ServerError, 2),
        (|| Answer::status(501), ServerError, 1),
        (|| Answer::Close, Connection, 2),
        (|| Answer::Bytes(b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n{".to_vec()), Connection, 2),
        (|| Answer::json(429, r#"{"message":"m"}"#), RateLimited, 2),
        (|| Answer::json(401, r#"{"message":"m"}"#), Unauthorized, 1),
        (|| Answer::status(403), Unauthorized, 1),
        (|| Answer::status(400), Refused, 1),
        (|| Answer::status(413), Refused, 1),
        (
            || Answer::Http(302, vec![("location", "http://127.0.0.1:1/".into())], String::new()),
            Refused,
            1,
        ),
    ];
    let undecodable: [fn() -> Answer; 8] = [
        || Answer::json(200, ""),
        || Answer::json(200, "null"),
        || Answer::json(200, "{\"action\""),
        || Answer::json(200, r#"{"reason":"no action"}"#),
        || Answer::json(200, r#"{"action":"rate_limit"}"#),
        || Answer::html(200, "<p>log in</p>"),
        || Answer::Http(200, vec![("content-type", "text/plain".into())], ALLOW.into()),
        || {
            Answer::json(
                200,
                &format!(r#"{{"action":"allow","reason":"{}"}}"#, "x".repeat(1 << 21)),
            )
        },
    ];
    failures.extend(undecodable.map(|answer| (answer, Undecodable, 1)));
    failures
}

const ALLOW: &str = r#"{"action":"allow"}"#;

#[tokio::test]
async fn each_kind_of_failure_has_its_reason_and_the_policy_decides() {
    for (number, (answer, expected, requests)) in failures().into_iter().enumerate() {
        let server = RawServer::always(answer);
        let open = guard(&server.url());
        let decision = open.decide(&request()).await;
        assert_eq!(reason(&decision), expected, "{number}: {decision:?}");
        assert_eq!(decision.action, MitigationAction::Allow, "{number}");
        assert_eq!(server.count(), requests, "{number}: {decision:?}");
        assert!(decision.error().is_some() && decision.response().is_none(), "{decision:?}");
        assert!(!format!("{decision:?} {open:?}").contains(KEY), "{decision:?}");
        assert_eq!(open.stats().fallbacks.of(expected), 1, "{number}");
        assert_settled(&open);

        let closed = open.clone().with_failure_policy(FailurePolicy::closed());
        let decision = closed.decide(&request()).await;
        assert_eq!(decision.action, MitigationAction::Block, "{number}");
        assert_eq!(reason(&decision), expected, "{number}: {decision:?}");
        assert_eq!(open.stats().fallbacks.of(expected), 2, "clones count together");
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_fallback() {
    let gone = ClosedPort::new();
    let guard = guard(&gone.url());
    assert!(matches!(guard.warm().await, Err(EsperError::Connection { .. })));
    let decision = guard.decide(&request()).await;
    assert_eq!(reason(&decision), FallbackReason::Connection);
    assert!(decision.is_allowed());
    assert_settled(&guard);
}

#[tokio::test]
async fn an_invalid_request_is_not_sent_and_says_nothing_of_the_service() {
    let server = RawServer::always(Answer::allow);
    let guard = guard(&server.url()).with_breaker(1, Duration::from_secs(60));
    for ip in ["", "not an address", "192.0.2.1:80"] {
        let decision = guard.decide(&MitigationRequest::new(ip)).await;
        assert_eq!(reason(&decision), FallbackReason::InvalidRequest);
        assert!(decision.error().unwrap().to_string().starts_with("ip "));
    }
    assert_eq!(server.count(), 0);
    assert!(guard.decide(&request()).await.fallback_reason().is_none());
    assert_settled(&guard);
}

#[tokio::test]
async fn what_the_service_last_said_against_a_visitor_holds_in_every_fallback() {
    for (answer, expected, _) in failures() {
        let server = RawServer::start(move |number, _| match number {
            0 => verdict("challenge"),
            _ => answer(),
        });
        let guard = guard(&server.url());
        assert_eq!(guard.decide(&request()).await.source, DecisionSource::Service);

        let held = guard.decide(&request()).await;
        assert_eq!((reason(&held), held.action), (expected, MitigationAction::Challenge));
        assert!(matches!(held.source, DecisionSource::Fallback { held: true, .. }), "{held:?}");
        assert_eq!(held.open_challenge().unwrap().token, "a token");
        assert_eq!(guard.stats().held, 1);

        let other = MitigationRequest::new("192.0.2.1").with_user_agent("another browser");
        assert!(guard.decide(&other).await.is_allowed(), "a verdict is one visitor's");
        let closed = guard.clone().with_failure_policy(FailurePolicy::closed());
        assert_eq!(closed.decide(&request()).await.action, MitigationAction::Block);
        guard.forget_challenge(&request());
        assert!(guard.decide(&request()).await.is_allowed(), "it was solved");
    }
}

#[tokio::test]
async fn a_verdict_holds_no_longer_than_its_lifetime_and_not_after_an_allow() {
    let server = RawServer::start(|number, _| match number {
        0 | 2 => verdict("block"),
        3 => Answer::allow(),
        _ => Answer::status(400),
    });
    let guard = guard(&server.url()).with_verdict_lifetime(Duration::ZERO);
    assert!(!guard.decide(&request()).await.is_allowed());
    assert!(guard.decide(&request()).await.is_allowed(), "it held for no time");
    let guard = guard.with_verdict_lifetime(Duration::MAX);
    for (is_allowed, what) in [(false, "a block"), (true, "an allow"), (true, "what held is over")]
    {
        assert_eq!(guard.decide(&request()).await.is_allowed(), is_allowed, "{what}");
    }
}

#[tokio::test]
async fn a_clone_applies_its_own_lifetime_and_takes_nothing_from_the_original() {
    let server = RawServer::start(|number, _| match number {
        0 | 1 => verdict("block"),
        _ => Answer::Http(400, vec![], String::new()),
    });
    let guard = guard(&server.url());
    let forgetful = guard.clone().with_verdict_lifetime(Duration::ZERO);
    assert!(!guard.decide(&request()).await.is_allowed());
    assert!(!forgetful.decide(&request()).await.is_allowed());
    assert!(forgetful.decide(&request()).await.is_allowed(), "nothing holds for no time");
    assert!(!guard.decide(&request()).await.is_allowed(), "what the service said last holds");
}

#[tokio::test]
async fn warming_makes_the_connection_that_the_first_decision_uses() {
    let server = RawServer::start(|_, request| match request.target.as_str() {
        "/v1/usage" => Answer::json(
            200,
            r#"{"requests":0,"blocked":0,"challenged":0,"allowed":0,"period":"now"}"#,
        ),
        _ => Answer::allow(),
    });
    let guard = guard(&server.url());
    guard.warm().await.unwrap();
    assert_eq!(guard.decide(&request()).await.source, DecisionSource::Service);
    assert_eq!((server.count(), server.connections()), (2, 1));
}
