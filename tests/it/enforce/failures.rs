//! What becomes of visitors when Esper fails.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use esper_rs_client::enforce::{CacheOptions, EnforceLayer, Rule};
use esper_rs_client::{FailurePolicy, FallbackReason, Guard, OnFailure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::echo::Echo;
use crate::support::thread_log::ThreadLog;
use crate::support::tls::{TlsServer, Validity};
use crate::support::{Answer, RawServer, SLACK, guard};

const BLOCK: &str = r#"{"action":"block"}"#;

/// A layer without events, so that a server sees decisions alone.
fn quiet(guard: Guard) -> EnforceLayer {
    EnforceLayer::new(guard).with_telemetry_share(0.0)
}

/// The routes of an application, by what they do after one kind of failure.
fn with_routes(layer: EnforceLayer, reason: FallbackReason) -> EnforceLayer {
    let (open, closed) = (FailurePolicy::open(), FailurePolicy::closed());
    let routes = [
        ("/open", open),
        ("/closed", closed),
        ("/closed-on-it", open.with(reason, OnFailure::Closed)),
        ("/open-on-it", closed.with(reason, OnFailure::Open)),
    ];
    routes.into_iter().fold(layer, |layer, (path, policy)| {
        layer.with_path(path, Rule::enforce().with_failure_policy(policy)).unwrap()
    })
}

/// Promise 14: each route does what its cell says, and the counter names the kind.
async fn assert_cells(guard: Guard, reason: FallbackReason) {
    let before = guard.stats();
    let echo = Echo::behind(with_routes(quiet(guard.clone()), reason)).await;
    // What is not the visitor's fault is not held against them.
    let closed = match reason {
        FallbackReason::Refused | FallbackReason::InvalidRequest => 403,
        _ => 503,
    };
    for (path, status) in [
        ("/as-it-comes", 200),
        ("/open", 200),
        ("/closed", closed),
        ("/closed-on-it", closed),
        ("/open-on-it", 200),
    ] {
        let answer = echo.send(&format!("GET {path}"), &[]).await;
        assert_eq!(answer.status(), status, "{path} after {reason}: {answer:?}");
    }
    assert_eq!(echo.calls(), 3, "{reason}");
    for seen in echo.seen() {
        let decision = seen.decision.unwrap();
        assert_eq!(decision.fallback_reason(), Some(reason), "{decision:?}");
    }
    let stats = guard.stats();
    assert_eq!(stats.fallbacks.of(reason) - before.fallbacks.of(reason), 5, "{reason}: {stats:?}");
    assert_eq!(stats.fallbacks.total() - before.fallbacks.total(), 5, "{reason}: {stats:?}");
    assert_eq!(stats.in_flight, 0);
}

/// A guard whose breaker stays out of the way.
fn unbroken(url: &str) -> Guard {
    guard(url).with_breaker(u32::MAX, Duration::from_secs(1))
}

async fn assert_cells_for(answer: fn() -> Answer, reason: FallbackReason) {
    let server = RawServer::always(answer);
    assert_cells(unbroken(&server.url()), reason).await;
    assert!(server.count() >= 5);
}

#[tokio::test]
async fn after_a_timeout_each_route_does_what_its_cell_says() {
    let server = RawServer::always(|| Answer::Silence);
    let guard = unbroken(&server.url()).with_deadline(Duration::from_millis(60));
    assert_cells(guard, FallbackReason::Timeout).await;
}

#[tokio::test]
async fn after_a_refused_or_broken_connection_each_route_does_what_its_cell_says() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_cells(unbroken(&format!("http://{gone}")), FallbackReason::Connection).await;
    assert_cells_for(|| Answer::Close, FallbackReason::Connection).await;
    assert_cells_for(|| Answer::Reset(b"HTTP/1.1 2".to_vec()), FallbackReason::Connection).await;
}

#[tokio::test]
async fn after_a_rejected_certificate_each_route_does_what_its_cell_says() {
    let server = TlsServer::start(Validity::Now, b"http/1.1", |_, mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0]);
    });
    assert_cells(unbroken(&server.url("localhost")), FallbackReason::Certificate).await;
}

#[tokio::test]
async fn after_a_failure_of_the_service_each_route_does_what_its_cell_says() {
    for answer in [
        (|| Answer::Http(500, vec![], String::new())) as fn() -> Answer,
        || Answer::Http(503, vec![], "<html>".into()),
        || Answer::json(599, r#"{"message":"m"}"#),
    ] {
        assert_cells_for(answer, FallbackReason::ServerError).await;
    }
}

#[tokio::test]
async fn after_a_rate_limit_each_route_does_what_its_cell_says() {
    assert_cells_for(|| Answer::json(429, r#"{"message":"m"}"#), FallbackReason::RateLimited).await;
    let wait = || Answer::json(429, r#"{"message":"m"}"#).with_header("retry-after", "60");
    assert_cells_for(wait, FallbackReason::RateLimited).await;
}

#[tokio::test]
async fn after_a_refused_key_each_route_does_what_its_cell_says_and_the_alarm_is_raised_once() {
    for answer in [(|| Answer::json(401, r#"{"message":"wrong key"}"#)) as fn() -> Answer, || {
        Answer::Http(403, vec![], String::new())
    }] {
        let (log, _subscribed) = ThreadLog::start();
        assert_cells_for(answer, FallbackReason::Unauthorized).await;
        assert_eq!(log.lines("ERROR"), 1, "{}", log.text());
        assert!(log.text().contains("rejects the api key"), "{}", log.text());
    }
}

#[tokio::test]
async fn after_another_refusal_each_route_does_what_its_cell_says() {
    for answer in [(|| Answer::json(400, r#"{"message":"m"}"#)) as fn() -> Answer, || {
        Answer::Http(302, vec![("location", "http://127.0.0.1:1/".into())], String::new())
    }] {
        assert_cells_for(answer, FallbackReason::Refused).await;
    }
}

#[tokio::test]
async fn after_an_answer_that_is_none_each_route_does_what_its_cell_says() {
    for answer in [
        (|| Answer::json(200, r#"{"action":"an action of tomorrow"}"#)) as fn() -> Answer,
        || Answer::json(200, "{}"),
        || Answer::Http(200, vec![("content-type", "text/html".into())], "<p>log in".into()),
    ] {
        assert_cells_for(answer, FallbackReason::Undecodable).await;
    }
}

#[tokio::test]
async fn while_the_breaker_is_open_each_route_does_what_its_cell_says() {
    let server = RawServer::always(|| Answer::Http(501, vec![], String::new()));
    let guard = guard(&server.url()).with_breaker(1, Duration::from_secs(600));
    let opening = Echo::behind(quiet(guard.clone())).await;
    assert_eq!(opening.send("GET /", &[]).await.status(), 200);
    assert_cells(guard, FallbackReason::BreakerOpen).await;
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn under_overload_each_route_does_what_its_cell_says() {
    let server = RawServer::always(Answer::allow);
    assert_cells(guard(&server.url()).with_max_in_flight(0), FallbackReason::Overload).await;
    assert_eq!(server.count(), 0);
}

/// A service that is well, or says nothing.
fn black_hole(answer: fn() -> Answer) -> (RawServer, Arc<AtomicBool>) {
    let up = Arc::new(AtomicBool::new(true));
    let is_up = Arc::clone(&up);
    let server =
        RawServer::always(
            move || if is_up.load(Ordering::SeqCst) { answer() } else { Answer::Silence },
        );
    (server, up)
}

/// Promise 15.
#[tokio::test]
async fn with_a_black_hole_for_a_service_the_site_answers_in_time_and_recovers_by_itself() {
    const DEADLINE: Duration = Duration::from_millis(100);
    let (server, up) = black_hole(Answer::allow);
    let guard = Guard::new(crate::support::client(&server.url()))
        .with_deadline(DEADLINE)
        .with_breaker(5, Duration::from_millis(50));
    let echo = Echo::behind(quiet(guard.clone())).await;
    up.store(false, Ordering::SeqCst);
    let outage = async {
        while guard.stats().fallbacks.of(FallbackReason::BreakerOpen) < 50 {
            let sent = Instant::now();
            assert_eq!(echo.send("GET /", &[]).await.status(), 200);
            assert!(sent.elapsed() < DEADLINE + SLACK, "{:?}", sent.elapsed());
            assert_eq!(guard.stats().in_flight, 0, "nothing is left of a decision");
        }
    };
    timeout(Duration::from_secs(60), outage).await.expect("an open breaker");
    up.store(true, Ordering::SeqCst);
    let decided = guard.stats().by_service;
    let recovery = async {
        while guard.stats().by_service == decided {
            assert_eq!(echo.send("GET /", &[]).await.status(), 200);
        }
    };
    timeout(Duration::from_secs(20), recovery).await.expect("a recovery");
    let fallbacks = guard.stats().fallbacks.total();
    for _ in 0..5 {
        echo.send("GET /", &[]).await;
    }
    assert_eq!(guard.stats().fallbacks.total(), fallbacks, "all is well again");
}

/// Promise 15.
#[tokio::test]
async fn while_the_service_is_silent_a_visitors_last_block_holds_and_others_pass() {
    let (server, up) = black_hole(|| Answer::json(200, BLOCK));
    let guard = Guard::new(crate::support::client(&server.url()))
        .with_deadline(Duration::from_millis(500))
        .with_breaker(1, Duration::from_secs(600));
    let echo = Echo::behind(quiet(guard.clone())).await;
    let (bot, other) = ([("user-agent", "a bot")], [("user-agent", "a person")]);
    assert_eq!(echo.send("GET /", &bot).await.status(), 403);
    up.store(false, Ordering::SeqCst);
    assert_eq!(echo.send("GET /", &bot).await.status(), 403, "after a timeout");
    assert_eq!(echo.send("GET /elsewhere", &bot).await.status(), 403, "behind an open breaker");
    assert_eq!(echo.send("GET /", &other).await.status(), 200, "it is one visitor's");
    let stats = guard.stats();
    assert_eq!((stats.held, stats.fallbacks.of(FallbackReason::BreakerOpen)), (2, 2), "{stats:?}");
}

/// Promise 15.
#[tokio::test]
async fn a_rate_limit_neither_opens_the_breaker_nor_is_a_free_pass() {
    let server = RawServer::start(|number, _| match number {
        0 => Answer::json(200, BLOCK),
        1 => Answer::json(
            200,
            r#"{"action":"challenge","challenge":{"type":"turnstile","token":"t","params":{"site_key":"s"}}}"#,
        ),
        _ => Answer::json(429, r#"{"message":"m"}"#).with_header("retry-after", "60"),
    });
    let guard = guard(&server.url()).with_breaker(1, Duration::from_secs(600));
    let echo = Echo::behind(quiet(guard.clone())).await;
    for _ in 0..10 {
        assert_eq!(echo.send("GET /", &[("user-agent", "blocked")]).await.status(), 403);
        assert_eq!(echo.send("GET /", &[("user-agent", "challenged")]).await.status(), 429);
    }
    assert_eq!(echo.calls(), 0);
    let stats = guard.stats();
    assert_eq!(stats.fallbacks.of(FallbackReason::RateLimited), 18, "{stats:?}");
    assert_eq!(stats.fallbacks.total(), 18, "{stats:?}");
}

/// Promise 16.
#[tokio::test]
async fn a_failure_is_never_kept_as_a_decision() {
    let failures: [fn() -> Answer; 4] = [
        || Answer::Http(501, vec![], String::new()),
        || Answer::json(429, r#"{"message":"m"}"#).with_header("retry-after", "60"),
        || Answer::json(401, r#"{"message":"m"}"#),
        || Answer::json(200, "{}"),
    ];
    for failure in failures {
        let decisions: [fn() -> Answer; 2] = [Answer::allow, || Answer::json(200, BLOCK)];
        for (decision, status) in decisions.into_iter().zip([200, 403]) {
            let server = RawServer::start(move |number, _| match number {
                0 | 1 => failure(),
                _ => decision(),
            });
            let lasting = CacheOptions::new()
                .with_allow_lifetime(Duration::from_secs(600))
                .with_block_lifetime(Duration::from_secs(600));
            let layer = quiet(unbroken(&server.url())).with_cache(lasting);
            let closed = Rule::enforce().with_failure_policy(FailurePolicy::closed());
            let echo = Echo::behind(layer.with_path("/closed", closed).unwrap()).await;
            assert_eq!(echo.send("GET /", &[]).await.status(), 200);
            let closed = echo.send("GET /closed", &[]).await;
            assert_eq!(closed.status(), 503);
            assert!(closed.0.contains("the request cannot be checked now"), "{closed:?}");
            // The service is well again, and what it says is kept.
            for _ in 0..3 {
                assert_eq!(echo.send("GET /", &[]).await.status(), status);
                assert_eq!(echo.send("GET /closed", &[]).await.status(), status);
            }
            assert_eq!(server.count(), 4);
        }
    }
}

/// Promises 14 and 16: requests that are equal to Esper may have different rules.
#[tokio::test]
async fn a_fallback_is_shared_by_requests_with_the_same_failure_policy_alone() {
    let answering = Arc::new(AtomicBool::new(false));
    let server = {
        let answering = Arc::clone(&answering);
        RawServer::start(move |_, _| {
            let started = Instant::now();
            while !answering.load(Ordering::SeqCst) && started.elapsed() < Duration::from_secs(20) {
                thread::yield_now();
            }
            Answer::json(400, r#"{"message":"m"}"#)
        })
    };
    let layer = quiet(guard(&server.url())).with_cache(CacheOptions::new());
    let layer = layer.with_rule(|request| {
        let pays = request.uri.query() == Some("pay");
        pays.then(|| Rule::enforce().with_failure_policy(FailurePolicy::closed()))
    });
    let echo = Echo::behind(layer).await;
    let each_asks_once = async {
        while server.count() < 2 {
            tokio::task::yield_now().await;
        }
        answering.store(true, Ordering::SeqCst);
    };
    let answers = async {
        tokio::join!(echo.send("GET /cart", &[]), echo.send("GET /cart?pay", &[]), each_asks_once)
    };
    let (open, closed, ()) = timeout(Duration::from_secs(5), answers).await.expect("two calls");
    assert_eq!((open.status(), closed.status()), (200, 403));
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let server = RawServer::always(|| Answer::Silence);
    let guard = guard(&server.url()).with_deadline(Duration::from_secs(600));
    let echo = Echo::behind(quiet(guard.clone())).await;
    const CLIENTS: usize = 5;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = TcpStream::connect(echo.addr).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        clients.push(client);
    }
    let come_and_gone = async {
        while server.count() < CLIENTS {
            tokio::task::yield_now().await;
        }
        assert_eq!(guard.stats().in_flight, CLIENTS);
        drop(clients);
        while guard.stats().in_flight > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), come_and_gone).await.expect("nothing in flight");
    let stats = guard.stats();
    assert_eq!((stats.cancelled, stats.decisions), (CLIENTS as u64, CLIENTS as u64));
    assert_eq!(echo.calls(), 0);
}
