//! Answers that a client does not take: bodies without end, compressed ones, redirects.

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, EsperError, MitigationRequest, MitigationResponse,
};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::support::tls::{TlsServer, Validity};
use crate::support::{Answer, KEY, RawServer, assert_settled, client, config};

/// The outcome of a client's only call, which is one request.
async fn decide(client: &AsyncEsperClient) -> Result<MitigationResponse, EsperError> {
    let result = client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await;
    assert_settled(client, 1, 1);
    result
}

/// An answer with a body that is no text.
fn bytes(status: u16, encoding: &str, body: &[u8]) -> Answer {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n\
         content-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Answer::Bytes([head.as_bytes(), body].concat())
}

/// What becomes a decision behind 16 MiB of white space, in some thousand bytes.
fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..16 {
        encoder.write_all(&vec![b' '; 1024 * 1024]).unwrap();
    }
    encoder.write_all(br#"{"action":"allow"}"#).unwrap();
    encoder.finish().unwrap()
}

/// The same in 49 bytes, from another encoder.
const BROTLI_BOMB: &[u8] = &[
    203, 255, 255, 63, 248, 37, 64, 226, 177, 64, 32, 247, 254, 143, 255, 255, 127, 240, 75, 0,
    196, 97, 17, 128, 238, 253, 31, 34, 0, 2, 123, 34, 97, 99, 116, 105, 111, 110, 34, 58, 34, 97,
    108, 108, 111, 119, 34, 125, 3,
];

#[tokio::test]
async fn a_compressed_body_is_refused_and_never_expanded() {
    let bomb = bomb();
    let mut expanded = Vec::new();
    GzDecoder::new(bomb.as_slice()).read_to_end(&mut expanded).unwrap();
    assert!(bomb.len() < 32 * 1024 && expanded.len() > 16 * 1024 * 1024);

    for (encoding, body) in [("gzip", bomb.as_slice()), ("br", BROTLI_BOMB), ("x-new", b"{}")] {
        let answer = body.to_vec();
        let server = RawServer::always(move || bytes(200, encoding, &answer));
        let error = decide(&client(&server.url())).await.unwrap_err();
        assert!(matches!(error, EsperError::Decode { attempts: 1, .. }), "{error:?}");
        assert!(error.to_string().contains("body is compressed"), "{error}");
        // It is not even asked for, although the build of these tests could expand it.
        assert!(server.only().all("accept-encoding").is_empty(), "{:?}", server.only());
    }
}

#[tokio::test]
async fn a_compressed_page_costs_neither_its_status_nor_an_event() {
    let server = RawServer::always(|| bytes(403, "gzip", &bomb()));
    let error = decide(&client(&server.url())).await.unwrap_err();
    assert_eq!(error.to_string(), "esper answered 403: Forbidden");

    let server = RawServer::always(|| bytes(202, "gzip", &bomb()));
    client(&server.url()).send_beacon_event(&BeaconEvent::new("http_request")).await.unwrap();
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_body_is_read_up_to_the_limit_in_however_many_pieces_it_comes() {
    const LIMIT: usize = 1024 * 1024;
    for length in [LIMIT, LIMIT + 1] {
        let decision = r#"{"action":"allow"}"#;
        let body = format!("{decision}{}", " ".repeat(length - decision.len()));
        let kind = || vec![("content-type", "application/json".to_owned())];
        let server = RawServer::always(move || Answer::Http(200, kind(), body.clone()));
        assert_eq!(decide(&client(&server.url())).await.is_ok(), length == LIMIT, "{length}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_cut_off_and_not_asked_for_again() {
    for length in ["", "content-length: 67108864\r\n"] {
        let head = format!("HTTP/1.1 200 X\r\ncontent-type: application/json\r\n{length}\r\n");
        let server = RawServer::always(move || Answer::Flood(head.clone().into_bytes()));
        let error = decide(&client(&server.url())).await.unwrap_err();
        assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
        assert_eq!(server.count(), 1);
        // The connection is closed, which ends the flood: what the client did not read is in the
        // buffers of two sockets.
        let ended = async {
            while server.flooded() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), ended).await.expect("an end");
        assert!(server.flooded() < 32 * 1024 * 1024, "{}", server.flooded());
    }
}

/// Redirects every request, with a body that could be Esper's.
fn redirecting(status: u16, place: impl Fn() -> String + Send + Sync + 'static) -> RawServer {
    let body = r#"{"message":"moved"}"#;
    RawServer::always(move || Answer::Http(status, vec![("location", place())], body.to_owned()))
}

async fn not_followed(client: AsyncEsperClient, status: u16) {
    let error = decide(&client).await.unwrap_err();
    let told = matches!(error, EsperError::Api { attempts: 1, .. });
    assert!(told && !error.is_retryable(), "{error:?}");
    assert_eq!(error.status().map(|s| s.as_u16()), Some(status), "{error:?}");
    assert!(error.to_string().contains("redirects are not followed"), "{error}");
    assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_an_error_and_the_other_host_sees_nothing() {
    let other = RawServer::always(Answer::allow);
    for status in [301, 302, 303, 307, 308] {
        let location = other.url();
        let server = redirecting(status, move || location.clone());
        not_followed(client(&server.url()), status).await;
        assert_eq!(server.count(), 1);
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_redirect_whose_body_breaks_or_does_not_end_is_one_all_the_same() {
    const HEAD: &str = "HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:1/\r\n";
    let bodies: [fn() -> Answer; 4] = [
        || Answer::Bytes(format!("{HEAD}content-length: 99\r\n\r\n<").into_bytes()),
        || Answer::Bytes(format!("{HEAD}transfer-encoding: chunked\r\n\r\nxx\r\n").into_bytes()),
        || Answer::Reset(format!("{HEAD}content-length: 99\r\n\r\n<").into_bytes()),
        || Answer::Flood(format!("{HEAD}\r\n").into_bytes()),
    ];
    for body in bodies {
        let server = RawServer::always(body);
        not_followed(client(&server.url()), 307).await;
        assert_eq!(server.count(), 1);
        let verified = client(&server.url()).verify_challenge("token", "1").await;
        assert_eq!(verified.unwrap_err().status().map(|s| s.as_u16()), Some(307));
    }
}

#[tokio::test]
async fn a_redirect_that_leads_back_to_itself_is_one_request() {
    for status in [301, 302, 303, 307, 308] {
        for place in ["/v1/mitigate", "", "?again", "//127.0.0.1"] {
            let server = redirecting(status, move || place.to_owned());
            not_followed(client(&server.url()), status).await;
            assert_eq!((server.count(), server.connections()), (1, 1), "{place}");
        }
    }
}

#[tokio::test]
async fn two_hosts_that_redirect_to_each_other_get_one_request_together() {
    let first_url = Arc::new(OnceLock::<String>::new());
    let back = Arc::clone(&first_url);
    let second = redirecting(307, move || back.get().unwrap().clone());
    let there = second.url();
    let first = redirecting(307, move || there.clone());
    first_url.set(first.url()).unwrap();

    not_followed(client(&first.url()), 307).await;
    assert_eq!((first.count(), second.connections()), (1, 0));
    assert_eq!(first.only().header("authorization"), format!("Bearer {KEY}"));
}

#[tokio::test]
async fn a_redirect_from_https_to_http_does_not_take_the_key_along() {
    let plain = RawServer::always(Answer::allow);
    let location = plain.url();
    let server = TlsServer::start(Validity::Now, b"http/1.1", move |_, mut stream| {
        if stream.read(&mut [0; 4096]).is_ok() {
            let answer = format!(
                "HTTP/1.1 307 X\r\nlocation: {location}\r\ncontent-length: 0\r\n\
                 connection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    let config = config(&server.url("localhost"));
    let config = config.with_root_certificate(server.certificate.clone());
    not_followed(AsyncEsperClient::new(config).unwrap(), 307).await;
    assert_eq!((server.connections(), plain.connections()), (1, 0));
}
