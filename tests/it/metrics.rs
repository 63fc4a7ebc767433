//! What is told to the recorder of the `metrics` facade, as a scrape of Prometheus shows it.

mod exposition;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use esper_rs_client::enforce::Rule;
use esper_rs_client::{AsyncEsperClient, BeaconEvent, BeaconOptions, Guard, MitigationRequest};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::enforce::echo::layer;
use crate::enforce::site::{Site, VISITOR};
use crate::enforce::solving::ENDPOINT;
use crate::support::{Answer, RawServer, child, client, config, guard, logs, sandbox};
use exposition::Scrape;

/// Counts what happens on this thread.
struct Recorder {
    handle: PrometheusHandle,
    _installed: metrics::LocalRecorderGuard<'static>,
}

impl Recorder {
    fn install() -> Self {
        // A guard borrows what it installs; a test has but one.
        let recorder: &'static PrometheusRecorder =
            Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        let installed = metrics::set_default_local_recorder(recorder);
        esper_rs_client::metrics::describe();
        Self { handle: recorder.handle(), _installed: installed }
    }

    fn scrape(&self) -> Scrape {
        Scrape::parse(&self.handle.render())
    }
}

#[tokio::test]
async fn calls_are_counted_by_their_operation_and_how_they_failed() {
    let recorder = Recorder::install();
    let sandbox = sandbox().await;
    let healthy = client(sandbox.url());
    healthy.check_mitigation(&MitigationRequest::new("203.0.113.7")).await.unwrap();
    healthy.get_usage().await.unwrap();
    let failing = RawServer::start(|_, _| Answer::json(500, r#"{"error":"internal"}"#));
    let failing = client(&failing.url());
    failing.get_usage().await.unwrap_err();
    // Dropped as soon as it has begun.
    let silent = RawServer::always(|| Answer::Silence);
    let silent = client(&silent.url());
    tokio::time::timeout(Duration::ZERO, silent.get_usage()).await.unwrap_err();

    assert!(recorder.handle.render().contains("# HELP esper_calls_total "));
    let scrape = recorder.scrape();
    let calls = |operation, failure| {
        scrape.value("esper_calls_total", &[("operation", operation), ("failure", failure)])
    };
    assert_eq!(calls("check_mitigation", "none"), Some(1.0));
    assert_eq!(calls("get_usage", "none"), Some(1.0));
    assert_eq!(calls("get_usage", "api"), Some(1.0));
    assert_eq!(calls("get_usage", "cancelled"), Some(1.0));
    let attempts = scrape.value("esper_attempts_total", &[("operation", "get_usage")]);
    let expected = 1.0 + 4.0 + 1.0;
    assert_eq!(attempts, Some(expected), "one of them was repeated thrice");
    let durations =
        scrape.value("esper_call_duration_seconds_count", &[("operation", "get_usage")]);
    assert_eq!(durations, Some(2.0));
}

#[tokio::test]
async fn decisions_are_counted_by_verdict_source_and_failure() {
    let recorder = Recorder::install();
    let sandbox = sandbox().await;
    sandbox.block("203.0.113.9");
    let guard = guard(sandbox.url());
    for ip in ["203.0.113.7", "203.0.113.9", "203.0.113.9", "no address"] {
        let _ = guard.decide(&MitigationRequest::new(ip)).await;
    }
    let nowhere = Guard::new(client("http://127.0.0.1:1")).with_breaker(1, Duration::from_secs(10));
    for _ in 0..2 {
        let _ = nowhere.decide(&MitigationRequest::new("203.0.113.7")).await;
    }

    // Each of its decisions is a probe that fails, which opens no breaker.
    let probing = Guard::new(client("http://127.0.0.1:1")).with_breaker(1, Duration::ZERO);
    for _ in 0..5 {
        let _ = probing.decide(&MitigationRequest::new("203.0.113.7")).await;
    }

    // The first decision and its retry fail, and the next one is a probe that succeeds.
    let recovering = RawServer::start(|number, _| match number {
        0 | 1 => Answer::status(500),
        _ => Answer::allow(),
    });
    let recovering = Guard::new(client(&recovering.url())).with_breaker(1, Duration::ZERO);
    for _ in 0..2 {
        let _ = recovering.decide(&MitigationRequest::new("203.0.113.7")).await;
    }

    let scrape = recorder.scrape();
    for (verdict, source, failure, count) in [
        ("allow", "service", "none", 2.0),
        ("block", "service", "none", 2.0),
        ("allow", "fallback", "invalid_request", 1.0),
        ("allow", "fallback", "connection", 6.0),
        ("allow", "fallback", "breaker_open", 1.0),
    ] {
        let labels = [("verdict", verdict), ("source", source), ("failure", failure)];
        assert_eq!(scrape.value("esper_decisions_total", &labels), Some(count), "{labels:?}");
    }
    let changes = |change| scrape.value("esper_breaker_changes_total", &[("change", change)]);
    assert_eq!(changes("opened"), Some(3.0), "each breaker once");
    assert_eq!(changes("closed"), Some(1.0));
}

#[tokio::test]
async fn the_funnel_shows_where_those_who_are_challenged_are_lost() {
    let recorder = Recorder::install();
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let challenge = site.challenge().await;
    let page = site.visit("/").send().await.unwrap();
    assert_eq!(page.status(), 429);
    let loaded = site.http.post(site.url(&format!("{ENDPOINT}/loaded"))).send().await.unwrap();
    assert_eq!(loaded.status(), 204);
    let wrong = site.hand_in(&challenge.handed_in_with("wrong")).send().await.unwrap();
    assert_eq!(wrong.status(), 403);
    let forged = serde_json::json!({ "envelope": "made up", "response": "1" });
    assert_eq!(site.hand_in(&forged).send().await.unwrap().status(), 403);
    let nonsense = site.hand_in(&serde_json::json!([])).send().await.unwrap();
    assert_eq!(nonsense.status(), 400);
    let right = site.hand_in(&challenge.solution()).send().await.unwrap();
    assert_eq!(right.status(), 200);

    let scrape = recorder.scrape();
    for (stage, count) in
        [("issued", 2.0), ("loaded", 1.0), ("submitted", 2.0), ("redeemed", 1.0), ("refused", 3.0)]
    {
        let stages = scrape.value("esper_challenges_total", &[("stage", stage)]);
        assert_eq!(stages, Some(count), "{stage}");
    }
    for reason in ["wrong", "malformed", "malformed_body"] {
        let refusals = scrape.value("esper_challenge_refusals_total", &[("reason", reason)]);
        assert_eq!(refusals, Some(1.0), "{reason}");
    }
}

#[tokio::test]
async fn a_proof_of_a_managed_challenge_is_submitted_before_it_is_redeemed_or_refused() {
    let recorder = Recorder::install();
    let site =
        Site::with(|layer| layer.with_public_origin("http://localhost:3000".parse().unwrap()));
    let site = site.await;
    site.sandbox.challenge(VISITOR);
    let wrong = site.visit("/?esper_challenge_proof=wrong").send().await.unwrap();
    assert_eq!(wrong.status(), 403);
    let scrape = recorder.scrape();
    for (stage, count) in [("submitted", 1.0), ("refused", 1.0), ("redeemed", 0.0)] {
        let stages = scrape.value("esper_challenges_total", &[("stage", stage)]);
        assert_eq!(stages.unwrap_or_default(), count, "{stage}");
    }
    let refusals = scrape.value("esper_challenge_refusals_total", &[("reason", "unproven")]);
    assert_eq!(refusals, Some(1.0));
}

/// In a process of its own: the queue's thread tells the recorder of the whole process.
#[test]
fn what_a_shutdown_gives_up_is_logged_and_counted_before_it_returns() {
    if !child::is_one() {
        child::run(
            "metrics::what_a_shutdown_gives_up_is_logged_and_counted_before_it_returns",
            &[],
        );
        return;
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    let server = RawServer::always(|| Answer::Silence);
    // The callback is busy with the first loss until the end.
    let (called, calls) = mpsc::channel();
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let options = BeaconOptions::new().with_on_loss(move |_| {
        let _ = called.send(());
        let _ = held.lock().unwrap().recv();
    });
    let client = AsyncEsperClient::new(config(&server.url()).with_beacons(options)).unwrap();
    let beacons = client.beacons();
    beacons.send(BeaconEvent::new("http_request").with_ip("nowhere"));
    calls.recv().unwrap();
    beacons.send(BeaconEvent::new("http_request").with_ip("nowhere"));
    for _ in 0..3 {
        beacons.send(BeaconEvent::new("http_request"));
    }
    let report = beacons.shutdown_blocking(Duration::from_millis(200));
    assert_eq!(report.left, 0);

    assert_eq!(logs::lines_with(&["WARN", "abandoned", "events=3"]).len(), 1);
    let text = handle.render();
    for line in [
        "esper_events_queued 0",
        "esper_events_dropped_total{reason=\"abandoned\"} 3",
        "esper_events_dropped_total{reason=\"invalid\"} 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    drop(hold);
}

/// Promise 35.
#[tokio::test]
async fn ten_thousand_random_hosts_paths_and_user_agents_add_no_series() {
    let recorder = Recorder::install();
    let site = Site::with(|layer| {
        layer.with_path("/watched", Rule::monitor()).unwrap().with_telemetry_share(0.0)
    })
    .await;
    // Where nobody listens, so that all of them are answered without waiting.
    let sandbox = Arc::clone(&site.sandbox);
    let nowhere = layer("http://127.0.0.1:1").with_telemetry_share(0.0);
    let nowhere = Site::before(sandbox, nowhere).await;
    for path in ["/", "/watched", "/healthz"] {
        assert_eq!(site.visit(path).send().await.unwrap().status(), 200);
    }
    // Until the breaker is open.
    for _ in 0..6 {
        assert_eq!(nowhere.visit("/").send().await.unwrap().status(), 200);
    }
    site.sandbox.block(VISITOR);
    assert_eq!(site.visit("/").send().await.unwrap().status(), 403);
    let before = recorder.scrape().series();
    assert!(before > 10, "{before}");

    let mut runner = TestRunner::deterministic();
    let request = ("[a-z]{1,20}\\.example", "/[!-~&&[^#?/\\\\]]{0,40}", "[ -~]{1,40}");
    for turn in 0..10_000 {
        let (host, path, user_agent) = request.new_tree(&mut runner).unwrap().current();
        // One in fifty is asked about; the others show the same without a call.
        let site = if turn % 50 == 0 { &site } else { &nowhere };
        let request = site.http.get(site.url(&path)).header("host", host);
        let answer = request.header("user-agent", user_agent).send().await.unwrap();
        assert!(matches!(answer.status().as_u16(), 200 | 403), "{path}: {}", answer.status());
    }
    let after = recorder.scrape();
    assert_eq!(after.series(), before, "{after:?}");
}
