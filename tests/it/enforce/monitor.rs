//! What a layer that only watches does: nothing that anybody could see.

use std::net::SocketAddr;
use std::task::Poll;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::routing::{MethodRouter, get};
use esper_rs_client::enforce::{EnforceLayer, Rule};
use esper_rs_client::{DecisionSource, FailurePolicy, FallbackReason, MitigationAction};
use esper_sandbox::{Fault, Operation};
use http::header::ETAG;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::Frame;
use serde_json::json;
use tracing::{Instrument, Level, info_span};

use super::echo::{Echo, Wire, call, echoing, events, layer};
use super::frames::Frames;
use crate::support::thread_log::ThreadLog;
use crate::support::{Answer, RawServer, guard, sandbox};

/// An application with answers of several kinds.
fn application(echo: MethodRouter) -> Router {
    let strange = async || {
        let mut headers = HeaderMap::new();
        headers.append("set-cookie", HeaderValue::from_static("a=1"));
        headers.append("set-cookie", HeaderValue::from_static("b=2"));
        headers.insert("x-esper-own", HeaderValue::from_static("the application's"));
        headers.insert("x-raw", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        headers.insert("cache-control", HeaderValue::from_static("max-age=60"));
        (StatusCode::from_u16(299).unwrap(), headers, "strange")
    };
    // In pieces, of a length that nobody knows before, with trailers.
    let streamed = async || {
        let piece = || Frame::data(Bytes::from_static(b"a piece\0\xff"));
        let trailers = [(ETAG, HeaderValue::from_static("\"the end\""))];
        let trailers = Frame::trailers(HeaderMap::from_iter(trailers));
        let mut frames = [piece(), piece(), trailers].into_iter();
        Body::new(Frames(move || Poll::Ready(frames.next())))
    };
    let moved = async || (StatusCode::FOUND, [("location", "//elsewhere.example/")]);
    Router::new()
        .route("/strange", get(strange))
        .route("/streamed", get(streamed))
        .route("/moved", get(moved))
        .route("/empty", get(async || StatusCode::NO_CONTENT))
        .route("/failed", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/echo", echo)
}

const REQUESTS: &[&str] = &[
    "GET /strange",
    "HEAD /strange",
    "GET /streamed",
    "HEAD /streamed",
    "GET /moved",
    "GET /empty",
    "GET /failed",
    "GET /nowhere",
    "POST /strange",
    "OPTIONS /strange",
    "CONNECT elsewhere.example:443",
    "BREW /echo",
    "GET /echo?esper_challenge_proof=x",
    "GET //echo/../%65cho",
    "GET /nowhere/%ff",
];
const HEADERS: &[(&str, &str)] =
    &[("accept", "text/html"), ("te", "trailers"), ("cookie", "__Host-esper_challenge=x")];

/// Answers without their dates, with the whole of the connection.
async fn answers(echo: &Echo) -> Vec<Wire> {
    let mut answers = Vec::new();
    for line in REQUESTS {
        let Wire(answer) = echo.send(line, HEADERS).await;
        let lines = answer.split_inclusive("\r\n");
        answers.push(Wire(lines.filter(|line| !line.starts_with("date: ")).collect()));
    }
    answers
}

async fn assert_unseen(layer: EnforceLayer) -> Echo {
    let bare = Echo::of(application).await;
    let watched = Echo::of(|echo| application(echo).layer(layer)).await;
    let (bare, answers) = (answers(&bare).await, answers(&watched).await);
    for ((line, bare), answer) in REQUESTS.iter().zip(&bare).zip(&answers) {
        assert_eq!(answer, bare, "{line}");
    }
    watched
}

fn watching(layer: EnforceLayer) -> EnforceLayer {
    layer.with_paths_below("/", Rule::monitor()).unwrap()
}

/// Promise 17.
#[tokio::test]
async fn a_monitored_answer_is_byte_for_byte_that_of_an_application_without_the_layer() {
    let sandbox = sandbox().await;
    assert_unseen(watching(layer(sandbox.url()))).await;
    sandbox.block("127.0.0.1");
    assert_unseen(watching(layer(sandbox.url()))).await;
    sandbox.challenge("127.0.0.1");
    assert_unseen(watching(layer(sandbox.url()))).await;
    let origin = esper_rs_client::enforce::PublicOrigin::parse("https://shop.example").unwrap();
    assert_unseen(watching(layer(sandbox.url())).with_public_origin(origin)).await;
}

/// Promise 17.
#[tokio::test]
async fn a_monitored_answer_is_the_same_when_esper_fails_and_the_guard_fails_closed() {
    let server = RawServer::always(|| Answer::Http(501, vec![], String::new()));
    let guard = guard(&server.url()).with_failure_policy(FailurePolicy::closed());
    let watched = assert_unseen(watching(EnforceLayer::new(guard))).await;
    for seen in watched.seen() {
        let decision = seen.decision.unwrap();
        assert_eq!(decision.action, MitigationAction::Block, "it says what would have been done");
        assert!(matches!(
            decision.fallback_reason(),
            Some(FallbackReason::ServerError | FallbackReason::BreakerOpen)
        ));
    }
}

/// Promise 17.
#[tokio::test]
async fn decision_span_and_event_say_what_would_have_been_done() {
    for action in [MitigationAction::Allow, MitigationAction::Block, MitigationAction::Challenge] {
        let (log, _subscribed) = ThreadLog::start();
        let sandbox = sandbox().await;
        match action {
            MitigationAction::Allow => {}
            MitigationAction::Block => sandbox.block("127.0.0.1"),
            MitigationAction::Challenge => sandbox.challenge("127.0.0.1"),
        }
        let layer = watching(layer(sandbox.url()));
        let echo = Echo::behind(layer.clone()).await;
        assert_eq!(echo.send("GET /x", &[]).await.status(), 200);

        let decision = echo.only().decision.unwrap();
        assert_eq!((decision.action, decision.source), (action, DecisionSource::Service));
        assert_eq!(layer.guard().stats().by_service, 1);
        let events = events(&sandbox, 1).await;
        let data = &events[0]["data"];
        assert_eq!(data["action"], action.to_string());
        assert_eq!((&data["enforced"], &data["status"]), (&json!(false), &json!(200)));
        let span = format!(r#"esper.enforce{{mode="monitor" action={action} source="service"}}"#);
        assert!(log.text().contains(&span), "{}", log.text());
        let line = format!(r#"only monitored action={action} source="service""#);
        let denied = action != MitigationAction::Allow;
        assert_eq!(log.text().contains(&line), denied, "{}", log.text());
    }
}

/// At the level of production, the layer has no span of its own.
#[tokio::test]
async fn a_span_of_the_application_keeps_its_fields() {
    let (log, _subscribed) = ThreadLog::start_at(Level::INFO);
    let sandbox = sandbox().await;
    let (app, _) = echoing(|echo| application(echo).layer(layer(sandbox.url())));
    let mut request = Request::get("/echo").body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
    let span = info_span!("request", source = "checkout");
    let answer = call(&app, request).instrument(span).await;
    assert_eq!(answer.status(), 200);
    assert!(log.text().contains(r#"request{source="checkout"}"#), "{}", log.text());
    assert!(!log.text().contains("service"), "{}", log.text());
}

/// Promise 17.
#[tokio::test]
async fn events_that_cannot_be_sent_do_not_change_a_monitored_answer() {
    let sandbox = sandbox().await;
    sandbox.faults().add(Fault::status(503).on(Operation::SendBeaconEvent));
    sandbox.block("127.0.0.1");
    assert_unseen(watching(layer(sandbox.url()))).await;
}
