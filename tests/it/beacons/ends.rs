//! Flush, shutdown and drop end in time, whatever the service does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use esper_rs_client::DropReason;

use super::{LONG, accept, beacons, event, eventually, gated, send, stats};
use crate::support::{Answer, Gate, RawServer, SLACK, client};

const LIMIT: Duration = Duration::from_millis(200);

fn in_time<T>(limit: Duration, action: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = action();
    assert!(started.elapsed() < limit + SLACK, "{:?}", started.elapsed());
    result
}

#[test]
fn a_flush_ends_in_time_and_says_what_is_left() {
    let server = RawServer::always(|| Answer::Silence);
    let beacons = beacons(&server);
    send(&beacons, 100);
    let report = in_time(LIMIT, || beacons.flush_blocking(LIMIT));
    assert_eq!((report.delivered, report.dropped, report.left), (0, 0, 100));
    let report = in_time(LIMIT, || pollster::block_on(beacons.flush(LIMIT)));
    assert_eq!(report.left, 100);
    assert_eq!(in_time(Duration::ZERO, || beacons.flush_blocking(Duration::ZERO)).left, 100);
}

#[test]
fn a_flush_does_not_wait_for_what_was_sent_after_it() {
    let gate = Gate::default();
    let server = gated(&gate);
    let beacons = beacons(&server);
    send(&beacons, 20);
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| beacons.flush_blocking(Duration::MAX));
        eventually("sixteen", || server.count() == 16);
        gate.open();
        while !flush.is_finished() {
            send(&beacons, 1);
            std::thread::yield_now();
        }
        assert_eq!(flush.join().unwrap().left, 0);
    });
}

#[test]
fn a_flush_of_nothing_is_complete_at_once() {
    let server = RawServer::always(accept);
    let beacons = beacons(&server);
    assert!(in_time(SLACK, || beacons.flush_blocking(LONG)).is_complete());
    assert!(in_time(SLACK, || beacons.shutdown_blocking(LONG)).is_complete());
    assert!(in_time(SLACK, || beacons.shutdown_blocking(LONG)).is_complete());
    assert!(in_time(SLACK, || beacons.flush_blocking(LONG)).is_complete());
}

#[test]
fn a_shutdown_ends_in_time_and_counts_what_it_gives_up() {
    let server = RawServer::always(|| Answer::Silence);
    let beacons = beacons(&server);
    send(&beacons, 100);
    let report = in_time(LIMIT, || beacons.shutdown_blocking(LIMIT));
    assert_eq!((report.delivered, report.dropped, report.left), (0, 100, 0));
    beacons.send(event("/late"));
    let stats = stats(&beacons);
    assert_eq!((stats.accepted, stats.queued), (101, 0));
    assert_eq!(stats.dropped.of(DropReason::Abandoned), 100);
    assert_eq!(stats.dropped.of(DropReason::Closed), 1);
}

#[tokio::test]
async fn a_shutdown_can_be_awaited_on_a_single_threaded_runtime() {
    let server = RawServer::always(|| Answer::Silence);
    let beacons = beacons(&server);
    send(&beacons, 100);
    let started = Instant::now();
    let report = beacons.shutdown(LIMIT).await;
    assert!(started.elapsed() < LIMIT + SLACK, "{:?}", started.elapsed());
    assert_eq!((report.dropped, report.left), (100, 0));
}

#[tokio::test]
async fn a_shutdown_whose_future_is_dropped_goes_on() {
    let gate = Gate::default();
    let server = gated(&gate);
    let beacons = beacons(&server);
    send(&beacons, 20);
    let given_up = tokio::time::timeout(Duration::from_millis(10), beacons.shutdown(LONG)).await;
    assert!(given_up.is_err());
    gate.open();
    eventually("delivered", || stats(&beacons).delivered == 20);
    beacons.send(event("/late"));
    assert_eq!(stats(&beacons).dropped.of(DropReason::Closed), 1);
}

#[test]
fn everybody_who_waits_for_the_end_hears_of_it() {
    let server = RawServer::always(|| Answer::Silence);
    let beacons = beacons(&server);
    send(&beacons, 10);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| in_time(LIMIT, || beacons.shutdown_blocking(LONG)));
            scope.spawn(|| in_time(LIMIT, || beacons.flush_blocking(LONG)));
        }
        scope.spawn(|| in_time(LIMIT, || beacons.shutdown_blocking(LIMIT)));
    });
    assert_eq!(stats(&beacons).queued, 0);
}

#[test]
fn the_last_drop_waits_for_what_arrives_soon() {
    let answered = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&answered);
    let server = RawServer::always(move || {
        thread::sleep(Duration::from_millis(10));
        counter.fetch_add(1, Ordering::SeqCst);
        accept()
    });
    // A drop that does not wait sees no answer. On a busy machine one can give up before the last.
    let waited = (1..=20).filter(|round| {
        let beacons = beacons(&server);
        send(&beacons, 5);
        drop(beacons);
        let all_were_there = answered.load(Ordering::SeqCst) == round * 5;
        eventually("delivered", || answered.load(Ordering::SeqCst) == round * 5);
        all_were_there
    });
    assert!(waited.count() >= 10);
}

#[tokio::test]
async fn the_last_drop_gives_up_soon_and_the_queue_goes_on() {
    let gate = Gate::default();
    let server = gated(&gate);
    let client = client(&server.url());
    let beacons = client.beacons();
    send(&beacons, 50);
    in_time(Duration::ZERO, || drop(client));
    in_time(Duration::from_millis(100), || drop(beacons));
    assert!(server.count() < 50);
    gate.open();
    eventually("delivered", || server.count() == 50);
}

#[test]
fn a_drop_with_nothing_queued_does_not_wait() {
    let server = RawServer::always(accept);
    let queues: Vec<_> = (0..20).map(|_| beacons(&server)).collect();
    // With a wait for each it would be two seconds.
    in_time(Duration::ZERO, || drop(queues));
}
