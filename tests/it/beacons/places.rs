//! It works wherever it is called, with few connections and many events.

#![expect(clippy::redundant_clone, reason = "what a clone does is what is tried")]

use std::collections::BTreeSet;
use std::time::Duration;

use esper_rs_client::{AsyncEsperClient, MitigationAction, MitigationRequest};

use super::{LONG, accept, beacons, event, eventually, gated, paths, send, stats};
use crate::support::{Gate, RawServer, client, config, sandbox};

fn deliver_and_flush(url: &str) {
    let beacons = client(url).beacons();
    send(&beacons, 3);
    assert!(beacons.flush_blocking(LONG).is_complete());
    assert_eq!(stats(&beacons).delivered, 3);
}

#[test]
fn it_works_without_a_runtime() {
    let server = RawServer::always(accept);
    deliver_and_flush(&server.url());
    let beacons = beacons(&server);
    send(&beacons, 1);
    let report = pollster::block_on(beacons.flush(LONG));
    assert!(report.is_complete() && report.left == 0, "{report:?}");
}

#[tokio::test]
async fn it_works_within_a_single_threaded_runtime() {
    let server = RawServer::always(accept);
    deliver_and_flush(&server.url());
    let beacons = beacons(&server);
    send(&beacons, 3);
    assert!(beacons.flush(LONG).await.is_complete());
    assert_eq!(server.count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_within_a_multi_threaded_runtime() {
    let server = RawServer::always(accept);
    deliver_and_flush(&server.url());
    let beacons = beacons(&server);
    tokio::spawn(async move {
        send(&beacons, 3);
        assert!(beacons.shutdown(LONG).await.is_complete());
    })
    .await
    .unwrap();
}

#[test]
fn it_outlives_the_runtime_in_which_it_was_made() {
    let gate = Gate::default();
    let server = gated(&gate);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let beacons = runtime.block_on(async { beacons(&server) });
    send(&beacons, 100);
    drop(runtime);
    gate.open();
    assert!(beacons.flush_blocking(LONG).is_complete());
    assert_eq!(server.count(), 100);
}

#[test]
fn the_clones_of_a_client_share_a_queue_and_a_handle_outlives_them() {
    let server = RawServer::always(accept);
    let client = client(&server.url());
    let (one, two) = (client.beacons(), client.clone().beacons());
    drop(client);
    send(&one, 2);
    two.clone().send(event("/two"));
    assert_eq!(stats(&one).accepted, 3);
    assert!(two.flush_blocking(LONG).is_complete());
    assert_eq!(server.count(), 3);
}

#[test]
fn sixteen_are_on_their_way_at_once_and_connections_are_kept() {
    let gate = Gate::default();
    let server = gated(&gate);
    let beacons = beacons(&server);
    send(&beacons, 500);
    eventually("sixteen", || server.count() == 16);
    assert_eq!(stats(&beacons).queued, 500);
    gate.open();
    assert!(beacons.flush_blocking(LONG).is_complete());
    assert!(server.connections() <= 16, "{}", server.connections());
    let paths: BTreeSet<_> = paths(&server).into_iter().collect();
    assert_eq!((paths.len(), server.count()), (500, 500));
}

#[test]
fn an_event_after_a_long_silence_is_seen() {
    let server = RawServer::always(accept);
    let beacons = beacons(&server);
    // Longer than the worker looks by itself. There is nothing to wait for but its sleep.
    std::thread::sleep(Duration::from_millis(1200));
    for _ in 0..3 {
        let before = server.count();
        send(&beacons, 1);
        eventually("delivered", || server.count() > before);
    }
}

#[test]
fn any_thread_may_send_count_and_flush() {
    let server = RawServer::always(accept);
    let beacons = beacons(&server);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    send(&beacons, 25);
                    assert!(stats(&beacons).queued <= 10_000);
                    assert_eq!(beacons.flush_blocking(LONG).left, 0);
                }
            });
        }
    });
    let stats = stats(&beacons);
    assert_eq!((stats.accepted, stats.delivered, stats.queued), (2000, 2000, 0));
}

#[tokio::test]
async fn the_sandbox_learns_from_it() {
    let sandbox = sandbox().await;
    let client = AsyncEsperClient::new(config(sandbox.url())).unwrap();
    let beacons = client.beacons();
    for _ in 0..80 {
        beacons.send(event("/login").with_user_agent("curl"));
    }
    assert!(beacons.flush(LONG).await.is_complete());
    let request = MitigationRequest::new("192.168.1.1").with_user_agent("curl");
    let action = client.check_mitigation(&request).await.unwrap().action;
    assert_eq!(action, MitigationAction::Challenge);
}

#[test]
fn the_synchronous_client_has_it_too() {
    let server = RawServer::always(accept);
    let client = esper_rs_client::EsperClient::new(config(&server.url())).unwrap();
    let beacons = client.beacons();
    send(&beacons, 3);
    client.clone().beacons().send(event("/3"));
    drop(client);
    assert!(beacons.shutdown_blocking(LONG).is_complete());
    assert_eq!(server.count(), 4);
}
