//! A system that gives no more threads or files, each in a process of its own.

use std::fs::File;
use std::time::{Duration, Instant};

use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, BeaconReport, DropReason, EsperClient, EsperError,
    FallbackReason, Guard, MitigationRequest,
};

use crate::support::{child, client, config, logs};

/// No stack is as large as this, so that every thread that asks for nothing else is refused.
const NO_THREADS: (&str, &str) = ("RUST_MIN_STACK", "1152921504606846976");

fn no_threads() {
    std::thread::Builder::new().spawn(|| {}).expect_err("the system gives no thread");
}

/// Opens files until there are no more.
fn no_files() -> Vec<File> {
    let files: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!files.is_empty());
    files
}

/// Whatever is sent is counted, and nobody waits for a thread that is not there.
fn assert_every_event_is_counted(client: &AsyncEsperClient) {
    let started = Instant::now();
    let beacons = client.beacons();
    for _ in 0..5 {
        beacons.send(BeaconEvent::new("http_request"));
    }
    let report = pollster::block_on(beacons.flush(Duration::from_secs(20)));
    assert_eq!(report.left, 0, "{report:?}");
    beacons.send(BeaconEvent::new("http_request"));
    let stats = beacons.stats();
    assert_eq!((stats.accepted, stats.queued, stats.delivered), (6, 0, 0), "{stats:?}");
    assert_eq!(stats.dropped.of(DropReason::NoWorker), 6, "{stats:?}");
    let report: BeaconReport = beacons.shutdown_blocking(Duration::from_secs(20));
    assert_eq!((report.left, report.dropped), (0, 0), "{report:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(logs::lines_with(&["ERROR", "all of them will be dropped"]).len(), 1);
}

fn assert_no_synchronous_client() {
    let error = EsperClient::new(config("http://127.0.0.1:1")).unwrap_err();
    assert!(matches!(error, EsperError::Connection { permanent: true, .. }), "{error:?}");
    assert!(error.to_string().contains("gives the client no thread"), "{error}");
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");
}

#[test]
fn without_a_thread_every_event_is_dropped_and_counted() {
    if child::is_one() {
        no_threads();
        assert_every_event_is_counted(&client("http://127.0.0.1:1"));
        return;
    }
    child::run("scarcity::without_a_thread_every_event_is_dropped_and_counted", &[NO_THREADS]);
}

#[test]
fn without_files_for_the_thread_every_event_is_dropped_and_counted() {
    if child::is_one() {
        let client = client("http://127.0.0.1:1");
        let _files = no_files();
        assert_every_event_is_counted(&client);
        return;
    }
    let test = "scarcity::without_files_for_the_thread_every_event_is_dropped_and_counted";
    child::run_with_files(test, 64);
}

#[test]
fn without_a_thread_there_is_no_synchronous_client_and_an_error_says_why() {
    if child::is_one() {
        no_threads();
        assert_no_synchronous_client();
        // Nor is there a panic within a runtime.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { assert_no_synchronous_client() });
        return;
    }
    let test = "scarcity::without_a_thread_there_is_no_synchronous_client_and_an_error_says_why";
    child::run(test, &[NO_THREADS]);
}

#[test]
fn without_files_there_is_no_synchronous_client_and_an_error_says_why() {
    if child::is_one() {
        let _files = no_files();
        assert_no_synchronous_client();
        return;
    }
    let test = "scarcity::without_files_there_is_no_synchronous_client_and_an_error_says_why";
    child::run_with_files(test, 64);
}

#[test]
fn without_a_thread_to_look_up_a_name_there_is_an_error_and_no_panic() {
    if child::is_one() {
        no_threads();
        let guard = Guard::new(client("http://localhost:1"));
        // With more workers than one, tokio has threads that it takes for enough.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let request = MitigationRequest::new("192.168.1.1");
        let decision = runtime.block_on(guard.decide(&request));
        assert_eq!(decision.fallback_reason(), Some(FallbackReason::Connection), "{decision:?}");
        let error = decision.error().expect("a reason");
        assert!(error.to_string().contains("a name does not resolve"), "{error}");
        assert!(format!("{error:?}").contains("no thread to look up a name"), "{error:?}");
        return;
    }
    let test = "scarcity::without_a_thread_to_look_up_a_name_there_is_an_error_and_no_panic";
    child::run(test, &[NO_THREADS]);
}
