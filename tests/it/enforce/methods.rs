//! Every method, and what is more than a request.

use esper_rs_client::enforce::Rule;
use esper_sandbox::Sandbox;

use super::echo::{Echo, asked, events, layer};
use crate::support::sandbox;

const WEB_SOCKET: &[(&str, &str)] = &[
    ("upgrade", "websocket"),
    ("connection", "upgrade"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];
const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc"), ("te", "trailers")];
const PREFLIGHT: &[(&str, &str)] =
    &[("origin", "https://elsewhere.example"), ("access-control-request-method", "POST")];

/// Promises 8 and 11.
#[tokio::test]
async fn a_blocked_visitor_is_blocked_with_every_method_and_the_application_is_not_called() {
    let sandbox = sandbox().await;
    sandbox.block("127.0.0.1");
    let echo = Echo::behind(layer(sandbox.url())).await;
    let lines = [
        "GET /x",
        "HEAD /x",
        "POST /x",
        "PUT /x",
        "PATCH /x",
        "DELETE /x",
        "OPTIONS /x",
        "OPTIONS *",
        "TRACE /x",
        "PRI /x",
        "PROPFIND /x",
        "BREW /x",
        "get /x",
        "CONNECT elsewhere.example:443",
    ];
    for line in lines {
        let answer = echo.send(line, &[]).await;
        assert_eq!(answer.status(), 403, "{line}: {answer:?}");
        let (_, body) = answer.0.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.is_empty(), line.starts_with("HEAD"), "{line}: {answer:?}");
        assert_eq!(echo.send(line, WEB_SOCKET).await.status(), 403, "{line}");
    }
    assert_eq!(echo.calls(), 0);
    let methods: Vec<_> =
        asked(&sandbox).into_iter().map(|asked| asked["method"].clone()).collect();
    for line in lines {
        let method = line.split(' ').next().unwrap();
        assert!(methods.iter().any(|asked| asked == method), "{method}: {methods:?}");
    }
}

/// Promises 8 and 11.
#[tokio::test]
async fn a_challenged_visitor_is_challenged_with_every_method() {
    let sandbox = sandbox().await;
    sandbox.challenge("127.0.0.1");
    let echo = Echo::behind(layer(sandbox.url())).await;
    for line in ["GET /", "HEAD /", "POST /", "OPTIONS /", "TRACE /", "BREW /", "CONNECT a:1"] {
        assert_eq!(echo.send(line, &[]).await.status(), 429, "{line}");
    }
    assert_eq!(echo.send("GET /", WEB_SOCKET).await.status(), 429);
    assert_eq!(echo.calls(), 0);
}

/// Promise 11.
#[tokio::test]
async fn a_grpc_call_is_refused_in_its_trailers_and_does_not_reach_the_application() {
    let sandbox = sandbox().await;
    let echo = Echo::behind(layer(sandbox.url())).await;
    let denials: [fn(&Sandbox); 2] =
        [|sandbox| sandbox.block("127.0.0.1"), |sandbox| sandbox.challenge("127.0.0.1")];
    for deny in denials {
        deny(&sandbox);
        for line in ["POST /shop.Cart/Add", "GET /shop.Cart/Add"] {
            let answer = echo.send(line, GRPC).await;
            assert_eq!(answer.status(), 200);
            assert!(answer.0.contains("grpc-status: 7\r\n"), "{answer:?}");
            assert!(answer.0.ends_with("\r\n\r\n"), "{answer:?}");
        }
    }
    assert_eq!(echo.calls(), 0);
}

/// Promise 11.
#[tokio::test]
async fn a_preflight_of_cors_passes_a_challenge_and_nothing_does_that_only_looks_like_one() {
    let sandbox = sandbox().await;
    sandbox.challenge("127.0.0.1");
    let echo = Echo::behind(layer(sandbox.url())).await;
    assert_eq!(echo.send("OPTIONS /x", PREFLIGHT).await.status(), 200);
    assert_eq!(echo.calls(), 1);
    assert_eq!(events(&sandbox, 1).await[0]["method"], "OPTIONS");
    for (line, headers) in [
        ("OPTIONS /x", &PREFLIGHT[..1]),
        ("OPTIONS /x", &PREFLIGHT[1..]),
        ("GET /x", PREFLIGHT),
        ("POST /x", PREFLIGHT),
        ("options /x", PREFLIGHT),
        ("TRACE /x", PREFLIGHT),
    ] {
        assert_eq!(echo.send(line, headers).await.status(), 429, "{line} {headers:?}");
    }
    // What no browser sends with it, and a handler of any method could act on.
    for more in [
        ("cookie", "session=1"),
        ("authorization", "Basic eDp5"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("x-http-method-override", "POST"),
        ("x-http-method", "POST"),
        ("x-method-override", "POST"),
        ("content-type", "text/plain"),
    ] {
        let headers = [PREFLIGHT, &[more]].concat();
        assert_eq!(echo.send("OPTIONS /x", &headers).await.status(), 429, "{more:?}");
    }
    let opening = [PREFLIGHT, WEB_SOCKET].concat();
    assert_eq!(echo.send("OPTIONS /x", &opening).await.status(), 429);
    let calling = [PREFLIGHT, GRPC].concat();
    assert!(echo.send("OPTIONS /x", &calling).await.0.contains("grpc-status: 7\r\n"));
    let overriding = [PREFLIGHT, &[("x-http-method-override", "OPTIONS")]].concat();
    assert_eq!(echo.send("POST /x", &overriding).await.status(), 429);
    assert_eq!(echo.calls(), 1);
}

/// Promises 8 and 11.
#[tokio::test]
async fn a_preflight_of_a_blocked_visitor_is_blocked() {
    let sandbox = sandbox().await;
    sandbox.block("127.0.0.1");
    let echo = Echo::behind(layer(sandbox.url())).await;
    assert_eq!(echo.send("OPTIONS /x", PREFLIGHT).await.status(), 403);
    assert_eq!(echo.calls(), 0);
}

/// Promise 30: to a CONNECT, 200 says that there is a tunnel.
#[tokio::test]
async fn a_refused_connect_never_gets_a_success_whatever_it_calls_itself() {
    let sandbox = sandbox().await;
    sandbox.block("127.0.0.1");
    let echo = Echo::behind(layer(sandbox.url())).await;
    assert_eq!(echo.send("CONNECT elsewhere.example:443", GRPC).await.status(), 403);
    assert_eq!(echo.calls(), 0);
}

/// Promise 11.
#[tokio::test]
async fn a_preflight_follows_the_rule_of_the_application_where_there_is_one() {
    let sandbox = sandbox().await;
    sandbox.block("127.0.0.1");
    let layer = layer(sandbox.url())
        .with_rule(|request| request.uri.path().starts_with("/x").then(Rule::exempt));
    let echo = Echo::behind(layer).await;
    assert_eq!(echo.send("OPTIONS /x", PREFLIGHT).await.status(), 200);
    assert_eq!(echo.send("OPTIONS /y", PREFLIGHT).await.status(), 403);
    assert_eq!(sandbox.request_count(), 1);
}
