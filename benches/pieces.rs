//! The pieces that every request passes, each by itself, with what it allocates.
//!
//! ```sh
//! cargo bench --bench pieces --features tower
//! ```
//!
//! Nothing here waits for the network. A layer's request never leaves the process, so that the rows
//! of `layer` differ by what their names say; `exempt` is what all of them have in common.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use axum::extract::ConnectInfo;
use bytes::Bytes;
use divan::{AllocProfiler, Bencher};
use esper_rs_client::enforce::{
    CacheOptions, ClientIpRules, Enforce, EnforceBody, EnforceLayer, Rule,
};
use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, EsperConfig, FallbackReason, Guard, GuardStats,
    MitigationRequest,
};
use esper_sandbox::{Sandbox, solve_proof_of_work};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tower::util::ServiceFn;
use tower::{Layer, ServiceExt, service_fn};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

mod client_ip {
    use super::*;

    #[divan::bench(sample_size = 1000)]
    fn direct(bencher: Bencher<'_, '_>) {
        find(bencher, &ClientIpRules::direct());
    }

    #[divan::bench(sample_size = 1000)]
    fn behind_two_proxies(bencher: Bencher<'_, '_>) {
        find(bencher, &ClientIpRules::behind_proxies(["10.0.0.0/8", "192.0.2.0/24"]).unwrap());
    }

    fn find(bencher: Bencher<'_, '_>, rules: &ClientIpRules) {
        let mut headers = HeaderMap::new();
        let hops = HeaderValue::from_static("6.6.6.6, 203.0.113.7, 192.0.2.9");
        headers.insert("x-forwarded-for", hops);
        let peer = Some(IpAddr::from([10, 1, 2, 3]));
        bencher.bench_local(|| rules.find(divan::black_box(peer), &headers));
    }
}

mod queue {
    use super::*;

    /// As many as find their place, so that none gives way.
    #[divan::bench(sample_count = 90, sample_size = 100)]
    fn send(bencher: Bencher<'_, '_>) {
        send_to(bencher, 0);
    }

    #[divan::bench(sample_count = 90, sample_size = 100)]
    fn send_when_full(bencher: Bencher<'_, '_>) {
        send_to(bencher, 20_000);
    }

    fn send_to(bencher: Bencher<'_, '_>, before: usize) {
        // It accepts connections, and answers none.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let beacons = AsyncEsperClient::new(config(&url)).unwrap().beacons();
        (0..before).for_each(|_| beacons.send(event()));
        bencher.with_inputs(event).bench_local_values(|event| beacons.send(event));
        let dropped = beacons.stats().dropped.total();
        assert_eq!(dropped > 0, before > 0, "{:?}", beacons.stats());
        beacons.shutdown_blocking(Duration::ZERO);
    }

    fn event() -> BeaconEvent {
        BeaconEvent::new("http_request")
            .with_ip("203.0.113.7")
            .with_user_agent(BROWSER)
            .with_path("/checkout")
            .with_method("POST")
            .with_timestamp(1_700_000_000_000)
    }
}

mod guards {
    use super::*;

    #[divan::bench(sample_size = 50)]
    fn breaker_open(bencher: Bencher<'_, '_>) {
        let runtime = runtime();
        let request = MitigationRequest::new("203.0.113.7").with_user_agent(BROWSER);
        let guard = guard(nobody());
        assert!(runtime.block_on(guard.decide(&request)).is_allowed());
        assert_eq!(guard.stats().fallbacks.of(FallbackReason::BreakerOpen), 0);
        bencher.bench_local(|| runtime.block_on(guard.decide(&request)));
        let GuardStats { decisions, .. } = guard.stats();
        assert_eq!(guard.stats().fallbacks.of(FallbackReason::BreakerOpen), decisions - 1);
    }
}

mod layer {
    use super::*;

    /// What all others have too.
    #[divan::bench(sample_size = 50)]
    fn exempt(bencher: Bencher<'_, '_>) {
        let layer = layer(guard(nobody())).with_paths_below("/", Rule::exempt()).unwrap();
        pass(bencher, &runtime(), &site(layer), "");
    }

    #[divan::bench(sample_size = 50)]
    fn cache_hit(bencher: Bencher<'_, '_>) {
        let runtime = runtime();
        let sandbox = Sandbox::start_blocking();
        let hour = Duration::from_secs(3600);
        let cache = CacheOptions::new().with_allow_lifetime(hour);
        let config = EsperConfig::new(sandbox.api_key()).with_api_url(sandbox.url());
        let guard = guard(config.with_beacon_url(sandbox.url()));
        let site = site(layer(guard).with_cache(cache));
        pass(bencher, &runtime, &site, "");
        assert_eq!(sandbox.request_count(), 1);
    }

    #[divan::bench(sample_size = 50)]
    fn breaker_open(bencher: Bencher<'_, '_>) {
        pass(bencher, &runtime(), &site(layer(guard(nobody()))), "");
    }

    /// As `breaker_open`, for a visitor whose last challenge holds, and who shows a clearance.
    #[divan::bench(sample_size = 50)]
    fn breaker_open_and_clearance(bencher: Bencher<'_, '_>) {
        let runtime = runtime();
        let sandbox = Sandbox::builder().challenge_difficulty(4).start_blocking().unwrap();
        let config = EsperConfig::new(sandbox.api_key()).with_api_url(sandbox.url());
        let guard = guard(config.with_beacon_url(sandbox.url()));
        let site = site(layer(guard.clone()));
        let cookie = runtime.block_on(async {
            sandbox.challenge(VISITOR);
            let cookie = clearance(&site).await;
            // The challenge that was solved is forgotten; another one comes to hold.
            sandbox.challenge(VISITOR);
            assert_eq!(visit(&site, request(&cookie)).await.status(), StatusCode::OK);
            sandbox.stop().await;
            assert_eq!(visit(&site, request("")).await.status(), StatusCode::TOO_MANY_REQUESTS);
            cookie
        });
        pass(bencher, &runtime, &site, &cookie);
        assert!(guard.stats().held > 1, "{:?}", guard.stats());
    }

    /// Times requests that the layer lets through.
    fn pass(bencher: Bencher<'_, '_>, runtime: &Runtime, site: &Site, cookie: &str) {
        // The first fills the cache, or opens the breaker.
        runtime.block_on(visit(site, request(cookie)));
        bencher.with_inputs(|| request(cookie)).bench_local_values(|request| {
            let response = runtime.block_on(visit(site, request));
            assert_eq!(response.status(), StatusCode::OK);
            response
        });
    }

    /// Is challenged, solves it, and gets a cookie.
    async fn clearance(site: &Site) -> String {
        let challenge: Value = read(visit(site, request("")).await).await;
        let Value::Object(challenge) = &challenge["challenge"] else { panic!("{challenge}") };
        let salt = challenge["params"]["salt"].as_str().unwrap();
        let difficulty = challenge["params"]["difficulty"].as_u64().unwrap();
        let nonce = solve_proof_of_work(salt, difficulty.try_into().unwrap());
        let solution = json!({ "envelope": challenge["token"], "response": nonce });
        let (mut parts, _) = request("").into_parts();
        parts.method = Method::POST;
        parts.uri = ENDPOINT.parse().unwrap();
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let solved = Request::from_parts(parts, Full::from(solution.to_string()));
        let answer = visit(site, solved).await;
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    async fn visit(site: &Site, request: Request<Full<Bytes>>) -> Response<EnforceBody<Empty>> {
        site.clone().oneshot(request).await.unwrap()
    }

    async fn read(response: Response<EnforceBody<Empty>>) -> Value {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    fn request(cookie: &str) -> Request<Full<Bytes>> {
        let mut request = Request::get("/checkout")
            .header(header::HOST, "shop.example")
            .header(header::USER_AGENT, BROWSER)
            .header(header::ACCEPT_LANGUAGE, "en");
        if !cookie.is_empty() {
            request = request.header(header::COOKIE, cookie);
        }
        let mut request = request.body(Full::default()).unwrap();
        let peer: SocketAddr = (VISITOR.parse::<IpAddr>().unwrap(), 40_000).into();
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    }

    fn layer(guard: Guard) -> EnforceLayer {
        EnforceLayer::new(guard).with_telemetry_share(0.0)
    }

    fn site(layer: EnforceLayer) -> Site {
        layer.layer(service_fn(application as fn(_) -> _))
    }

    fn application(_: Request<Full<Bytes>>) -> Ready<Result<Response<Empty>, Infallible>> {
        ready(Ok(Response::default()))
    }

    type Empty = http_body_util::Empty<Bytes>;
    type Site =
        Enforce<ServiceFn<fn(Request<Full<Bytes>>) -> Ready<Result<Response<Empty>, Infallible>>>>;

    const ENDPOINT: &str = "/.well-known/esper/challenge";
}

/// A guard whose breaker opens after one failure, and does not close while a benchmark runs.
fn guard(config: EsperConfig) -> Guard {
    Guard::new(AsyncEsperClient::new(config).unwrap())
        .with_breaker(1, Duration::from_secs(24 * 3600))
        .with_verdict_lifetime(Duration::from_secs(3600))
}

fn config(url: &str) -> EsperConfig {
    EsperConfig::new("sk_bench_0123456789").with_api_url(url).with_beacon_url(url)
}

/// A service that refuses every connection.
fn nobody() -> EsperConfig {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    config(&format!("http://{}", listener.local_addr().unwrap()))
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

const VISITOR: &str = "203.0.113.7";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0";
