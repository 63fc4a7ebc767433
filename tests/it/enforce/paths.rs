//! Which rule a path has, whatever way it is written in.

use axum::Router;
use esper_rs_client::FailurePolicy;
use esper_rs_client::enforce::{EnforceLayer, PublicOrigin, Rule};
use serde_json::json;

use super::echo::{Echo, asked, layer};
use crate::support::{guard, sandbox};

/// Ways to write `/admin` that some server or router takes for it.
const ADMIN: &[&str] = &[
    "/admin",
    "//admin",
    "///admin",
    "/./admin",
    "/.//admin",
    "/x/../admin",
    "/x/y/../../admin",
    "/../admin",
    "/%61dmin",
    "/%41dmin/../admin",
    "/%2561dmin",
    "/admin/",
    "/admin//",
    "/admin/.",
    "/admin/x/..",
    "/admin%2f",
    "/%2fadmin",
    "/x/%2e%2e/admin",
    "/x%2f..%2fadmin",
    "/x/..%2fadmin",
    "/x/..;/admin",
    "/admin;x",
    "/admin;x=y/",
    "/;x/admin",
    "/admin%3b",
    "/admin%3fx",
    "/admin%23x",
    "/admin%00",
    "/admin%0a",
    "/admin%ff",
    "/x%5c..%5cadmin",
    "/%5cadmin",
    "/admin?x",
    "/admin?x=/health",
    "http://elsewhere.example/admin",
    "http://elsewhere.example//x/../admin",
];

fn get(path: &str) -> String {
    format!("GET {path}")
}

fn exempt_but_admin(layer: EnforceLayer) -> EnforceLayer {
    let layer = layer.with_paths_below("/", Rule::exempt()).unwrap();
    layer.with_path("/admin", Rule::enforce()).unwrap()
}

/// Promise 9.
#[tokio::test]
async fn a_path_has_the_rule_of_the_route_that_the_router_dispatches_or_a_stricter_one() {
    let sandbox = sandbox().await;
    sandbox.block("127.0.0.1");
    let echo = Echo::behind(exempt_but_admin(layer(sandbox.url()))).await;
    assert_eq!(echo.send("GET /public", &[]).await.status(), 200);
    for path in ADMIN {
        assert_eq!(echo.send(&get(path), &[]).await.status(), 403, "{path}");
    }
    assert_eq!(echo.calls(), 1);
    for path in ["/admins", "/x/admin", "/admin.html"] {
        assert_eq!(echo.send(&get(path), &[]).await.status(), 200, "{path} is another one");
    }
}

/// Promise 9.
#[tokio::test]
async fn what_the_server_refuses_by_itself_reaches_no_route() {
    let sandbox = sandbox().await;
    sandbox.block("127.0.0.1");
    let echo = Echo::behind(exempt_but_admin(layer(sandbox.url()))).await;
    for path in ["/\\admin", "\\admin", "/ad\u{1}min", "/admin\u{0}", "/x\\..\\admin"] {
        let status = echo.send(&get(path), &[]).await.status();
        assert!([400, 403].contains(&status), "{path:?}: {status}");
    }
    assert_eq!(echo.calls(), 0);
}

/// Promise 9.
#[tokio::test]
async fn a_path_below_one_that_fails_closed_fails_closed_however_it_is_written() {
    // There is nobody.
    let layer = layer("http://127.0.0.1:1").with_telemetry_share(0.0);
    let closed = Rule::enforce().with_failure_policy(FailurePolicy::closed());
    let echo = Echo::behind(layer.with_paths_below("/admin", closed).unwrap()).await;
    for path in ADMIN {
        assert_eq!(echo.send(&get(path), &[]).await.status(), 503, "{path}");
    }
    assert_eq!(echo.send("GET /public", &[]).await.status(), 200);
}

/// Promise 9.
#[tokio::test]
async fn no_way_to_write_a_path_makes_a_guard_that_fails_closed_fail_open() {
    let closed = guard("http://127.0.0.1:1").with_failure_policy(FailurePolicy::closed());
    let open = Rule::enforce().with_failure_policy(FailurePolicy::open());
    let layer = EnforceLayer::new(closed).with_telemetry_share(0.0);
    let echo = Echo::behind(layer.with_paths_below("/public", open).unwrap()).await;
    assert_eq!(echo.send("GET /public", &[]).await.status(), 200);
    for path in ["/zpay", "/public/../zpay", "/public/%2e%2e/zpay", "/public/..;/zpay"] {
        assert_eq!(echo.send(&get(path), &[]).await.status(), 503, "{path}");
    }
}

/// Promise 11.
#[tokio::test]
async fn an_exempt_front_page_exempts_nothing_that_has_no_path() {
    let sandbox = sandbox().await;
    sandbox.block("127.0.0.1");
    let layer = layer(sandbox.url()).with_path("/", Rule::exempt()).unwrap();
    let echo = Echo::behind(layer).await;
    assert_eq!(echo.send("GET /", &[]).await.status(), 200);
    for line in ["CONNECT elsewhere.example:443", "OPTIONS *"] {
        assert_eq!(echo.send(line, &[]).await.status(), 403, "{line}");
    }
    assert_eq!(echo.calls(), 1);
}

/// Promise 10.
#[tokio::test]
async fn an_exemption_is_for_whole_segments() {
    let sandbox = sandbox().await;
    sandbox.block("127.0.0.1");
    let layer = layer(sandbox.url()).with_path("/health", Rule::exempt()).unwrap();
    let layer = layer.with_paths_below("/static", Rule::exempt()).unwrap();
    let echo = Echo::behind(layer).await;
    let exempt =
        ["/health", "/health?full", "/static", "/static/a.css", "/healthz", "/livez", "/readyz"];
    for path in exempt {
        assert_eq!(echo.send(&get(path), &[]).await.status(), 200, "{path}");
    }
    for path in [
        "/healthz-admin",
        "/health/../admin",
        "/health/x",
        "/health/..;/admin",
        "/health/%2e%2e/admin",
        "/health%2f..%2fadmin",
        "/health;/../admin",
        "/health%3b/../admin",
        "/health%00",
        "/healt",
        "/Health",
        "/static/../admin",
        "/static/..%2fadmin",
        "/static/%252e%252e/admin",
        "/static/..%5cadmin",
        "/statics",
        "/static-admin",
        "//static.example/admin",
        "/",
    ] {
        assert_eq!(echo.send(&get(path), &[]).await.status(), 403, "{path}");
    }
    assert_eq!(echo.calls(), exempt.len());
}

/// Promise 9.
#[tokio::test]
async fn behind_a_nested_router_rules_are_for_the_path_that_was_sent() {
    let sandbox = sandbox().await;
    sandbox.block("127.0.0.1");
    let layer = layer(sandbox.url()).with_path("/api/open", Rule::exempt()).unwrap();
    let layer = layer.with_paths_below("/files", Rule::exempt()).unwrap();
    // The router takes `/api` off before the layer.
    let echo = Echo::of(|application| {
        let inner = Router::new().fallback_service(application).layer(layer);
        Router::new().nest("/api", inner)
    })
    .await;
    assert_eq!(echo.send("GET /api/open", &[]).await.status(), 200);
    assert_eq!(echo.only().uri, "/open", "what the router makes of it stays");
    for path in ["/api/files/a", "/api/x", "/api/open/x"] {
        assert_eq!(echo.send(&get(path), &[]).await.status(), 403, "{path}");
    }
}

#[tokio::test]
async fn behind_a_nested_router_esper_is_told_of_the_path_that_was_sent() {
    let sandbox = sandbox().await;
    let origin = PublicOrigin::parse("https://shop.example").unwrap();
    let layer = layer(sandbox.url()).with_public_origin(origin);
    let echo = Echo::of(|application| {
        let inner = Router::new().fallback_service(application).layer(layer);
        Router::new().nest("/one", inner.clone()).nest("/two", inner)
    })
    .await;
    for path in ["/one/x?y", "/two/x?y"] {
        let browser = [("accept", "text/html")];
        assert_eq!(echo.send(&get(path), &browser).await.status(), 200, "{path}");
    }
    let asked = asked(&sandbox);
    let paths: Vec<_> = asked.iter().map(|asked| asked["path"].clone()).collect();
    assert_eq!(paths, [json!("/one/x"), json!("/two/x")]);
    assert_eq!(asked[0]["return_url"], "https://shop.example/one/x");
}
