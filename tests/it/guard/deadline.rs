//! A decision is there when its time is over.

use std::thread;
use std::time::{Duration, Instant};

use esper_rs_client::{FallbackReason, Guard, MitigationAction};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::cancellation::polled;
use super::{assert_settled, guard, reason, request, verdict};
use crate::support::{Answer, RawServer, SLACK, client};

#[tokio::test]
async fn a_service_that_hangs_gets_two_requests_and_no_more_than_the_time() {
    // Long enough that the second request arrives even on a busy machine.
    let deadline = Duration::from_secs(2);
    let server = RawServer::always(|| Answer::Silence);
    let guard = guard(&server.url()).with_deadline(deadline);
    let started = Instant::now();
    let decision = guard.decide(&request()).await;
    let elapsed = started.elapsed();
    assert_eq!(reason(&decision), FallbackReason::Timeout);
    assert!(elapsed < deadline + SLACK, "{elapsed:?}");
    assert_eq!(server.count(), 2);
    assert_settled(&guard);
}

#[tokio::test]
async fn an_answer_that_dribbles_is_cut_at_the_deadline() {
    let head = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\r\n";
    for answer in
        [b"HTTP/1.1 200 X\r\nx: ".to_vec(), [head.as_bytes(), br#"{"action":"allow"}"#].concat()]
    {
        let server = RawServer::always(move || Answer::Dribble(answer.clone()));
        let deadline = Duration::from_millis(200);
        let guard = guard(&server.url()).with_deadline(deadline);
        let started = Instant::now();
        let decision = guard.decide(&request()).await;
        assert_eq!(reason(&decision), FallbackReason::Timeout);
        assert!(started.elapsed() < deadline + SLACK, "{:?}", started.elapsed());
        assert_settled(&guard);
    }
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_told_and_not_waited_for() {
    for (status, expected) in
        [(429, FallbackReason::RateLimited), (503, FallbackReason::ServerError)]
    {
        let server = RawServer::always(move || {
            Answer::json(status, r#"{"message":"m"}"#).with_header("retry-after", "10")
        });
        // So much that it would show if any of it was waited for.
        let guard = guard(&server.url()).with_deadline(Duration::from_millis(9_500));
        let started = Instant::now();
        let decision = guard.decide(&request()).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(reason(&decision), expected);
        assert_eq!(decision.retry_after(), Some(Duration::from_secs(10)));
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn a_deadline_can_be_as_near_and_as_far_as_one_likes() {
    let server = RawServer::always(|| Answer::Silence);
    let near = guard(&server.url()).with_deadline(Duration::ZERO);
    let started = Instant::now();
    assert_eq!(reason(&near.decide(&request()).await), FallbackReason::Timeout);
    assert!(started.elapsed() < SLACK, "{:?}", started.elapsed());
    let server = RawServer::always(Answer::allow);
    let decision = guard(&server.url()).with_deadline(Duration::MAX).decide(&request()).await;
    assert_eq!(decision.fallback_reason(), None, "{decision:?}");
}

/// What a server does with a request, and after how long.
#[derive(Clone, Debug)]
enum Behaviour {
    Verdict(&'static str),
    Status(u16),
    RetryAfter(u16, u64),
    Close,
    Silence,
    Dribble,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        prop_oneof![Just("allow"), Just("challenge"), Just("block")].prop_map(Behaviour::Verdict),
        prop_oneof![Just(200), Just(302), Just(401), Just(500), Just(503)]
            .prop_map(Behaviour::Status),
        (prop_oneof![Just(429), Just(503)], 0_u64..3)
            .prop_map(|(status, wait)| Behaviour::RetryAfter(status, wait)),
        Just(Behaviour::Close),
        Just(Behaviour::Silence),
        Just(Behaviour::Dribble),
    ]
}

fn server(script: Vec<(Behaviour, u64)>) -> RawServer {
    RawServer::start(move |number, _| {
        let (behaviour, late) = &script[number % script.len()];
        thread::sleep(Duration::from_millis(*late));
        match behaviour {
            Behaviour::Verdict(action) => verdict(action),
            Behaviour::Status(status) => Answer::Http(*status, vec![], String::new()),
            Behaviour::RetryAfter(status, wait) => {
                Answer::json(*status, "{}").with_header("retry-after", &wait.to_string())
            }
            Behaviour::Close => Answer::Close,
            Behaviour::Silence => Answer::Silence,
            Behaviour::Dribble => Answer::Dribble(b"HTTP/1.1 200 X\r\nx: ".to_vec()),
        }
    })
}

#[test]
fn whatever_the_service_does_a_decision_is_in_time_and_all_is_given_back() {
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() };
    let script = proptest::collection::vec((behaviour(), 0_u64..60), 1..5);
    let polls = proptest::collection::vec(prop_oneof![Just(usize::MAX), 1_usize..8], 1..4);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let property = |(script, polls, deadline): (Vec<_>, Vec<usize>, u64)| {
        let server = server(script);
        let deadline = Duration::from_millis(deadline);
        let guard = Guard::new(client(&server.url()))
            .with_deadline(deadline)
            .with_breaker(2, Duration::from_millis(20));
        runtime.block_on(async {
            for limit in polls {
                let started = Instant::now();
                let decision = polled(limit, guard.decide(&request())).await;
                let elapsed = started.elapsed();
                prop_assert!(elapsed < deadline + SLACK, "{elapsed:?}: {decision:?}");
                if let Some(decision) = decision
                    && decision.action != MitigationAction::Allow
                {
                    prop_assert!(decision.response().is_some(), "the policy is open");
                }
            }
            assert_settled(&guard);
            Ok(())
        })
    };
    let cases = (script, polls, 20_u64..120);
    TestRunner::new(config).run(&cases, property).unwrap();
}
