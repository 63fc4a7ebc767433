//! Sends whatever request through the enforcement layer, while Esper says whatever it says.
//!
//! Nothing must panic. The application must be called only with a decision that allows it, and
//! never while Esper blocks or challenges, save where a rule exempts the request, and for a
//! preflight, which passes a challenge.
//!
//! An input is a digit and the rest. The digit is what Esper answers: to allow, to block, to
//! challenge with a proof of work, with a managed challenge or with an unknown one, or the first
//! line of the rest, as JSON. Then come a line with the method and the URI, lines of headers, an
//! empty line and the body.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use bytes::Bytes;
use esper_rs_client::enforce::{CacheOptions, ClientIpRules, EnforceLayer};
use esper_rs_client::{
    AsyncEsperClient, Decision, DecisionSource, EsperConfig, Guard, MitigationAction,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::runtime::Runtime;
use tower::{Layer, ServiceExt, service_fn};

use super::server::{Reply, Server};

/// A stand-in for Esper, and the runtime in which requests are made.
pub struct Harness {
    runtime: Runtime,
    server: Server,
}

/// What Esper says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Esper {
    Allows,
    Blocks,
    Challenges,
    /// It may be a decision or not.
    Whatever,
}

impl Harness {
    /// Starts the stand-in, on a free port.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { runtime: runtime.expect("a runtime"), server: Server::start() }
    }

    /// Sends the request that the input describes, and panics where its outcome is not right.
    pub fn run(&mut self, input: &[u8]) {
        let (esper, body, rest) = script(input);
        let Some(request) = request(rest) else { return };
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
        let bytes =
            [head.as_bytes(), body.len().to_string().as_bytes(), b"\r\n\r\n", body].concat();
        self.server.say(Reply { bytes, piece: usize::MAX, holds: false });
        let url = self.server.url();
        self.runtime.block_on(send(&url, esper, request));
    }
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

async fn send(url: &str, esper: Esper, request: Request<Full<Bytes>>) {
    let config = EsperConfig::new(KEY).with_api_url(url).with_beacon_url(url);
    let guard = Guard::new(AsyncEsperClient::new(config).expect("a client"));
    let guard = guard.with_deadline(PATIENCE).with_breaker(u32::MAX, PATIENCE);
    let proxies = ClientIpRules::behind_proxies(["127.0.0.1"]).expect("rules");
    let layer = EnforceLayer::new(guard)
        .with_client_ip(proxies)
        .with_cache(CacheOptions::new())
        .with_query_strings()
        .with_session_cookie("session")
        .expect("a name")
        .with_public_origin("https://shop.example".parse().expect("an origin"))
        .with_telemetry_share(0.0);
    let app = service_fn(async |request: Request<Full<Bytes>>| {
        let decision = request.extensions().get::<Decision>().expect("the layer puts it there");
        let mut response = Response::new(Full::new(Bytes::new()));
        response.extensions_mut().insert(decision.clone());
        Ok::<_, Infallible>(response)
    });
    let accept = request.headers().get_all("accept").iter().map(|value| value.as_bytes().to_vec());
    let accept = accept.collect::<Vec<_>>().concat().to_ascii_lowercase();
    let has = |name| request.headers().contains_key(name);
    let preflight = request.method() == Method::OPTIONS
        && has("origin")
        && has("access-control-request-method");
    let answer = layer.layer(app).oneshot(request).await.expect("an answer");
    let decision = answer.extensions().get::<Decision>().cloned();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    match decision {
        Some(decision) => {
            let passed = preflight && decision.action == MitigationAction::Challenge;
            assert!(decision.is_allowed() || passed, "the application was called: {decision:?}");
            let exempt = decision.source == DecisionSource::Exempt;
            let asked = matches!(esper, Esper::Allows | Esper::Whatever);
            assert!(exempt || asked || passed, "it got through: {decision:?}");
        }
        None => {
            let text = |name: &str| headers.get(name).map(|value| value.as_bytes().to_vec());
            let grpc = text("grpc-status").is_some();
            // The endpoint's files are the only success of the layer's own.
            let file =
                text("content-type").is_some_and(|kind| kind.starts_with(b"text/javascript"));
            assert!(status != StatusCode::OK || grpc || file, "{status} {headers:?}");
            assert!(file || text("cache-control").as_deref() == Some(b"no-store"), "{headers:?}");
            if !accept.windows(4).any(|word| word == b"html") {
                let html = text("content-type").is_some_and(|kind| kind.starts_with(b"text/html"));
                assert!(!html, "a machine got HTML");
            }
        }
    }
    assert!(!body.windows(KEY.len()).any(|window| window == KEY.as_bytes()), "the key is in it");
}

/// What Esper answers, and what remains of the input.
fn script(input: &[u8]) -> (Esper, &[u8], &[u8]) {
    let (digit, rest) = input.split_first().unwrap_or((&b'0', &[]));
    match digit {
        b'0' => (Esper::Allows, br#"{"action":"allow"}"#, rest),
        b'1' => (Esper::Blocks, br#"{"action":"block","reason":"x"}"#, rest),
        b'2' => (Esper::Challenges, PROOF_OF_WORK, rest),
        b'3' => (Esper::Challenges, MANAGED, rest),
        b'4' => (Esper::Challenges, br#"{"action":"challenge"}"#, rest),
        _ => {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            (Esper::Whatever, &rest[..end], rest.get(end + 1..).unwrap_or_default())
        }
    }
}

/// Reads a request, and leaves out what a server would not have let through.
fn request(text: &[u8]) -> Option<Request<Full<Bytes>>> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default().trim_ascii();
    let mut words = first.split(|byte| *byte == b' ');
    let (method, uri) = (words.next()?, words.next()?);
    let mut request = Request::builder().method(method).uri(uri);
    let mut rest = text.get(text.len().min(first.len() + 1)..).unwrap_or_default();
    for line in lines {
        rest = rest.get(line.len()..).unwrap_or_default();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let name = http::HeaderName::from_bytes(name).ok()?;
        request = request.header(name, http::HeaderValue::from_bytes(value).ok()?);
    }
    let mut request = request.body(Full::new(Bytes::copy_from_slice(rest))).ok()?;
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4242))));
    Some(request)
}

const KEY: &str = "sk_fuzz_0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(20);
const PROOF_OF_WORK: &[u8] = br#"{"action":"challenge","challenge":{"type":"proof_of_work","token":"t","params":{"algorithm":"sha256","salt":"s","difficulty":1}}}"#;
const MANAGED: &[u8] = br#"{"action":"challenge","redirect_url":"https://esper.example/c","challenge":{"type":"turnstile","token":"t","params":{"site_key":"k"}}}"#;
