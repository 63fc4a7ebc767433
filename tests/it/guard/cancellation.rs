//! A visitor who leaves takes nothing along.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use esper_rs_client::FallbackReason;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::{assert_settled, guard, request};
use crate::support::paused::{self, PausedServer};
use crate::support::{Answer, RawServer};

/// Polls a future at most so often, each time that it asks for it, and then drops it.
pub(super) async fn polled<F: Future>(limit: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut polls = 0;
    poll_fn(move |context| {
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if polls >= limit => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn answers() -> [fn() -> Answer; 4] {
    [|| Answer::Silence, || Answer::Close, || Answer::status(503), || Answer::allow()]
}

#[tokio::test]
async fn a_decision_that_is_dropped_anywhere_gives_everything_back() {
    for answer in answers() {
        let server = RawServer::always(answer);
        // It opens after each failure, and lets a probe through at once: a probe that would not
        // give its place back would be the last.
        let guard = guard(&server.url())
            .with_deadline(Duration::from_millis(80))
            .with_max_in_flight(1)
            .with_breaker(1, Duration::ZERO);
        let mut dropped = 0;
        for limit in 1.. {
            let decision = polled(limit, guard.decide(&request())).await;
            assert_settled(&guard);
            match decision {
                None => dropped += 1,
                Some(_) => break,
            }
        }
        assert!(dropped >= 1);
        for milliseconds in (0..100).step_by(9) {
            let limit = Duration::from_millis(milliseconds);
            dropped += u64::from(timeout(limit, guard.decide(&request())).await.is_err());
            assert_settled(&guard);
        }
        let stats = guard.stats();
        assert_eq!(stats.cancelled, dropped);
        assert_eq!(stats.fallbacks.of(FallbackReason::BreakerOpen), 0, "{stats:?}");
        assert_eq!(stats.fallbacks.of(FallbackReason::Overload), 0, "{stats:?}");
    }
}

#[test]
fn visitors_who_leave_at_once_do_not_open_the_breaker_and_those_who_waited_do() {
    paused::run(async {
        let server = PausedServer::always(Answer::Silence).await;
        let guard = guard(&server.url())
            .with_deadline(Duration::from_secs(4))
            .with_breaker(2, Duration::from_secs(60));
        for _ in 0..10 {
            assert!(polled(1, guard.decide(&request())).await.is_none());
        }
        assert_eq!(guard.stats().fallbacks.of(FallbackReason::BreakerOpen), 0);
        // Before the deadline, and after the limit of a first attempt.
        for _ in 0..2 {
            let waited = Duration::from_millis(2_800);
            assert!(timeout(waited, guard.decide(&request())).await.is_err());
        }
        let decision = guard.decide(&request()).await;
        assert_eq!(decision.fallback_reason(), Some(FallbackReason::BreakerOpen));
        assert_settled(&guard);
    });
}

#[tokio::test]
async fn no_task_is_left_behind() {
    let server = RawServer::always(|| Answer::Silence);
    let guard = guard(&server.url()).with_deadline(Duration::from_millis(50));
    for limit in 1..6 {
        polled(limit, guard.decide(&request())).await;
    }
    drop(guard);
    let gone = async {
        while Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), gone).await.expect("connections end with their client");
}
