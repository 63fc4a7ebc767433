//! Requests that nobody would write by hand.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use esper_rs_client::enforce::{CacheOptions, PublicOrigin, Rule};
use esper_rs_client::{FailurePolicy, FallbackReason};
use http::{HeaderName, HeaderValue, Method, Request};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

use super::echo::{Echo, asked, call, echoing, layer};
use crate::support::{Answer, RawServer, sandbox};

/// The head of any request that a server can get.
fn head() -> impl Strategy<Value = http::request::Builder> {
    let method = prop_oneof![
        "(GET|HEAD|POST|OPTIONS|CONNECT|TRACE|PRI)",
        "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}",
    ];
    let uri = prop_oneof![
        "/[!-~]{0,80}",
        "/(%[0-9a-f]{2}|[a-z./;\\\\]|%25|%2e){0,60}",
        "(/[a-z]{0,9}){0,600}/",
        "http://[a-z]{1,9}(/[!-\"$-~]{0,30})?",
        "[a-z]{1,9}:[0-9]{1,4}",
        Just("*".to_owned()),
    ];
    let name = prop_oneof![
        "(user-agent|host|accept|cookie|origin|x-request-id|x-forwarded-for|forwarded|content-type)",
        "(sec-fetch-dest|sec-fetch-mode|sec-fetch-site|access-control-request-method|accept-language)",
        "[!#$%&'*+.^_`|~0-9a-z-]{1,60}",
    ];
    let byte = prop_oneof![Just(b'\t'), b' '..=b'~', 0x80..=0xff_u8];
    let value = prop_oneof![
        9 => proptest::collection::vec(byte, 0..200),
        1 => (0x80..=0xff_u8, 400..9_000_usize).prop_map(|(byte, times)| vec![byte; times]),
        1 => (400..9_000_usize).prop_map(|times| "ü\"".repeat(times).into_bytes()),
    ];
    let headers = proptest::collection::vec((name, value), 0..8);
    (method, uri, headers).prop_filter_map("not a head", |(method, uri, headers)| {
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        let mut request = Request::builder().method(method).uri(uri);
        let map = request.headers_mut()?;
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            map.append(name, HeaderValue::from_bytes(&value).ok()?);
        }
        let peer = SocketAddr::from(([203, 0, 113, 9], 4));
        request.extensions_mut()?.insert(ConnectInfo(peer));
        Some(request)
    })
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// Promise 16.
#[test]
fn the_fail_open_path_lets_every_request_through_and_panics_for_none() {
    let runtime = Runtime::new().unwrap();
    let layer = layer("http://127.0.0.1:1").with_telemetry_share(0.0).with_query_strings();
    let origin = PublicOrigin::parse("https://shop.example").unwrap();
    let layer = layer.with_public_origin(origin).with_cache(CacheOptions::new());
    let layer =
        layer.with_session_cookie("sid").unwrap().with_path("/pay", Rule::enforce()).unwrap();
    let guard = layer.guard().clone();
    let (app, seen) =
        echoing(|application| Router::new().fallback_service(application).layer(layer));
    let result = runner(300).run(&head(), |head| {
        let request = head.body(Body::empty()).unwrap();
        // The layer's own endpoint is another matter.
        prop_assume!(!request.uri().path().starts_with("/.well-known/"));
        seen.lock().unwrap().clear();
        let answer = runtime.block_on(call(&app, request));
        prop_assert_eq!(answer.status(), 200);
        prop_assert_eq!(seen.lock().unwrap().len(), 1);
        Ok(())
    });
    result.unwrap();
    let stats = guard.stats();
    assert!(stats.decisions > 200, "{stats:?}");
    assert_eq!(stats.fallbacks.of(FallbackReason::InvalidRequest), 0, "{stats:?}");
    assert_eq!(stats.fallbacks.total(), stats.decisions, "{stats:?}");
}

/// Promise 16: nothing in a request can make what Esper is asked invalid, which would fail open.
#[test]
fn no_request_makes_the_question_one_that_esper_refuses() {
    let runtime = Runtime::new().unwrap();
    let sandbox = runtime.block_on(sandbox());
    sandbox.block("203.0.113.9");
    // Told of all that it can be told of.
    let layer = layer(sandbox.url()).with_query_strings().with_session_cookie("sid").unwrap();
    let origin = PublicOrigin::parse("https://shop.example").unwrap();
    let layer = layer
        .with_public_origin(origin)
        .with_rule(|_| Some(Rule::enforce().with_failure_policy(FailurePolicy::open())));
    let guard = layer.guard().clone();
    let (app, seen) =
        echoing(|application| Router::new().fallback_service(application).layer(layer));
    let result = runner(200).run(&head(), |head| {
        let request = head.body(Body::empty()).unwrap();
        prop_assume!(!request.uri().path().starts_with("/.well-known/"));
        runtime.block_on(call(&app, request));
        prop_assert_eq!(seen.lock().unwrap().len(), 0, "a block is a block");
        Ok(())
    });
    result.unwrap();
    let stats = guard.stats();
    assert_eq!(stats.by_service, stats.decisions, "{stats:?}");
}

#[tokio::test]
async fn what_is_too_long_or_no_text_is_told_in_part() {
    let sandbox = sandbox().await;
    let echo = Echo::behind(layer(sandbox.url()).with_query_strings()).await;
    let path = format!("/{}", "ab/".repeat(3_000));
    let agent = "\u{fc}".repeat(9_000);
    let language = "x".repeat(9_000);
    let line = format!("GET {path}");
    let headers = [
        ("user-agent", agent.as_str()),
        ("accept-language", &language),
        ("x-request-id", &language),
    ];
    assert_eq!(echo.send(&line, &headers).await.status(), 200);
    let raw = b"GET / HTTP/1.1\r\nhost: \xff\r\nuser-agent: a\xffb\xfe\r\n\
        accept-language: \xe4\r\nconnection: close\r\n\r\n";
    assert_eq!(echo.exchange(raw).await.status(), 200);
    let asked = asked(&sandbox);
    let text = |member: &serde_json::Value| member.as_str().unwrap().to_owned();
    assert_eq!(text(&asked[0]["path"]), path[..2048]);
    assert_eq!(text(&asked[0]["user_agent"]), agent[..1024]);
    assert_eq!(text(&asked[0]["headers"]["accept-language"]), language[..512]);
    assert_eq!(text(&asked[0]["metadata"]["request_id"]), language[..128]);
    assert_eq!(asked[1]["user_agent"], "a\u{fffd}b\u{fffd}");
    assert_eq!(asked[1]["headers"]["host"], "\u{fffd}");
}

/// Promises 8 and 16.
#[test]
fn whatever_a_block_or_a_challenge_looks_like_the_application_is_not_called_and_nothing_panics() {
    let runtime = Runtime::new().unwrap();
    let answer = Arc::new(Mutex::new(String::new()));
    let server = {
        let answer = Arc::clone(&answer);
        RawServer::always(move || Answer::json(200, &answer.lock().unwrap()))
    };
    let layer = layer(&server.url()).with_telemetry_share(0.0);
    let layer = layer.with_rule(|_| Some(Rule::enforce()));
    let (app, seen) =
        echoing(|application| Router::new().fallback_service(application).layer(layer));
    let number = prop_oneof![
        any::<u64>().prop_map(|number| number.to_string()),
        "(-1|0|1e9|33|\"x\"|null|\\[\\])",
    ];
    let kind = "(proof_of_work|turnstile|[a-z_]{0,9})";
    let challenge = prop_oneof![
        Just("null".to_owned()),
        (kind, "[ !#-\\[\\]-~]{0,40}", number).prop_map(|(kind, text, number)| {
            format!(
                r#"{{"type":"{kind}","token":"{text}","params":{{"salt":"{text}",
                "site_key":"{text}","difficulty":{number},"algorithm":"sha256"}}}}"#
            )
        }),
    ];
    let url = "(https?://a\\.example/|javascript:|//|data:|[ !#-\\[\\]-~]{0,9})[!#-\\[\\]-~]{0,30}";
    let action = "(block|challenge)";
    runner(150)
        .run(&(action, challenge, url, head()), |(action, challenge, url, head)| {
            *answer.lock().unwrap() = format!(
                r#"{{"action":"{action}","challenge":{challenge},"redirect_url":"{url}"}}"#
            );
            let request = head.body(Body::empty()).unwrap();
            prop_assume!(!request.uri().path().starts_with("/.well-known/"));
            // A preflight passes a challenge.
            let asks_first = request.headers().contains_key("access-control-request-method");
            prop_assume!(request.method() != Method::OPTIONS || !asks_first);
            seen.lock().unwrap().clear();
            let answered = runtime.block_on(call(&app, request)).status().as_u16();
            prop_assert!(matches!(answered, 200 | 303 | 403 | 429), "{}", answered);
            prop_assert_eq!(seen.lock().unwrap().len(), 0);
            Ok(())
        })
        .unwrap();
}
