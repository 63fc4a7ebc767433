//! Whose requests these are.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::extract::connect_info::MockConnectInfo;
use esper_rs_client::enforce::{
    ClientIp, ClientIpRules, ClientIpSource, EnforceLayer, MissingAddress, Rule,
};
use esper_rs_client::{DecisionSource, FailurePolicy};
use esper_sandbox::Sandbox;
use http::Request;
use serde_json::json;

use super::echo::{Echo, asked, call, echoing, layer};
use crate::support::{logs, sandbox};

const FORGED: &[(&str, &str)] = &[
    ("x-forwarded-for", "6.6.6.6"),
    ("forwarded", "for=6.6.6.6"),
    ("x-real-ip", "6.6.6.6"),
    ("cf-connecting-ip", "6.6.6.6"),
    ("true-client-ip", "6.6.6.6"),
];

fn behind_loopback(sandbox: &Sandbox) -> EnforceLayer {
    let rules = ClientIpRules::behind_proxies(["loopback", "10.0.0.0/8"]).unwrap();
    layer(sandbox.url()).with_client_ip(rules)
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

/// Promise 1.
#[tokio::test]
async fn an_untrusted_peer_is_asked_about_by_its_own_address_whatever_its_headers_say() {
    let sandbox = sandbox().await;
    let echo = Echo::behind(layer(sandbox.url())).await;
    assert_eq!(echo.send("GET /", FORGED).await.status(), 200);
    let client = echo.only().client.unwrap();
    assert_eq!((client.address(), client.source()), (address("127.0.0.1"), ClientIpSource::Peer));
    assert_eq!(asked(&sandbox)[0]["ip"], "127.0.0.1");

    sandbox.block("127.0.0.1");
    assert_eq!(echo.send("GET /", FORGED).await.status(), 403);
    assert_eq!(echo.calls(), 1);
}

/// Promise 2.
#[tokio::test]
async fn behind_trusted_proxies_the_first_untrusted_entry_from_the_right_is_asked_about() {
    let sandbox = sandbox().await;
    let echo = Echo::behind(behind_loopback(&sandbox)).await;
    let forged = "6.6.6.6, ".repeat(100);
    for (hops, proxies) in ["", ", 10.0.0.1", ", 10.0.0.1, 10.0.0.2"].iter().enumerate() {
        let entries = format!("{forged}203.0.113.7{proxies}");
        assert_eq!(echo.send("GET /", &[("x-forwarded-for", &entries)]).await.status(), 200);
        let client = echo.seen().pop().unwrap().client.unwrap();
        assert_eq!(client.address(), address("203.0.113.7"));
        assert_eq!(client.source(), ClientIpSource::Forwarded { hops: hops + 1 });
    }
    assert!(asked(&sandbox).iter().all(|asked| asked["ip"] == "203.0.113.7"));

    sandbox.block("203.0.113.7");
    let theirs = [("x-forwarded-for", "6.6.6.6, 203.0.113.7")];
    assert_eq!(echo.send("GET /", &theirs).await.status(), 403);
    assert_eq!(echo.send("GET /", &[("x-forwarded-for", "203.0.113.8")]).await.status(), 200);
}

/// Promise 6.
#[tokio::test]
async fn without_an_address_a_request_passes_unchecked_unless_configured_otherwise() {
    let sandbox = sandbox().await;
    sandbox.block("127.0.0.1");
    let rules = ClientIpRules::direct();
    let layer = layer(sandbox.url()).with_client_ip(rules.clone());
    let echo = Echo::without_addresses(layer).await;
    for _ in 0..3 {
        assert_eq!(echo.send("GET /", FORGED).await.status(), 200);
    }
    let seen = echo.seen().pop().unwrap();
    assert_eq!(seen.client.unwrap().source(), ClientIpSource::Missing);
    assert_eq!(seen.decision.unwrap().source, DecisionSource::NoAddress);
    assert_eq!(rules.stats().missing, 3);
    assert_eq!(sandbox.request_count(), 0, "there is nobody to ask about");
}

/// Promise 6.
#[tokio::test]
async fn without_an_address_nothing_passes_where_the_policy_is_closed() {
    let sandbox = sandbox().await;
    let closed = Rule::enforce().with_failure_policy(FailurePolicy::closed());
    let echo = Echo::without_addresses(layer(sandbox.url()).with_path("/order", closed).unwrap());
    let echo = echo.await;
    for (path, status) in [("/", 200), ("/order", 403), ("/healthz", 200)] {
        let answer = echo.send(&format!("GET {path}"), &[]).await;
        assert_eq!(answer.status(), status, "{path}");
    }
    assert_eq!((echo.calls(), sandbox.request_count()), (2, 0));
}

/// Promise 6.
#[tokio::test]
async fn without_an_address_a_request_is_refused_where_that_is_configured() {
    let sandbox = sandbox().await;
    let rules = ClientIpRules::direct().with_missing_address(MissingAddress::Refuse);
    let layer = layer(sandbox.url()).with_client_ip(rules);
    let layer = layer.with_path("/watched", Rule::monitor()).unwrap();
    let echo = Echo::without_addresses(layer).await;
    for (path, status) in [("/", 403), ("/healthz", 200), ("/watched", 200)] {
        let answer = echo.send(&format!("GET {path}"), &[]).await;
        assert_eq!(answer.status(), status, "{path}");
    }
    let watched = echo.seen().pop().unwrap().decision.unwrap();
    assert!(!watched.is_allowed(), "it says what would have been done");
    assert_eq!((echo.calls(), sandbox.request_count()), (2, 0));
}

/// Promise 6.
#[tokio::test]
async fn without_an_address_a_stand_in_is_asked_about_and_the_header_is_believed_if_it_is_trusted()
{
    let sandbox = sandbox().await;
    let rules = ClientIpRules::behind_proxies(["10.0.0.0/8"]).unwrap();
    let stand_in = MissingAddress::StandIn("10.0.0.9".parse().unwrap());
    let layer = layer(sandbox.url()).with_client_ip(rules.with_missing_address(stand_in));
    let echo = Echo::without_addresses(layer).await;
    echo.send("GET /", &[]).await;
    echo.send("GET /", &[("x-forwarded-for", "203.0.113.7")]).await;
    let ips: Vec<_> = asked(&sandbox).into_iter().map(|asked| asked["ip"].clone()).collect();
    assert_eq!(ips, [json!("10.0.0.9"), json!("203.0.113.7")]);
}

/// Promises 1 and 6.
#[tokio::test]
async fn a_server_that_is_not_axums_tells_the_peer_in_its_own_way() {
    #[derive(Clone)]
    struct Peer(IpAddr);
    let sandbox = sandbox().await;
    let layer = layer(sandbox.url()).with_peer(|extensions| Some(extensions.get::<Peer>()?.0));
    let (app, seen) =
        echoing(|application| Router::new().fallback_service(application).layer(layer));
    let mut request = Request::get("/").header("x-forwarded-for", "6.6.6.6");
    let extensions = request.extensions_mut().unwrap();
    // As of a listener on a v6 socket.
    extensions.insert(Peer("::ffff:203.0.113.7".parse().unwrap()));
    extensions.insert(ConnectInfo(SocketAddr::from(([198, 51, 100, 1], 443))));
    call(&app, request.body(Body::empty()).unwrap()).await;
    assert_eq!(asked(&sandbox)[0]["ip"], "203.0.113.7");
    assert_eq!(seen.lock().unwrap()[0].client.unwrap().source(), ClientIpSource::Peer);
}

/// Promise 1.
#[tokio::test]
async fn a_test_of_an_application_says_who_comes_as_axum_has_it() {
    let sandbox = sandbox().await;
    let somebody = |last| SocketAddr::from(([203, 0, 113, last], 443));
    let (app, _) = echoing(|application| {
        let app = Router::new().fallback_service(application).layer(layer(sandbox.url()));
        app.layer(MockConnectInfo(somebody(7)))
    });
    call(&app, Request::get("/").body(Body::empty()).unwrap()).await;
    // A connection is not a mock.
    let mut request = Request::get("/");
    request.extensions_mut().unwrap().insert(ConnectInfo(somebody(8)));
    call(&app, request.body(Body::empty()).unwrap()).await;
    let asked = asked(&sandbox);
    assert_eq!(
        asked.iter().map(|asked| &asked["ip"]).collect::<Vec<_>>(),
        ["203.0.113.7", "203.0.113.8"]
    );
}

/// Promise 7.
#[tokio::test]
async fn a_handler_sees_why_an_address_was_chosen() {
    let sandbox = sandbox().await;
    let layer = behind_loopback(&sandbox);
    let handler = async |client: ClientIp| client.to_string();
    let echo = Echo::of(|_| Router::new().fallback(axum::routing::get(handler)).layer(layer)).await;
    for (entries, said) in [
        ("203.0.113.7", "203.0.113.7 (forwarded, trusted hops: 1)"),
        ("203.0.113.7, 10.0.0.1", "203.0.113.7 (forwarded, trusted hops: 2)"),
        ("203.0.113.7, unknown", "127.0.0.1 (cut short, trusted hops: 1)"),
        ("10.0.0.3", "10.0.0.3 (none but trusted hops: 2)"),
    ] {
        let answer = echo.send("GET /", &[("x-forwarded-for", entries)]).await;
        assert!(answer.0.ends_with(said), "{entries}: {answer:?}");
    }
}

/// Promise 7.
#[tokio::test]
async fn a_handler_that_wants_an_address_without_a_layer_fails_and_does_not_get_a_forged_one() {
    let handler = async |client: ClientIp| client.to_string();
    let echo = Echo::of(|_| Router::new().fallback(axum::routing::get(handler))).await;
    assert_eq!(echo.send("GET /", FORGED).await.status(), 500);
}

/// Promise 7.
#[tokio::test]
async fn where_all_share_a_private_address_the_log_warns_once() {
    // Exempt, so that no server is needed; the address is looked for all the same.
    let layer = layer("http://127.0.0.1:1").with_rule(|_| Some(Rule::exempt()));
    let (app, seen) =
        echoing(|application| Router::new().fallback_service(application).layer(layer));
    for _ in 0..2_500 {
        let mut request = Request::get("/").header("x-forwarded-for", "203.0.113.7");
        let proxy = SocketAddr::from(([10, 77, 13, 1], 443));
        request.extensions_mut().unwrap().insert(ConnectInfo(proxy));
        call(&app, request.body(Body::empty()).unwrap()).await;
    }
    assert_eq!(seen.lock().unwrap().len(), 2_500);
    assert_eq!(logs::lines_with(&["10.77.13.1", "behind a proxy?"]).len(), 1);
}
