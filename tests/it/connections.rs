//! Connections that are not made, that break, or that are gone.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use esper_rs_client::{AsyncEsperClient, BeaconEvent, EsperError, MitigationRequest};

use crate::support::{
    Answer, ClosedPort, RawServer, SLACK, assert_settled, child, client, config,
    paused::{self, PausedServer},
};

const LIMIT: Duration = Duration::from_millis(400);

fn request() -> MitigationRequest {
    MitigationRequest::new("192.168.1.1")
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_by_every_operation() {
    let gone = ClosedPort::new();
    let client = client(&gone.url());
    let errors = [
        client.check_mitigation(&request()).await.unwrap_err(),
        client.verify_challenge("token", "1").await.unwrap_err(),
        client.send_beacon_event(&BeaconEvent::new("http_request")).await.unwrap_err(),
        client.get_usage().await.unwrap_err(),
    ];
    for error in errors {
        let tried = matches!(error, EsperError::Connection { attempts: 4, permanent: false, .. });
        assert!(tried, "{error:?}");
    }
    assert_settled(&client, 4, 16);
}

#[test]
fn a_peer_that_never_answers_the_handshake_is_a_connection_error_in_time() {
    // The clock is paused: on a busy machine, the limits of a real one can end at once.
    paused::run(async {
        // It accepts connections, by its backlog, and never speaks TLS.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = config(&format!("https://{}", listener.local_addr().unwrap()))
            .with_timeout(LIMIT)
            .with_attempt_timeout(Duration::from_millis(150));
        let client = AsyncEsperClient::new(config).unwrap();
        let started = tokio::time::Instant::now();
        let error = client.verify_challenge("token", "1").await.unwrap_err();
        let elapsed = started.elapsed();
        let EsperError::Connection { attempts, permanent: false, .. } = error else {
            panic!("{error:?}")
        };
        assert!(attempts > 1, "nothing was sent, so even a verification is tried again");
        assert!(elapsed <= LIMIT + paused::LATE, "{elapsed:?}");
    });
}

#[test]
fn a_connection_is_used_again_unless_it_was_idle_for_twenty_seconds() {
    paused::run(async {
        let server = PausedServer::always(Answer::json(200, r#"{"action":"allow"}"#)).await;
        let client = client(&server.url());
        for (idle, connections) in [(0, 1), (19, 1), (21, 2)] {
            tokio::time::sleep(Duration::from_secs(idle)).await;
            client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await.unwrap();
            assert_eq!(server.connections(), connections, "after {idle} s");
        }
    });
}

#[test]
fn a_name_that_does_not_resolve_is_a_connection_error_in_time() {
    // In a process without the proxies of its environment, which would answer in its place.
    if child::is_one() {
        tokio::runtime::Runtime::new().unwrap().block_on(call_a_name_that_does_not_resolve());
        return;
    }
    child::run(
        "connections::a_name_that_does_not_resolve_is_a_connection_error_in_time",
        &child::PROXIES.map(|name| (name, "")),
    );
}

async fn call_a_name_that_does_not_resolve() {
    // No resolver asks the network about a label that is too long for a name.
    let config = config(&format!("http://{}.invalid", "x".repeat(64)))
        .with_plain_http_allowed()
        .with_timeout(LIMIT);
    let client = AsyncEsperClient::new(config).unwrap();
    let started = Instant::now();
    let error = client.check_mitigation(&request()).await.unwrap_err();
    assert!(matches!(error, EsperError::Connection { .. }), "{error:?}");
    assert!(started.elapsed() < LIMIT + SLACK, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_pooled_connection_that_the_server_closed_is_replaced() {
    let server = RawServer::start(|_, request| {
        let body = if request.target == "/v1/mitigate" {
            r#"{"action":"allow"}"#
        } else {
            r#"{"valid":true}"#
        };
        // Promises to keep the connection, and closes it.
        let head = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length:";
        Answer::Bytes(format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes())
    });
    let client = client(&server.url());
    for number in 1..=10 {
        assert!(client.check_mitigation(&request()).await.unwrap().is_allowed());
        let before = server.count();
        // Where the end of the connection was not yet seen, nobody knows what became of it.
        match client.verify_challenge("token", "1").await {
            Ok(valid) => assert!(valid),
            Err(error) => assert!(matches!(error, EsperError::Connection { attempts: 1, .. })),
        }
        assert!(server.count() <= before + 1, "{number}: processed at most once");
    }
}

#[tokio::test]
async fn a_reset_before_or_within_an_answer_is_repeated_except_for_a_verification() {
    let head =
        "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\r\n{\"ac";
    for part in ["", "HTTP/1.1 2", head] {
        let server = RawServer::start(move |number, _| match number {
            0 => Answer::Reset(part.as_bytes().to_vec()),
            _ => Answer::allow(),
        });
        let decision = client(&server.url()).check_mitigation(&request()).await;
        assert!(decision.unwrap().is_allowed(), "{part:?}");
        assert_eq!(server.count(), 2, "{part:?}");

        let server = RawServer::always(move || Answer::Reset(part.as_bytes().to_vec()));
        let error = client(&server.url()).verify_challenge("token", "1").await.unwrap_err();
        assert!(matches!(error, EsperError::Connection { attempts: 1, .. }), "{error:?}");
        assert_eq!(server.count(), 1, "{part:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_callers_in_an_outage_sends_little_more_than_their_calls() {
    const CALLERS: usize = 500;
    let server = RawServer::always(|| Answer::status(503));
    let client = client(&server.url());
    let calls: Vec<_> = (0..CALLERS)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get_usage().await })
        })
        .collect();
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.status().map(|status| status.as_u16()), Some(503), "{error:?}");
    }
    let sent = server.count();
    assert!((CALLERS..=CALLERS * 12 / 10).contains(&sent), "{sent}");
    assert!(sent > CALLERS, "a budget is no prohibition");
    assert_settled(&client, CALLERS as u64, sent);
}

#[tokio::test]
async fn a_call_that_is_dropped_is_counted_as_such() {
    let server = RawServer::always(|| Answer::Silence);
    let client = client(&server.url());
    for milliseconds in [0, 1, 5, 20] {
        let limit = Duration::from_millis(milliseconds);
        let call = tokio::time::timeout(limit, client.get_usage()).await;
        assert!(call.is_err(), "{call:?}");
    }
    let stats = client.stats();
    assert_eq!((stats.calls, stats.cancelled), (4, 4), "{stats:?}");
}

// Elsewhere, the system is asked and not the environment.
#[cfg(target_os = "linux")]
#[test]
fn a_host_without_certificates_makes_no_https_client_and_does_not_panic() {
    if child::is_one() {
        let error = AsyncEsperClient::new(config("https://localhost:1")).unwrap_err();
        assert!(matches!(error, EsperError::Connection { permanent: true, .. }), "{error:?}");
        assert!(error.to_string().contains("ca-certificates"), "{error}");
        AsyncEsperClient::new(config("http://127.0.0.1:1")).unwrap();
        let plain = config("http://esper.test").with_plain_http_allowed();
        AsyncEsperClient::new(plain.clone()).unwrap();
        // To plain http by a proxy that speaks TLS, they are needed too.
        AsyncEsperClient::new(plain.clone().with_proxy("http://127.0.0.1:1")).unwrap();
        AsyncEsperClient::new(plain.with_proxy("https://127.0.0.1:1")).unwrap_err();
        return;
    }
    let mut variables = child::PROXIES.map(|name| (name, "")).to_vec();
    variables.extend([("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")]);
    child::run(
        "connections::a_host_without_certificates_makes_no_https_client_and_does_not_panic",
        &variables,
    );
}
