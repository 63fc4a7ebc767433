//! Everything that a client can do right with the sandbox, and much that it can do wrong.

use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, ChallengeData, ChallengeProof, MitigationAction,
    MitigationRequest, MitigationResponse,
};
use esper_sandbox::{Sandbox, solve_proof_of_work};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::proxy::{self, Exchange, Log};
use super::spec::{Operation, entries, spec};
use crate::support::{KEY, client, solve_page};

/// Plays the scenario through proxies that keep what they forward.
pub(super) async fn play() -> Vec<Exchange> {
    let log = Log::default();
    let sandbox = Sandbox::builder().api_key(KEY).challenge_difficulty(8);
    let sandbox = sandbox.return_host("shop.example.net").start().await.expect("a sandbox");
    let proxy = proxy::start(sandbox.addr(), &log);
    all_is_well(&client(&proxy.url())).await;
    let raw = Raw::new(proxy.url());
    for operation in spec().operations() {
        raw.without_the_key(&operation).await;
        raw.with_a_wrong_body(&operation).await;
        raw.with_wrong_members(&operation).await;
        raw.with_wrong_headers(&operation).await;
        raw.beside(&operation).await;
    }
    raw.send(raw.http.get(format!("{}/v2/nothing", raw.url)), 404).await;

    // A limit that the first request uses up.
    let limited = Sandbox::builder().api_key(KEY).requests_per_minute(1).start().await;
    let limited = limited.expect("a sandbox");
    let proxy = proxy::start(limited.addr(), &log);
    client(&proxy.url()).get_usage().await.expect("the first");
    let raw = Raw::new(proxy.url());
    for operation in spec().operations() {
        raw.send(raw.good(&operation), 429).await;
    }
    let mut log = log.lock().expect("no panic");
    std::mem::take(&mut *log)
}

/// A visitor is challenged, passes, is challenged again and is blocked.
async fn all_is_well(client: &AsyncEsperClient) {
    let decision = decide(client).await;
    assert_eq!(decision.action, MitigationAction::Allow, "{decision:?}");
    burst(client, 61).await;
    let decision = decide(client).await;
    assert!(
        decision.reason.as_deref().is_some_and(|why| why.contains("61 events")),
        "{decision:?}"
    );
    let challenge = decision.open_challenge().unwrap_or_else(|| panic!("{decision:?}"));
    let answer = solve(challenge);
    let verify = async |answer| client.verify_challenge(&challenge.token, answer).await;
    assert!(!verify("no nonce").await.expect("an answer"));
    assert!(verify(&answer).await.expect("an answer"));
    assert!(!verify(&answer).await.expect("an answer"), "a token passes once");
    let proof = proof(decision.redirect_url.as_deref().expect("a page")).await;
    let proof = ChallengeProof::new(proof, VISITOR).with_user_agent("curl/8");
    assert!(client.verify_challenge_proof(&proof).await.expect("an answer"));
    assert!(!client.verify_challenge_proof(&proof).await.expect("an answer"), "a proof once");
    let decision = decide(client).await;
    assert_eq!(decision.action, MitigationAction::Allow, "{decision:?}");
    burst(client, 201).await;
    let decision = decide(client).await;
    assert_eq!(decision.action, MitigationAction::Block, "{decision:?}");

    let small = MitigationRequest::new("2001:db8::1");
    client.check_mitigation(&small).await.expect("a decision");
    client.send_beacon_event(&BeaconEvent::new("logout")).await.expect("accepted");
    for proof in [
        ChallengeProof::new("proof", "2001:db8::1"),
        ChallengeProof::new("proof", VISITOR).with_user_agent("curl/8"),
    ] {
        assert!(!client.verify_challenge_proof(&proof).await.expect("an answer"));
    }
    let usage = client.get_usage().await.expect("the usage");
    let counts = (usage.requests, usage.allowed, usage.challenged, usage.blocked);
    assert_eq!(counts, (5, 3, 1, 1), "{usage:?}");
}

/// Asks with every member that a request has.
async fn decide(client: &AsyncEsperClient) -> MitigationResponse {
    let request = MitigationRequest::new(VISITOR)
        .with_user_agent("curl/8")
        .with_path("/login")
        .with_method("POST")
        .with_headers("accept", "text/html")
        .with_body(json!({ "items": [1, "two", null] }))
        .with_metadata("session", json!({ "id": "s", "age": 1.5 }))
        .with_return_url("https://shop.example.net/login?from=cart");
    client.check_mitigation(&request).await.expect("a decision")
}

/// Sends so many events, with every member that an event has.
async fn burst(client: &AsyncEsperClient, events: usize) {
    let event = BeaconEvent::new("http_request")
        .with_timestamp(1_732_406_400_000)
        .with_ip(VISITOR)
        .with_user_agent("curl/8")
        .with_path("/login")
        .with_method("POST")
        .with_session_id("s")
        .with_data("status", 200);
    for _ in 0..events {
        client.send_beacon_event(&event).await.expect("accepted");
    }
}

fn solve(challenge: &ChallengeData) -> String {
    let (salt, bits) = (&challenge.params["salt"], &challenge.params["difficulty"]);
    let bits = bits.as_u64().and_then(|bits| u8::try_from(bits).ok()).expect("a difficulty");
    solve_proof_of_work(salt.as_str().expect("a salt"), bits)
}

/// Solves the page of a managed challenge, as a browser would, and tells the proof.
async fn proof(page: &str) -> String {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let location = reqwest::Url::parse(&solve_page(&http, page).await).expect("a URL");
    assert_eq!(location.host_str(), Some("shop.example.net"));
    let proof = location.query_pairs().find(|(name, _)| name == "esper_challenge_proof");
    proof.expect("a proof").1.into_owned()
}

/// HTTP without the client, which refuses to send most of what follows.
struct Raw {
    http: reqwest::Client,
    url: String,
}

impl Raw {
    fn new(url: String) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { http, url }
    }

    async fn without_the_key(&self, operation: &Operation<'_>) {
        self.send(self.request(operation, None, operation.example()), 401).await;
        for key in ["wrong", "", &format!("{KEY}x")] {
            self.send(self.request(operation, Some(key), operation.example()), 401).await;
        }
    }

    async fn with_a_wrong_body(&self, operation: &Operation<'_>) {
        let media = operation.request();
        let Some((kind, _)) = media.first() else { return };
        let bare = || self.request(operation, Some(KEY), None);
        for text in ["", "{", "[]", "null", "\"ip\"", "{} {}", r#"{"ip":"#] {
            self.send(bare().header("content-type", *kind).body(text), 400).await;
        }
        let invalid = bare().header("content-type", *kind).body(vec![b'{', 0xff, b'}']);
        self.send(invalid, 400).await;
        let large = format!("{{\"type\":\"{}\"}}", "x".repeat(1024 * 1024));
        self.send(bare().header("content-type", *kind).body(large), 413).await;
        self.send(bare().header("content-type", "text/plain").body("{}"), 415).await;
        self.send(bare().body("{}"), 415).await;
    }

    /// Each member in turn is another value, or missing. Whether that is wrong is for the spec to
    /// say, and the answer of the sandbox is held against it later.
    async fn with_wrong_members(&self, operation: &Operation<'_>) {
        let Some(example) = operation.example() else { return };
        let schema = operation.request()[0].1["schema"].clone();
        for (name, _) in entries(&spec().resolved(&schema)["properties"]) {
            for value in VALUES {
                let mut body = example.clone();
                body[name] = serde_json::from_str(value).expect("JSON");
                self.exchange(self.request(operation, Some(KEY), Some(&body))).await;
            }
            let mut body = example.clone();
            body.as_object_mut().expect("an object").remove(name);
            self.exchange(self.request(operation, Some(KEY), Some(&body))).await;
        }
    }

    async fn with_wrong_headers(&self, operation: &Operation<'_>) {
        for (name, _) in operation.headers() {
            for value in ["", "no uuid", "0192f3c4-5d6e-7f80-91a2-b3c4d5e6f708"] {
                self.exchange(self.good(operation).header(name, value)).await;
            }
        }
    }

    /// Another method and a path that is longer.
    async fn beside(&self, operation: &Operation<'_>) {
        let url = format!("{}{}", self.url, operation.path);
        self.send(self.http.delete(&url), 405).await;
        self.send(self.http.patch(&url), 405).await;
        self.send(self.http.post(format!("{url}/more")), 404).await;
    }

    fn good(&self, operation: &Operation<'_>) -> RequestBuilder {
        self.request(operation, Some(KEY), operation.example())
    }

    fn request(
        &self,
        operation: &Operation<'_>,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> RequestBuilder {
        let method: Method = operation.method.to_uppercase().parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{}", self.url, operation.path));
        if let Some(key) = key {
            let header = operation.key();
            request = request.header(header.name, format!("{}{key}", header.prefix));
        }
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder, expected: u16) {
        let what = format!("{request:?}");
        assert_eq!(self.exchange(request).await, expected, "{what}");
    }

    async fn exchange(&self, request: RequestBuilder) -> u16 {
        request.send().await.expect("an answer").status().as_u16()
    }
}

const VISITOR: &str = "203.0.113.7";

/// Not `null`, which the sandbox takes for a member left out, as its README says.
const VALUES: [&str; 16] = [
    "true",
    "0",
    "7",
    "-1",
    "1.5",
    "\"\"",
    "\" \"",
    "\"x\"",
    "\"::1\"",
    "\"10.0.0.1:80\"",
    "\"https://a.example/\"",
    "\"ftp://a.example/\"",
    "[]",
    "[7]",
    "{}",
    "{\"a\":7}",
];
