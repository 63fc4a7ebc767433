//! Clearances: whose they are, for how long, and what they look like.

use esper_rs_client::FailurePolicy;
use esper_rs_client::enforce::{
    ClearanceBinding, ClearanceKey, ClearanceKeys, ClearanceOptions, ClientIpRules, EnforceLayer,
    PublicOrigin, Rule,
};
use esper_sandbox::{Fault, Operation, Visitor};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::echo::{Echo, layer};
use super::site::{Site, VISITOR};
use super::solving::{Challenge, ENDPOINT, calls, cookie};

/// Somebody behind the proxy of a site.
#[derive(Clone, Copy)]
struct Somebody {
    address: &'static str,
    user_agent: &'static str,
    host: &'static str,
}

impl Somebody {
    fn signed(self, request: RequestBuilder) -> RequestBuilder {
        request
            .header("host", self.host)
            .header("user-agent", self.user_agent)
            .header("x-forwarded-for", self.address)
    }

    async fn get(self, site: &Site, cookie: &str) -> Response {
        let request = self.signed(site.http.get(site.url("/")));
        request.header("cookie", cookie).send().await.unwrap()
    }

    async fn hand_in(self, site: &Site, solution: &Value) -> Response {
        let request = self.signed(site.http.post(site.url(ENDPOINT)));
        request.json(solution).send().await.unwrap()
    }

    /// Gets challenged by hand, as the sandbox forgets a challenge that is solved.
    async fn challenge(self, site: &Site) -> Challenge {
        self.suspect(site);
        Challenge::of(self.get(site, "").await).await
    }

    async fn clearance(self, site: &Site) -> String {
        let solution = self.challenge(site).await.solution();
        cookie(&self.hand_in(site, &solution).await).expect("a clearance")
    }

    async fn is_cleared_by(self, site: &Site, cookie: &str) -> bool {
        self.suspect(site);
        match self.get(site, cookie).await.status() {
            StatusCode::OK => true,
            StatusCode::TOO_MANY_REQUESTS => false,
            other => panic!("{other}"),
        }
    }

    fn suspect(self, site: &Site) {
        site.sandbox.challenge(Visitor::new(self.address));
    }
}

async fn site(change: impl FnOnce(EnforceLayer) -> EnforceLayer) -> Site {
    Site::with(|layer| change(layer.with_client_ip(behind_proxy()))).await
}

fn behind_proxy() -> ClientIpRules {
    ClientIpRules::behind_proxies(["127.0.0.1"]).unwrap()
}

fn key(number: u8) -> ClearanceKey {
    ClearanceKey::new(format!("{number:03} pY3zqW0rT8mK5vN1xB7cL2dF9gH4jS6aQ")).unwrap()
}

#[tokio::test]
async fn a_clearance_is_bound_to_site_user_agent_and_network() {
    let site = site(|layer| layer).await;
    let clearance = ALICE.clearance(&site).await;
    for (who, cleared) in [
        (ALICE, true),
        (Somebody { address: "192.0.2.254", ..ALICE }, true),
        (Somebody { host: "SHOP.example", ..ALICE }, true),
        (Somebody { address: "192.0.3.1", ..ALICE }, false),
        (Somebody { address: "2001:db8:1::1", ..ALICE }, true),
        (Somebody { address: "2001:db8:1:ffff::2", ..ALICE }, true),
        (Somebody { address: "2001:db8:2::1", ..ALICE }, false),
        (Somebody { user_agent: "Chromium", ..ALICE }, false),
        (Somebody { user_agent: "", ..ALICE }, false),
        (Somebody { host: "other.example", ..ALICE }, false),
        (Somebody { host: "shop.example:8443", ..ALICE }, false),
    ] {
        let Somebody { address, user_agent, host } = who;
        assert_eq!(
            who.is_cleared_by(&site, &clearance).await,
            cleared,
            "{address} {user_agent} {host}"
        );
    }
}

/// An application may go by the one name or by the other.
#[tokio::test]
async fn a_clearance_for_one_name_of_a_site_is_none_for_two_names() {
    let sandbox = crate::support::sandbox().await;
    let echo = Echo::behind(layer(sandbox.url())).await;
    let send = async |line: &str, host: &str, headers: &str, body: &str| {
        sandbox.challenge(VISITOR);
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}");
        let request = format!("{head}content-length: {length}\r\n\r\n{body}");
        echo.exchange(request.as_bytes()).await
    };
    let challenge = Challenge { problem: send("GET /", "a.example", "", "").await.json() };
    let post = format!("POST {ENDPOINT}");
    let json = "content-type: application/json\r\n";
    let redeemed = send(&post, "a.example", json, &challenge.solution().to_string()).await;
    let (_, cookie) = redeemed.0.split_once("set-cookie: ").expect("a clearance");
    let cookie = format!("cookie: {}\r\n", cookie.split(';').next().unwrap());
    for (line, host, expected) in [
        ("GET /", "a.example", 200),
        ("GET http://a.example/", "a.example", 200),
        ("GET http://a.example/", "A.Example", 200),
        ("GET /", "b.example", 429),
        ("GET http://b.example/", "a.example", 429),
        ("GET http://a.example/", "b.example", 429),
    ] {
        assert_eq!(send(line, host, &cookie, "").await.status(), expected, "{line} {host}");
    }
}

#[tokio::test]
async fn how_closely_a_clearance_is_bound_can_be_set() {
    for (binding, near, far) in [
        (ClearanceBinding::Nothing, true, true),
        (ClearanceBinding::Network, true, false),
        (ClearanceBinding::Address, false, false),
    ] {
        let options = ClearanceOptions::new().with_binding(binding);
        let site = site(|layer| layer.with_clearance_options(options).unwrap()).await;
        let clearance = ALICE.clearance(&site).await;
        let at = |address| Somebody { address, ..ALICE };
        assert!(ALICE.is_cleared_by(&site, &clearance).await);
        assert_eq!(at("192.0.2.2").is_cleared_by(&site, &clearance).await, near, "{binding:?}");
        assert_eq!(at("203.0.113.7").is_cleared_by(&site, &clearance).await, far, "{binding:?}");
    }
}

#[tokio::test]
async fn a_challenge_is_redeemed_by_nobody_else() {
    let site = site(|layer| layer).await;
    let solution = ALICE.challenge(&site).await.solution();
    for thief in [
        Somebody { address: "203.0.113.7", ..ALICE },
        Somebody { user_agent: "Chromium", ..ALICE },
        Somebody { host: "other.example", ..ALICE },
    ] {
        let refused = thief.hand_in(&site, &solution).await;
        assert_eq!((refused.status().as_u16(), cookie(&refused)), (403, None));
    }
    assert_eq!(calls(&site.sandbox, Operation::VerifyChallenge).len(), 0);
    assert_eq!(ALICE.hand_in(&site, &solution).await.status(), 200);
}

#[tokio::test]
async fn a_clearance_never_lifts_a_block() {
    let site = site(|layer| layer).await;
    let clearance = ALICE.clearance(&site).await;
    site.sandbox.block(ALICE.address);
    assert_eq!(ALICE.get(&site, &clearance).await.status(), 403);
    // Nor one that holds while Esper fails.
    site.sandbox.faults().add(Fault::status(500).on(Operation::CheckMitigation));
    assert_eq!(ALICE.get(&site, &clearance).await.status(), 403);
}

#[tokio::test]
async fn a_clearance_is_no_way_around_a_policy_that_fails_closed() {
    let closed = Rule::enforce().with_failure_policy(FailurePolicy::closed());
    let site = site(|layer| layer.with_paths_below("/", closed).unwrap()).await;
    let clearance = ALICE.clearance(&site).await;
    assert!(ALICE.is_cleared_by(&site, &clearance).await);
    site.sandbox.faults().add(Fault::status(500).on(Operation::CheckMitigation));
    assert_eq!(ALICE.get(&site, &clearance).await.status(), 503);
}

#[tokio::test]
async fn a_cookie_of_that_name_with_other_content_counts_as_absent() {
    let site = site(|layer| layer).await;
    let genuine = ALICE.clearance(&site).await;
    let (name, value) = genuine.split_once('=').unwrap();
    assert_eq!(name, "__Host-esper_challenge");
    let envelope = ALICE.challenge(&site).await.token().to_owned();
    let long = "x".repeat(5_000);
    for other in ["", "1", "true", "null", "\"\"", &value[1..], &envelope, &long] {
        let forged = format!("{name}={other}");
        assert!(!ALICE.is_cleared_by(&site, &forged).await, "{other}");
        // It spoils no genuine one beside it.
        assert!(ALICE.is_cleared_by(&site, &format!("{forged}; {genuine}")).await, "{other}");
        site.sandbox.lift(ALICE.address);
        assert_eq!(ALICE.get(&site, &forged).await.status(), 200, "{other}");
    }
    for misnamed in ["esper_challenge", "__host-esper_challenge", "__Host-esper_challenge2"] {
        assert!(!ALICE.is_cleared_by(&site, &format!("{misnamed}={value}")).await, "{misnamed}");
    }
    // Nor is it an envelope.
    let envelope = json!({ "envelope": value, "response": "1" });
    assert_eq!(ALICE.hand_in(&site, &envelope).await.status(), 403);
}

#[tokio::test]
async fn a_change_anywhere_in_a_clearance_is_refused() {
    let site = site(|layer| layer).await;
    let genuine = ALICE.clearance(&site).await;
    let (name, value) = genuine.split_once('=').unwrap();
    for place in (0..value.len()).step_by(7) {
        let mut forged = value.as_bytes().to_owned();
        forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
        let forged = format!("{name}={}", String::from_utf8(forged).unwrap());
        assert!(!ALICE.is_cleared_by(&site, &forged).await, "{place}");
    }
}

#[tokio::test]
async fn a_key_verifies_until_it_is_removed() {
    let before = site(|layer| layer.with_clearance_keys(ClearanceKeys::new(key(1)))).await;
    let both = ClearanceKeys::new(key(2)).with_previous(key(1));
    let during =
        before.beside(|layer| layer.with_client_ip(behind_proxy()).with_clearance_keys(both));
    let after = before.beside(|layer| {
        layer.with_client_ip(behind_proxy()).with_clearance_keys(ClearanceKeys::new(key(2)))
    });
    let (during, after) = (during.await, after.await);

    let old = ALICE.clearance(&before).await;
    assert!(ALICE.is_cleared_by(&before, &old).await);
    assert!(ALICE.is_cleared_by(&during, &old).await);
    assert!(!ALICE.is_cleared_by(&after, &old).await);
    let new = ALICE.clearance(&during).await;
    assert!(!ALICE.is_cleared_by(&before, &new).await);
    assert!(ALICE.is_cleared_by(&after, &new).await);

    // Envelopes likewise.
    let solution = ALICE.challenge(&before).await.solution();
    assert_eq!(ALICE.hand_in(&after, &solution).await.status(), 403);
    assert_eq!(ALICE.hand_in(&during, &solution).await.status(), 200);
}

#[tokio::test]
async fn the_cookie_has_its_prefix_and_flags_and_is_plain_on_plain_http_of_this_machine() {
    for (origin, name, secure) in [
        ("https://shop.example", "__Host-esper_challenge", "; Secure"),
        ("http://localhost:3000", "esper_challenge", ""),
        ("http://127.0.0.1:3000", "esper_challenge", ""),
        ("http://[::1]:3000", "esper_challenge", ""),
    ] {
        let origin = PublicOrigin::parse(origin).unwrap();
        let site = Site::with(|layer| layer.with_public_origin(origin)).await;
        site.sandbox.challenge(VISITOR);
        let solution = site.challenge().await.solution();
        let redeemed = site.hand_in(&solution).send().await.unwrap();
        let cookie = redeemed.headers()["set-cookie"].to_str().unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(pair.split_once('=').unwrap().0, name);
        let expected = format!("Path=/; Max-Age=3600; HttpOnly; SameSite=Lax{secure}");
        assert_eq!(attributes, expected);
    }
}

#[tokio::test]
async fn without_a_configured_key_all_layers_of_a_process_share_one() {
    let site = site(|layer| layer).await;
    let other = site.beside(|layer| layer.with_client_ip(behind_proxy())).await;
    let clearance = ALICE.clearance(&site).await;
    assert!(ALICE.is_cleared_by(&other, &clearance).await);
}

const ALICE: Somebody =
    Somebody { address: "192.0.2.1", user_agent: "Firefox/140.0", host: "shop.example" };
