//! The layer's own endpoint: what it takes, from whom, and where it is.

use axum::Router;
use axum::routing::get;
use esper_rs_client::enforce::Rule;
use esper_sandbox::Operation;
use reqwest::Method;
use serde_json::{Value, json};

use super::answers::header;
use super::echo::{Echo, layer};
use super::site::{Site, VISITOR, http, serve};
use super::solving::{Challenge, ENDPOINT, calls, cookie};
use crate::support::thread_log::ThreadLog;

#[tokio::test]
async fn a_cross_site_post_to_the_endpoint_gains_nothing() {
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let solution = site.challenge().await.solution();
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("origin", "")],
        &[("origin", "https://127.0.0.1.evil.example")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", &site.url("")), ("sec-fetch-site", "cross-site")],
        &[("origin", &site.url("")), ("origin", "https://evil.example")],
    ] {
        let post = headers
            .iter()
            .fold(site.hand_in(&solution), |post, (name, value)| post.header(*name, *value));
        let refused = post.send().await.unwrap();
        assert_eq!((refused.status().as_u16(), cookie(&refused)), (403, None), "{headers:?}");
        assert!(refused.headers().get("access-control-allow-origin").is_none());
    }
    // What a form can send without asking.
    for kind in ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let post = site.http.post(site.url(ENDPOINT)).header("user-agent", "curl/8.5.0");
        let post = post.header("content-type", kind).body(solution.to_string());
        let refused = post.send().await.unwrap();
        assert_eq!((refused.status().as_u16(), cookie(&refused)), (415, None), "{kind}");
    }
    // What a script of another origin asks beforehand.
    let preflight = site
        .http
        .request(Method::OPTIONS, site.url(ENDPOINT))
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST");
    let preflight = preflight.send().await.unwrap();
    assert_eq!(preflight.status(), 405);
    assert!(preflight.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
    assert_eq!(calls(&site.sandbox, Operation::VerifyChallenge).len(), 0);

    let own = site.hand_in(&solution).header("origin", site.url(""));
    let own = own.header("sec-fetch-site", "same-origin").send().await.unwrap();
    assert_eq!(own.status(), 200);
}

#[tokio::test]
async fn behind_a_proxy_that_changes_the_host_the_public_origin_is_the_site_s_own() {
    let (log, _subscribed) = ThreadLog::start();
    let site =
        Site::with(|layer| layer.with_public_origin("https://shop.example".parse().unwrap()));
    let site = site.await;
    site.sandbox.challenge(VISITOR);
    let solution = site.challenge().await.solution();
    for other in ["http://shop.example", "https://shop.example:8443", "https://evil.example"] {
        let post = site.hand_in(&solution).header("origin", other);
        assert_eq!(post.send().await.unwrap().status(), 403, "{other}");
    }
    let post = site.hand_in(&solution).header("origin", "https://shop.example");
    assert_eq!(post.send().await.unwrap().status(), 200);
    assert!(!log.text().contains("with_public_origin"), "it is set: {}", log.text());
}

#[tokio::test]
async fn behind_a_proxy_that_changes_the_host_a_browser_says_itself_that_its_page_is_the_site_s() {
    let (log, _subscribed) = ThreadLog::start();
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let solution = site.challenge().await.solution();
    let post = || site.hand_in(&solution).header("origin", "https://shop.example");
    for _ in 0..3 {
        assert_eq!(post().send().await.unwrap().status(), 403, "an old browser does not say");
    }
    let said = log.text().matches("with_public_origin").count();
    assert_eq!(said, 1, "what to do about it is said once: {}", log.text());
    let own = post().header("sec-fetch-site", "same-origin");
    assert_eq!(own.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_endpoint_is_where_it_is_set_and_pages_and_programs_are_told() {
    let site = Site::with(|layer| layer.with_endpoint("/-/check_1.x").unwrap()).await;
    site.sandbox.challenge(VISITOR);
    let page = site.visit("/").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("data-endpoint=\"/-/check_1.x\""), "{page}");
    let (_, worker) = page.split_once("data-worker=\"").unwrap();
    let worker = worker.split('"').next().unwrap();
    assert!(worker.starts_with("/-/check_1.x/"), "{worker}");
    assert_eq!(site.http.get(site.url(worker)).send().await.unwrap().status(), 200);

    let challenge = site.challenge().await;
    assert_eq!(challenge.problem["verify"], "/-/check_1.x");
    let unset = site.hand_in(&challenge.solution()).send().await.unwrap();
    assert_eq!(unset.status(), 429, "the usual path is an ordinary one");
    let post = site.http.post(site.url("/-/check_1.x")).header("user-agent", "curl/8.5.0");
    assert_eq!(post.json(&challenge.solution()).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_endpoint_that_no_browser_reaches_is_refused_with_the_next_step() {
    let layer = layer(Site::new().await.sandbox.url());
    for path in ["/x", "/.well-known/a", "/a/..b/.c", "/A-z/_0"] {
        assert!(layer.clone().with_endpoint(path).is_ok(), "{path}");
    }
    for path in [
        "",
        "/",
        "x",
        "/x/",
        "//x",
        "/x//y",
        "/.",
        "/..",
        "/a/./b",
        "/a/.",
        "/a/../b",
        "/a/..",
        "/a b",
        "/%61",
        "/\u{e9}",
        "/a?b",
        "/a#b",
        "/a;b",
        "/a\\b",
        "https://shop.example/x",
    ] {
        let error = layer.clone().with_endpoint(path).unwrap_err().to_string();
        assert!(error.contains(&format!("it looks like {ENDPOINT}")), "{path}: {error}");
    }
}

#[tokio::test]
async fn the_endpoint_answers_everything_else_without_asking_anybody() {
    let site = Site::new().await;
    site.sandbox.block(VISITOR);
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = site.http.request(method, site.url(ENDPOINT)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "allow")), (405, "POST"));
        assert_eq!(header(&answer, "cache-control"), "no-store");
    }
    for body in ["", "{", "[]", "null", r#"{"envelope":1,"response":"1"}"#, r#"{"envelope":"x"}"#] {
        let post = site.http.post(site.url(ENDPOINT)).header("content-type", "application/json");
        assert_eq!(post.body(body).send().await.unwrap().status(), 400, "{body}");
    }
    for name in ["x", "proof-of-work.js", "proof-of-work.000000000000.js", "x/y"] {
        let url = format!("{}/{name}", site.url(ENDPOINT));
        assert_eq!(site.http.get(url).send().await.unwrap().status(), 404, "{name}");
    }
    assert_eq!(calls(&site.sandbox, Operation::VerifyChallenge).len(), 0);
    assert_eq!(site.calls(), 0);
}

#[tokio::test]
async fn what_a_page_loads_is_served_to_whoever_is_blocked_meanwhile() {
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let page = site.visit("/").send().await.unwrap().text().await.unwrap();
    let (_, worker) = page.split_once("data-worker=\"").unwrap();
    let worker = worker.split('"').next().unwrap();
    assert!(worker.starts_with(ENDPOINT), "{worker}");
    site.sandbox.block(VISITOR);
    let asset = site.http.get(site.url(worker)).send().await.unwrap();
    assert_eq!(asset.status(), 200);
    assert_eq!(header(&asset, "content-type"), "text/javascript; charset=utf-8");
    assert_eq!(header(&asset, "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header(&asset, "x-content-type-options"), "nosniff");
    assert_eq!(header(&asset, "content-security-policy"), "default-src 'none'");
    let head = site.http.head(site.url(worker)).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.bytes().await.unwrap().len()), (200, 0));
    assert_eq!(site.http.post(site.url(worker)).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_endpoint_is_never_a_return_path() {
    let sandbox = crate::support::sandbox().await;
    let echo = Echo::behind(layer(sandbox.url())).await;
    let mut challenged = 0;
    for path in [
        "/.well-known/esper/challenge",
        "/.well-known/esper/challenge/",
        "/.well-known/esper/challenge?x=1",
        "/.well-known/esper/challenge/proof-of-work.js",
        "/.well-known/esper/challenge;x",
        "/.well-known/esper/./challenge",
        "/.well-known/x/../esper/challenge",
        "/.well-known/esper/%63hallenge",
        "//.well-known/esper/challenge",
        "/.well-known//esper/challenge",
    ] {
        // Of this, nothing is normalised on its way.
        let line = format!("GET {path}");
        sandbox.challenge(VISITOR);
        let answer = echo.send(&line, &[]).await;
        if [404, 405].contains(&answer.status()) {
            continue;
        }
        challenged += 1;
        let solution = Challenge { problem: answer.json() }.solution().to_string();
        let post = format!(
            "POST {ENDPOINT} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{solution}",
            solution.len()
        );
        let redeemed = echo.exchange(post.as_bytes()).await;
        assert_eq!(redeemed.status(), 200, "{redeemed:?}");
        let location = redeemed.json()["location"].as_str().unwrap().to_owned();
        let (_, cookie) = redeemed.0.split_once("set-cookie: ").unwrap();
        let cookie = cookie.split(';').next().unwrap();
        sandbox.challenge(VISITOR);
        let arrived = echo.send(&format!("GET {location}"), &[("cookie", cookie)]).await;
        assert_eq!(arrived.status(), 200, "{path} {location}");
    }
    assert_eq!(challenged, 6, "the others are the endpoint's");
}

#[tokio::test]
async fn a_nested_layer_has_its_endpoint_in_a_clone_around_the_whole() {
    let site = Site::new().await;
    let enforce = layer(site.sandbox.url())
        .with_path("/about", Rule::enforce())
        .unwrap()
        .with_path("/shop/cart", Rule::enforce())
        .unwrap()
        .with_rule(|request| (request.method == "DELETE").then(Rule::enforce));
    let shop = Router::new().route("/cart", get(async || "the cart")).layer(enforce.clone());
    let endpoint = enforce.endpoint_only();
    let app =
        Router::new().route("/about", get(async || "about")).nest("/shop", shop).layer(endpoint);
    let (addr, server) = serve(app).await;
    let http = http();
    let call =
        |path: &str| http.get(format!("http://{addr}{path}")).header("user-agent", "curl/8.5.0");

    site.sandbox.challenge(VISITOR);
    let about = call("/about").send().await.unwrap();
    assert_eq!(about.text().await.unwrap(), "about");
    let deleted = http.delete(format!("http://{addr}/about")).send().await.unwrap();
    assert_eq!(deleted.status(), 405, "by the router");
    assert_eq!(calls(&site.sandbox, Operation::CheckMitigation).len(), 0);
    let challenge = Challenge::of(call("/shop/cart?a=1").send().await.unwrap()).await;
    let asked = calls(&site.sandbox, Operation::CheckMitigation);
    assert_eq!(asked.len(), 1, "by the inner layer alone");
    assert_eq!(asked[0].body().unwrap()["path"], "/shop/cart");
    let post = http.post(format!("http://{addr}{ENDPOINT}")).header("user-agent", "curl/8.5.0");
    let redeemed = post.json(&challenge.solution()).send().await.unwrap();
    let clearance = cookie(&redeemed).unwrap();
    assert_eq!(redeemed.json::<Value>().await.unwrap(), json!({ "location": "/shop/cart?a=1" }));
    site.sandbox.challenge(VISITOR);
    let cart = call("/shop/cart").header("cookie", clearance).send().await.unwrap();
    assert_eq!(cart.text().await.unwrap(), "the cart");
    server.abort();
}
