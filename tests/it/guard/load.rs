//! Many visitors at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use esper_rs_client::{FallbackReason, Guard};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{assert_settled, request};
use crate::support::{Answer, Gate, RawServer, client};

#[test]
fn a_decision_that_waits_takes_little_memory() {
    let (guard, request) = (Guard::new(client("http://127.0.0.1:1")), request());
    let size = size_of_val(&guard.decide(&request));
    assert!(size <= 4 * 1024, "{size}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_decisions_at_once_stay_within_the_limit() {
    const VISITORS: u64 = 10_000;
    const LIMIT: usize = 32;
    let gate = Gate::default();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = RawServer::always({
        let (gate, now, most) = (gate.clone(), Arc::clone(&now), Arc::clone(&most));
        move || {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            gate.wait();
            now.fetch_sub(1, Ordering::SeqCst);
            Answer::allow()
        }
    });
    let guard = Guard::new(client(&server.url()))
        .with_deadline(Duration::from_secs(30))
        .with_max_in_flight(LIMIT);
    let mut decisions = JoinSet::new();
    for _ in 0..VISITORS {
        let guard = guard.clone();
        decisions.spawn(async move { guard.decide(&request()).await });
    }
    let turned_away = VISITORS - LIMIT as u64;
    let settled = async {
        while guard.stats().fallbacks.of(FallbackReason::Overload) < turned_away
            || server.count() < LIMIT
        {
            assert!(guard.stats().in_flight <= LIMIT);
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), settled).await.expect("all but a few fall back at once");
    gate.open();
    let decided = decisions.join_all().await;
    let by_service = decided.iter().filter(|decision| decision.fallback_reason().is_none());
    assert_eq!(by_service.count(), LIMIT);
    assert!(decided.iter().all(esper_rs_client::Decision::is_allowed));
    assert_eq!((server.count(), most.load(Ordering::SeqCst)), (LIMIT, LIMIT));
    assert_settled(&guard);
}

#[tokio::test]
async fn an_outage_is_not_made_worse_by_retries() {
    const VISITORS: usize = 200;
    let server = RawServer::always(|| Answer::status(503));
    let guard = Guard::new(client(&server.url())).with_deadline(Duration::from_secs(10));
    let mut decisions = JoinSet::new();
    for _ in 0..VISITORS {
        let guard = guard.clone();
        decisions.spawn(async move { guard.decide(&request()).await });
    }
    let decided = decisions.join_all().await;
    assert!(decided.iter().all(|decision| decision.fallback_reason().is_some()));
    assert!(server.count() <= VISITORS * 6 / 5, "{}", server.count());
    assert_settled(&guard);
}
