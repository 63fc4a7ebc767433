//! What is repeated, when, and what never is.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, ChallengeProof, EsperError, MitigationRequest,
};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

use crate::support::paused::{self, PausedServer};
use crate::support::{Answer, RawServer, assert_settled, client, config};

/// What a server does first; then it answers well.
fn first(answer: impl Fn() -> Answer + Send + Sync + 'static) -> RawServer {
    RawServer::start(move |number, request| match (number, request.target.as_str()) {
        (0, _) => answer(),
        (_, "/v1/mitigate") => Answer::allow(),
        _ => Answer::json(200, r#"{"valid":true}"#),
    })
}

async fn decide(server: &RawServer) -> Result<bool, EsperError> {
    let client = client(&server.url());
    let result = client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await;
    assert_settled(&client, 1, server.count());
    result.map(|response| response.is_allowed())
}

async fn verify(server: &RawServer) -> Result<bool, EsperError> {
    let client = client(&server.url());
    let result = client.verify_challenge("token", "1").await;
    assert_settled(&client, 1, server.count());
    result
}

fn broken_answers() -> Vec<fn() -> Answer> {
    const HEAD: &str = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\n";
    vec![
        || Answer::Close,
        || Answer::Bytes(b"HTTP/1.1 200".to_vec()),
        || Answer::Bytes(format!("{HEAD}content-length: 99\r\n\r\n{{\"action\"").into_bytes()),
        || {
            Answer::Bytes(
                format!("{HEAD}transfer-encoding: chunked\r\n\r\n5\r\n{{\"ac").into_bytes(),
            )
        },
        || Answer::Bytes(format!("{HEAD}transfer-encoding: chunked\r\n\r\nxx\r\n").into_bytes()),
        // Its end is that of the connection, wherever that is.
        || Answer::Bytes(format!("{HEAD}\r\n{{\"action\"").into_bytes()),
    ]
}

#[tokio::test]
async fn a_decision_is_repeated_after_what_may_pass() {
    for status in [408, 429, 500, 502, 503, 504] {
        let server = first(move || Answer::status(status));
        assert!(decide(&server).await.unwrap(), "{status}");
        assert_eq!(server.count(), 2, "{status}");
    }
    for (number, broken) in broken_answers().into_iter().enumerate() {
        let server = first(broken);
        assert!(decide(&server).await.unwrap(), "{number}");
        assert_eq!(server.count(), 2, "{number}");
    }
}

#[tokio::test]
async fn nothing_is_repeated_after_what_stays() {
    for status in [400, 401, 403, 404, 413, 422, 501, 505, 302, 304] {
        let server = first(move || Answer::status(status));
        let error = decide(&server).await.unwrap_err();
        assert_eq!(error.status().map(|s| s.as_u16()), Some(status), "{error:?}");
        assert_eq!(server.count(), 1, "{error:?}");
    }
}

#[tokio::test]
async fn a_verification_is_not_repeated_when_it_may_have_been_processed() {
    for status in [500, 502, 503, 504, 408] {
        let server = first(move || Answer::status(status));
        assert!(verify(&server).await.is_err(), "{status}");
        assert_eq!(server.count(), 1, "{status}");
    }
    for (number, broken) in broken_answers().into_iter().enumerate() {
        let server = first(broken);
        let error = verify(&server).await.unwrap_err();
        assert!(matches!(error, EsperError::Connection { .. }), "{number}: {error:?}");
        assert_eq!(server.count(), 1, "{number}");
    }
    let server = first(|| Answer::Close);
    let proof = ChallengeProof::new("proof", "192.168.1.1");
    assert!(client(&server.url()).verify_challenge_proof(&proof).await.is_err());
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_verification_that_was_certainly_not_processed_is_repeated() {
    let answers: [fn() -> Answer; 2] = [
        || Answer::json(429, r#"{"message":"m"}"#),
        || Answer::status(503).with_header("retry-after", "0"),
    ];
    for answer in answers {
        let server = first(answer);
        assert!(verify(&server).await.unwrap());
        assert_eq!(server.count(), 2);
    }
}

#[tokio::test]
async fn retries_end_after_their_number() {
    for retries in [0, 1, 3] {
        let server = RawServer::always(|| Answer::status(500));
        let client =
            AsyncEsperClient::new(config(&server.url()).with_max_retries(retries)).unwrap();
        let error = client.get_usage().await.unwrap_err();
        assert!(matches!(error, EsperError::Api { attempts, .. } if attempts == retries + 1));
        assert_eq!(server.count(), retries as usize + 1);
        assert_settled(&client, 1, server.count());
    }
}

#[tokio::test]
async fn an_event_keeps_its_key_and_its_time_over_every_retry() {
    let server = RawServer::start(|number, _| match number {
        0 => Answer::Close,
        1 => Answer::status(503),
        _ => Answer::status(202),
    });
    client(&server.url()).send_beacon_event(&BeaconEvent::new("http_request")).await.unwrap();
    let requests = server.received();
    assert_eq!(requests.len(), 3);
    let keys: BTreeSet<_> = requests.iter().map(|r| r.header("idempotency-key")).collect();
    let times: BTreeSet<_> = requests.iter().map(|r| r.json()["timestamp"].as_i64()).collect();
    assert_eq!((keys.len(), times.len()), (1, 1), "{requests:?}");
}

#[tokio::test]
async fn a_retry_after_beyond_the_deadline_or_the_cap_is_shown_and_not_waited_for() {
    for wait in [6_u64, 61, 999_999_999] {
        let server = RawServer::always(move || {
            Answer::json(429, r#"{"message":"m"}"#).with_header("retry-after", &wait.to_string())
        });
        let started = Instant::now();
        let error = decide(&server).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(wait)), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        assert_eq!(server.count(), 1);
    }
}

#[test]
fn an_attempt_without_time_for_its_answer_is_not_made() {
    // On a real clock, a busy machine would take the time that is left.
    paused::run(async {
        let answer = Answer::json(429, r#"{"message":"m"}"#).with_header("retry-after", "10");
        let server = PausedServer::always(answer).await;
        let config = config(&server.url()).with_timeout(Duration::from_millis(10_900));
        let client = AsyncEsperClient::new(config).unwrap();
        let started = tokio::time::Instant::now();
        let error = client.verify_challenge("token", "1").await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(10)), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        assert_eq!(server.count(), 1);
    });
}

#[test]
fn a_call_waits_for_as_long_as_the_service_asks_up_to_a_minute() {
    paused::run(async {
        for (asked, requests) in [("60", 2), ("61", 1)] {
            let busy = Answer::json(429, r#"{"message":"m"}"#).with_header("retry-after", asked);
            let answers = [busy, Answer::allow()].map(|answer| (answer, Duration::ZERO));
            let server = PausedServer::start(answers.into()).await;
            let config = config(&server.url()).with_timeout(Duration::from_secs(600));
            let client = AsyncEsperClient::new(config).unwrap();
            let started = tokio::time::Instant::now();
            let outcome = client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await;
            let waited = started.elapsed() >= Duration::from_secs(60);
            assert_eq!((outcome.is_ok(), waited), (requests == 2, requests == 2), "{asked}");
            assert_eq!(server.count(), requests, "{asked}");
        }
    });
}

#[tokio::test]
async fn a_verification_that_hangs_is_tried_once() {
    let server = RawServer::always(|| Answer::Silence);
    let config = config(&server.url()).with_attempt_timeout(Duration::from_millis(100));
    let client = AsyncEsperClient::new(config).unwrap();
    let error = client.verify_challenge("token", "1").await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn what_the_log_has_of_a_time_is_a_number_in_every_format() {
    let server = first(|| Answer::json(503, r#"{"message":"m"}"#));
    let numbers = Numbers::default();
    let listening = subscriber::set_default(Registry::default().with(numbers.clone()));
    decide(&server).await.unwrap();
    drop(listening);
    let names = numbers.0.lock().unwrap();
    assert_eq!(names.iter().filter(|name| **name == "elapsed_ms").count(), 2, "{names:?}");
}

/// The names of fields that are numbers of 64 bits; wider ones are texts in JSON.
#[derive(Clone, Default)]
struct Numbers(Arc<Mutex<Vec<&'static str>>>);

impl<S: Subscriber> Layer<S> for Numbers {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut self.clone());
    }
}

impl Visit for Numbers {
    fn record_u64(&mut self, field: &Field, _: u64) {
        self.0.lock().unwrap().push(field.name());
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
