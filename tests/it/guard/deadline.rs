//! A decision is there when its time is over.

use std::time::Duration;

use esper_rs_client::{AsyncEsperClient, DecisionSource, FallbackReason, Guard, MitigationAction};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::time::Instant;

use super::cancellation::polled;
use super::{assert_settled, guard, reason, request, verdict};
use crate::support::paused::{LATE, PausedServer, run};
use crate::support::{Answer, RawServer, client, config, patient};

#[test]
fn a_service_that_hangs_gets_two_requests_and_no_more_than_the_time() {
    run(async {
        let deadline = Duration::from_millis(300);
        let server = PausedServer::always(Answer::Silence).await;
        let guard = guard(&server.url()).with_deadline(deadline);
        let started = Instant::now();
        let decision = guard.decide(&request()).await;
        let elapsed = started.elapsed();
        assert_eq!(reason(&decision), FallbackReason::Timeout);
        assert!(elapsed <= deadline + LATE, "{elapsed:?}");
        assert_eq!(server.count(), 2);
        assert_settled(&guard);
    });
}

#[test]
fn an_attempt_takes_no_longer_than_the_client_allows() {
    run(async {
        let answers = vec![(Answer::Silence, Duration::ZERO), (Answer::allow(), Duration::ZERO)];
        let server = PausedServer::start(answers).await;
        let limit = Duration::from_millis(100);
        let config = config(&server.url()).with_attempt_timeout(limit);
        let guard = patient(AsyncEsperClient::new(config).unwrap());
        let started = Instant::now();
        assert_eq!(guard.decide(&request()).await.source, DecisionSource::Service);
        let longest_wait = Duration::from_millis(25);
        assert!(started.elapsed() <= limit + longest_wait + LATE, "{:?}", started.elapsed());
    });
}

#[test]
fn a_warm_up_ends_after_five_seconds_whatever_the_service_does() {
    run(async {
        let server = PausedServer::always(Answer::Silence).await;
        let started = Instant::now();
        assert!(guard(&server.url()).warm().await.unwrap_err().is_timeout());
        let elapsed = started.elapsed();
        assert!(elapsed <= Duration::from_secs(5) + LATE, "{elapsed:?}");
        assert_eq!(server.count(), 1);
    });
}

#[test]
fn an_answer_that_dribbles_is_cut_at_the_deadline() {
    run(async {
        let head = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\r\n";
        let whole = [head, r#"{"action":"allow"}"#].concat();
        for answer in ["HTTP/1.1 200 X\r\nx: ", &whole] {
            let server = PausedServer::always(Answer::Dribble(answer.into())).await;
            let deadline = Duration::from_millis(200);
            let guard = guard(&server.url()).with_deadline(deadline);
            let started = Instant::now();
            let decision = guard.decide(&request()).await;
            assert_eq!(reason(&decision), FallbackReason::Timeout);
            assert!(started.elapsed() <= deadline + LATE, "{:?}", started.elapsed());
            assert_settled(&guard);
        }
    });
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

#[test]
fn a_deadline_can_be_as_near_and_as_far_as_one_likes() {
    run(async {
        let server = PausedServer::always(Answer::Silence).await;
        let near = guard(&server.url()).with_deadline(Duration::ZERO);
        let started = Instant::now();
        assert_eq!(reason(&near.decide(&request()).await), FallbackReason::Timeout);
        assert!(started.elapsed() <= LATE, "{:?}", started.elapsed());
        let server = PausedServer::always(Answer::allow()).await;
        let decision = guard(&server.url()).with_deadline(Duration::MAX).decide(&request()).await;
        assert_eq!(decision.fallback_reason(), None, "{decision:?}");
    });
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        prop_oneof![Just("allow"), Just("challenge"), Just("block")].prop_map(verdict),
        prop_oneof![Just(200), Just(302), Just(401), Just(500), Just(503)].prop_map(Answer::status),
        (prop_oneof![Just(429), Just(503)], 0_u64..3).prop_map(|(status, wait)| {
            Answer::json(status, "{}").with_header("retry-after", &wait.to_string())
        }),
        Just(Answer::Close),
        Just(Answer::Silence),
        Just(Answer::Dribble(b"HTTP/1.1 200 X\r\nx: ".to_vec())),
    ]
}

#[test]
fn whatever_the_service_does_a_decision_is_in_time_and_all_is_given_back() {
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() };
    let late = (0_u64..400).prop_map(Duration::from_millis);
    let answers = proptest::collection::vec((answer(), late), 1..5);
    let polls = proptest::collection::vec(prop_oneof![Just(usize::MAX), 1_usize..8], 1..4);
    let property = |(answers, polls, deadline): (Vec<_>, Vec<usize>, u64)| {
        run(async {
            let server = PausedServer::start(answers).await;
            let deadline = Duration::from_millis(deadline);
            let guard = Guard::new(client(&server.url()))
                .with_deadline(deadline)
                .with_breaker(2, Duration::from_millis(20));
            for limit in polls {
                let started = Instant::now();
                let decision = polled(limit, guard.decide(&request())).await;
                let elapsed = started.elapsed();
                prop_assert!(elapsed <= deadline + LATE, "{elapsed:?}: {decision:?}");
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
    let cases = (answers, polls, 20_u64..800);
    TestRunner::new(config).run(&cases, property).unwrap();
}
