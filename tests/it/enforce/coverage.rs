//! What a visitor sends to get around the layer.

use std::future::{Pending, pending};
use std::task::{Context, Poll};

use axum::body::Body;
use esper_rs_client::enforce::{EnforceLayer, PublicOrigin, Rule};
use http::{Request, Response};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;
use tower::{Layer as _, Service, ServiceExt};

use super::echo::{APPLICATION, Echo, asked, layer};
use crate::support::{KEY, sandbox};

/// Promise 8.
#[tokio::test]
async fn an_exempt_request_reaches_the_application_unchanged() {
    let layer = layer("http://127.0.0.1:1").with_rule(|_| Some(Rule::exempt()));
    assert_unchanged(layer).await;
}

/// Promise 8.
#[tokio::test]
async fn an_allowed_request_reaches_the_application_unchanged() {
    let sandbox = sandbox().await;
    assert_unchanged(layer(sandbox.url())).await;
}

async fn assert_unchanged(layer: EnforceLayer) {
    let bare = Echo::of(|application| axum::Router::new().fallback_service(application)).await;
    let echo = Echo::behind(layer).await;
    let request = b"POST //a/./b/..//%61;x?y=%zz&token=1 HTTP/1.1\r\nHost: Shop.example\r\n\
        User-Agent: \xff\xfe \xe4\r\nX-Twice: 1\r\nCookie: a=b; c\r\nX-Twice: 2\r\n\
        Authorization: Basic eDp5\r\nX-Empty:\r\nTransfer-Encoding: chunked\r\n\
        Connection: close\r\n\r\n3\r\n\x00\xff\n\r\n4\r\nmore\r\n0\r\n\r\n";
    for echo in [&bare, &echo] {
        let answer = echo.exchange(request).await;
        assert!(answer.status() == 200 && answer.0.ends_with(APPLICATION), "{answer:?}");
    }
    let (bare, seen) = (bare.only(), echo.only());
    assert_eq!((seen.method, seen.uri, seen.body), (bare.method, bare.uri, bare.body));
    assert_eq!(seen.headers, bare.headers);
    let order = |headers: &http::HeaderMap| format!("{headers:?}");
    assert_eq!(order(&seen.headers), order(&bare.headers));
}

/// Promise 12.
#[tokio::test]
async fn no_header_or_cookie_that_anybody_knows_turns_a_block_into_a_pass() {
    let sandbox = sandbox().await;
    sandbox.block("127.0.0.1");
    let echo = Echo::behind(layer(sandbox.url())).await;
    let long = "x".repeat(7_000);
    for (name, value) in [
        ("cookie", "esper_challenge=1"),
        ("cookie", "__Host-esper_challenge=1"),
        ("cookie", "__Host-esper_challenge="),
        ("cookie", "__Host-esper_challenge=1; __Host-esper_challenge=2"),
        ("cookie", "esper_challenge_proof=1; session=1; admin=true"),
        ("cookie", &long),
        ("x-esper-action", "allow"),
        ("x-esper-decision", "allow"),
        ("x-esper-key", KEY),
        ("x-esper-api-key", KEY),
        ("authorization", "Bearer sk_test"),
        ("x-middleware-subrequest", "middleware:middleware:middleware"),
        ("x-real-ip", "127.0.0.2"),
        ("x-forwarded-for", "127.0.0.2"),
        ("x-forwarded-for", "127.0.0.1, 127.0.0.1"),
        ("x-original-url", "/healthz"),
        ("x-rewrite-url", "/healthz"),
        ("x-http-method-override", "OPTIONS"),
        ("x-prefetch", "1"),
        ("purpose", "prefetch"),
        ("user-agent", "Googlebot/2.1 (+http://www.google.com/bot.html)"),
        ("user-agent", "kube-probe/1.31"),
        ("user-agent", ""),
        ("user-agent", &long),
        ("sec-fetch-site", "same-origin"),
        ("accept", "text/event-stream"),
        ("range", "bytes=0-0"),
        ("if-none-match", "*"),
        ("expect", "100-continue"),
        ("connection", "x-esper-key, upgrade"),
    ] {
        let answer = echo.send("GET /", &[(name, value)]).await;
        assert_eq!(answer.status(), 403, "{name}: {value}");
    }
    let proof = echo.send("GET /?esper_challenge_proof=1", &[("accept", "text/html")]).await;
    assert_eq!(proof.status(), 403);
    assert_eq!(echo.calls(), 0);
}

/// Promise 12.
#[test]
fn no_header_or_cookie_of_any_name_turns_a_block_into_a_pass() {
    let runtime = Runtime::new().unwrap();
    let (sandbox, echo) = runtime.block_on(async {
        let sandbox = sandbox().await;
        sandbox.block("127.0.0.1");
        let echo = Echo::behind(layer(sandbox.url()).with_telemetry_share(0.0)).await;
        (sandbox, echo)
    });
    // A name that says how long the body is would only make the server wait for one.
    let name = "[a-z][a-z0-9-]{0,24}".prop_filter("framing", |name| {
        !["content-length", "transfer-encoding", "expect"].contains(&&**name)
    });
    let header = prop_oneof![
        (name, "[ -~]{0,60}"),
        ("[!#$%&'*+.^_`|~A-Za-z0-9-]{1,20}", "[!-:<-~]{0,40}")
            .prop_map(|(name, value)| ("cookie".to_owned(), format!("{name}={value}"))),
        "[!-:<-~]{0,200}"
            .prop_map(|value| ("cookie".to_owned(), format!("__Host-esper_challenge={value}"))),
    ];
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&proptest::collection::vec(header, 0..6), |headers| {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            let answer = runtime.block_on(echo.send("GET /", &headers));
            // A gRPC call is refused in its own way.
            prop_assert!(
                matches!(answer.status(), 400 | 403) || answer.0.contains("grpc-status: 7")
            );
            Ok(())
        })
        .unwrap();
    assert_eq!(echo.calls(), 0);
    drop(sandbox);
}

/// Promise 12.
#[tokio::test]
async fn headers_in_the_name_of_esper_do_not_reach_the_application_whatever_the_rule() {
    let sandbox = sandbox().await;
    let layer = layer(sandbox.url()).with_path("/watched", Rule::monitor()).unwrap();
    let echo = Echo::behind(layer).await;
    let forged = [
        ("X-Esper-Action", "allow"),
        ("x-esper-action", "block"),
        ("x-esper-", "x"),
        ("x-esper-anything", "x"),
        ("x-espers", "stays"),
    ];
    for path in ["/", "/watched", "/healthz"] {
        assert_eq!(echo.send(&format!("GET {path}"), &forged).await.status(), 200);
        let headers = echo.seen().pop().unwrap().headers;
        let names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["host", "connection", "x-espers"], "{path}");
    }
    let asked = format!("{:?}", asked(&sandbox));
    assert!(!asked.contains("x-esper"), "{asked}");
}

/// Promise 13.
#[tokio::test]
async fn what_an_untrusted_peer_says_about_the_url_changes_nothing() {
    let sandbox = sandbox().await;
    let origin = PublicOrigin::parse("https://shop.example").unwrap();
    let layer = layer(sandbox.url()).with_public_origin(origin);
    let layer = layer.with_path("/public", Rule::exempt()).unwrap();
    let echo = Echo::behind(layer).await;
    let lies = |path: &'static str| {
        [
            ("x-original-uri", path),
            ("x-original-url", path),
            ("x-rewrite-url", path),
            ("x-forwarded-prefix", path),
            ("x-forwarded-uri", path),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-port", "1"),
            ("forwarded", "for=6.6.6.6;host=evil.example;proto=gopher"),
            ("accept", "text/html"),
        ]
    };
    assert_eq!(echo.send("GET /admin", &lies("/public")).await.status(), 200);
    let asked = asked(&sandbox);
    assert_eq!(asked[0]["path"], "/admin");
    assert_eq!(asked[0]["return_url"], "https://shop.example/admin");
    let text = asked[0].to_string();
    for lie in ["evil.example", "gopher", "/public", "6.6.6.6"] {
        assert!(!text.contains(lie), "{lie}: {text}");
    }

    sandbox.block("127.0.0.1");
    assert_eq!(echo.send("GET /admin", &lies("/public")).await.status(), 403);
    assert_eq!(echo.send("GET /public", &lies("/admin")).await.status(), 200);
    assert_eq!(echo.calls(), 2);
}

/// An application that says that it cannot take a request.
#[derive(Clone)]
struct Unready;

impl Service<Request<Body>> for Unready {
    type Response = Response<Body>;
    type Error = &'static str;
    type Future = Pending<Result<Response<Body>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Err("not ready"))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        pending()
    }
}

#[tokio::test]
async fn the_layer_is_as_ready_as_the_application() {
    let mut service = layer("http://127.0.0.1:1").layer(Unready);
    let ready = ServiceExt::<Request<Body>>::ready(&mut service).await;
    assert_eq!(ready.err(), Some("not ready"));
}
