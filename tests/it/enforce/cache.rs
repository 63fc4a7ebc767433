//! Decisions that are kept: for whom, for how long, and which are not.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use esper_rs_client::FallbackReason;
use esper_rs_client::enforce::{CacheOptions, ClientIpRules, Enforce, EnforceLayer};
use esper_sandbox::{Fault, Operation, Visitor};
use http::Request;
use http_body_util::BodyExt;
use reqwest::Method;
use serde_json::Value;
use tokio::task::JoinSet;
use tower::{Layer, Service};

use super::echo::layer;
use super::site::{Site, VISITOR, until};
use super::solving::calls;

async fn site(cache: CacheOptions) -> Site {
    Site::with(|layer| layer.with_cache(cache)).await
}

fn asked(site: &Site) -> usize {
    calls(&site.sandbox, Operation::CheckMitigation).len()
}

async fn status(site: &Site) -> u16 {
    site.call("/").send().await.unwrap().status().as_u16()
}

/// A layer in front of nothing, for more requests at once than there are sockets.
fn crowd(site: &Site, cache: CacheOptions) -> Enforce<Router> {
    let app = Router::new().fallback(async || "from the application");
    // Its events would crowd the calls out of what the sandbox remembers.
    let quiet = layer(site.sandbox.url()).with_telemetry_share(0.0);
    quiet.with_cache(cache).layer(app)
}

/// One request of the crowd, which is one visitor: the status, and the salt of a challenge.
async fn join(mut service: Enforce<Router>) -> (u16, Option<String>) {
    let mut request = Request::get("/").body(axum::body::Body::empty()).unwrap();
    let peer: SocketAddr = format!("{VISITOR}:1").parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    let answer = service.call(request).await.unwrap_or_else(|never| match never {});
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let problem: Option<Value> = serde_json::from_slice(&body).ok();
    let salt = problem.and_then(|it| it["challenge"]["params"]["salt"].as_str().map(str::to_owned));
    (status, salt)
}

#[tokio::test]
async fn unless_set_nothing_is_kept() {
    let site = Site::new().await;
    for number in 1..=3 {
        assert_eq!(status(&site).await, 200);
        assert_eq!(asked(&site), number);
    }
}

#[tokio::test]
async fn allow_and_block_are_kept_each_for_its_own_time() {
    let cache = CacheOptions::new();
    for (allow, block, allows, blocks) in
        [(HOUR, HOUR, 1, 1), (ZERO, HOUR, 3, 1), (HOUR, ZERO, 1, 3)]
    {
        let cache = cache.with_allow_lifetime(allow).with_block_lifetime(block);
        let allowed = site(cache).await;
        let blocked = allowed.beside(|layer| layer.with_cache(cache)).await;
        for _ in 0..3 {
            assert_eq!(status(&allowed).await, 200);
        }
        assert_eq!(asked(&allowed), allows, "{allow:?} {block:?}");
        blocked.sandbox.block(VISITOR);
        for _ in 0..3 {
            assert_eq!(status(&blocked).await, 403);
        }
        assert_eq!(asked(&blocked), allows + blocks, "{allow:?} {block:?}");
    }
}

#[tokio::test]
async fn a_decision_that_was_kept_ends_after_its_time() {
    const LIFETIME: Duration = Duration::from_millis(500);
    let cache = CacheOptions::new().with_allow_lifetime(LIFETIME).with_block_lifetime(LIFETIME);
    // The sandbox learns nothing of this visitor's impatience.
    let quiet = |layer: EnforceLayer| layer.with_cache(cache).with_telemetry_share(0.0);
    let site = Site::with(quiet).await;
    let mut begun = Instant::now();
    assert_eq!(status(&site).await, 200);
    for (before, after) in [(200, 403), (403, 200)] {
        match after {
            403 => site.sandbox.block(VISITOR),
            _ => site.sandbox.lift(VISITOR),
        }
        let mut asked = Instant::now();
        while status(&site).await == before {
            assert!(begun.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(20)).await;
            asked = Instant::now();
        }
        // Shorter by a fifth at most.
        assert!(begun.elapsed() >= LIFETIME * 4 / 5, "{:?}", begun.elapsed());
        // The answer that is different is the one that is kept next.
        begun = asked;
    }
}

#[tokio::test]
async fn a_verdict_for_one_visitor_is_not_served_to_another() {
    let cache = CacheOptions::new().with_allow_lifetime(HOUR).with_block_lifetime(HOUR);
    let rules = ClientIpRules::behind_proxies(["127.0.0.1"]).unwrap();
    let site = Site::with(|layer: EnforceLayer| {
        layer.with_cache(cache).with_client_ip(rules).with_session_cookie("session").unwrap()
    });
    let site = site.await;
    let request = |method: Method, path: &str, headers: &[(&str, &str)]| {
        let request = site.http.request(method, site.url(path));
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    const ALICE: [(&str, &str); 2] = [("x-forwarded-for", "192.0.2.1"), ("user-agent", "x")];
    let get = Method::GET;
    let mut number = 0;
    for (method, path, headers) in [
        (get.clone(), "/", &ALICE[..]),
        (get.clone(), "/", &[("x-forwarded-for", "192.0.2.11"), ("user-agent", "x")]),
        (get.clone(), "/", &[("x-forwarded-for", "2001:db8::1"), ("user-agent", "x")]),
        (get.clone(), "/", &[("x-forwarded-for", "192.0.2.1"), ("user-agent", "y")]),
        (get.clone(), "/", &[("x-forwarded-for", "192.0.2.1"), ("user-agent", "")]),
        (get.clone(), "/", &[("x-forwarded-for", "192.0.2.1")]),
        (Method::POST, "/", &ALICE),
        (get.clone(), "/x", &ALICE),
        (get.clone(), "/X", &ALICE),
        (get.clone(), "/", &[ALICE[0], ALICE[1], ("accept-language", "de")]),
        (get.clone(), "/", &[ALICE[0], ALICE[1], ("host", "other.example")]),
        (get.clone(), "/", &[ALICE[0], ALICE[1], ("cookie", "session=1")]),
        (get.clone(), "/", &[ALICE[0], ALICE[1], ("cookie", "session=2")]),
    ] {
        number += 1;
        for _ in 0..2 {
            assert_eq!(request(method.clone(), path, headers).await, 200);
            assert_eq!(asked(&site), number, "{method} {path} {headers:?}");
        }
    }
    site.sandbox.block(Visitor::new("203.0.113.7"));
    assert_eq!(request(get.clone(), "/", &[("x-forwarded-for", "203.0.113.7")]).await, 403);
    assert_eq!(request(get.clone(), "/", &[("x-forwarded-for", "203.0.113.8")]).await, 200);
    // What Esper is not told makes no difference.
    let other = [ALICE[0], ALICE[1], ("x-request-id", "1"), ("cookie", "other=1")];
    let before = asked(&site);
    assert_eq!(request(get, "/?q=1", &other).await, 200);
    assert_eq!(asked(&site), before);
}

#[tokio::test]
async fn a_challenge_is_never_kept() {
    let site = site(CacheOptions::new()).await;
    site.sandbox.challenge(VISITOR);
    let tabs = [site.challenge().await, site.challenge().await];
    assert_ne!(tabs[0].problem["challenge"]["params"], tabs[1].problem["challenge"]["params"]);
    assert_eq!(asked(&site), 2);
    site.sandbox.lift(VISITOR);
    assert_eq!(status(&site).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_identical_misses_at_once_make_one_call() {
    let cache = CacheOptions::new();
    let site = site(cache).await;
    for (blocked, expected) in [(false, 200), (true, 403)] {
        if blocked {
            site.sandbox.block(VISITOR);
        }
        let service = crowd(&site, cache);
        let before = asked(&site);
        let slow = Fault::delay(Duration::from_millis(500)).on(Operation::CheckMitigation);
        let slow = site.sandbox.faults().add(slow);
        let crowd: JoinSet<_> = (0..1_000).map(|_| join(service.clone())).collect();
        let answers = crowd.join_all().await;
        site.sandbox.faults().remove(slow);
        assert!(answers.iter().all(|(status, _)| *status == expected));
        assert_eq!(asked(&site), before + 1);
    }
}

/// Promise 14: the counter names the kind of failure, for all who waited for the same call.
#[tokio::test]
async fn a_fallback_that_is_shared_is_counted_for_each_request() {
    let site = Site::new().await;
    // So slow that all of the crowd wait for it.
    let failure = Fault::status(400).after(Duration::from_millis(100));
    site.sandbox.faults().add(failure.on(Operation::CheckMitigation));
    let quiet = layer(site.sandbox.url()).with_telemetry_share(0.0);
    let quiet = quiet.with_cache(CacheOptions::new());
    let service = quiet.layer(Router::new().fallback(async || "from the application"));
    let crowd: JoinSet<_> = (0..20).map(|_| join(service.clone())).collect();
    assert!(crowd.join_all().await.iter().all(|(status, _)| *status == 200));
    assert_eq!(asked(&site), 1);
    let stats = quiet.guard().stats();
    assert_eq!(
        (stats.decisions, stats.fallbacks.of(FallbackReason::Refused)),
        (20, 20),
        "{stats:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tab_gets_a_challenge_of_its_own_though_misses_are_shared() {
    let cache = CacheOptions::new();
    let site = site(cache).await;
    site.sandbox.challenge(VISITOR);
    let service = crowd(&site, cache);
    let crowd: JoinSet<_> = (0..50).map(|_| join(service.clone())).collect();
    let answers = crowd.join_all().await;
    assert!(answers.iter().all(|(status, _)| *status == 429));
    let salts: HashSet<_> = answers.into_iter().map(|(_, salt)| salt.unwrap()).collect();
    assert_eq!(salts.len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_the_call_of_another_is_answered_though_that_one_hangs_up() {
    let cache = CacheOptions::new();
    let site = site(cache).await;
    let service = crowd(&site, cache);
    let silence = site.sandbox.faults().add(Fault::silence().on(Operation::CheckMitigation));
    let first = tokio::spawn(join(service.clone()));
    until(|| asked(&site) == 1).await;
    let others: JoinSet<_> = (0..10).map(|_| join(service.clone())).collect();
    site.sandbox.faults().remove(silence);
    first.abort();
    let answers = others.join_all().await;
    assert!(answers.iter().all(|(status, _)| *status == 200));
    assert_eq!(asked(&site), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clearance_is_not_kept_for_those_without_one() {
    let cache = CacheOptions::new().with_allow_lifetime(HOUR);
    let site = site(cache).await;
    let clearance = site.clearance().await;
    site.sandbox.challenge(VISITOR);
    let cleared = site.call("/").header("cookie", clearance).send().await.unwrap();
    assert_eq!(cleared.status(), 200);
    assert_eq!(status(&site).await, 429);
}

const ZERO: Duration = Duration::ZERO;
const HOUR: Duration = Duration::from_secs(3600);
