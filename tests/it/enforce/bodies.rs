//! The bodies of requests: neither read nor changed, and never taken for a request.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::ConnectInfo;
use axum::routing::post;
use bytes::Bytes;
use esper_sandbox::Operation;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tower::{Layer, Service};

use super::echo::layer;
use super::frames::Frames;
use super::site::{Site, VISITOR, serve, until};
use super::solving::{ENDPOINT, calls};

/// A body of so many pieces, and how many of them were taken.
fn pieces(many: usize) -> (impl Body<Data = Bytes, Error = Infallible>, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let body = Frames(move || {
        let number = counted.load(Ordering::SeqCst);
        if number == many {
            return Poll::Ready(None);
        }
        counted.store(number + 1, Ordering::SeqCst);
        let place = number.wrapping_mul(PIECE) % PERIOD;
        Poll::Ready(Some(Frame::data(CONTENT.slice(place..place + PIECE))))
    });
    (body, taken)
}

/// Counts the bytes of a body, which must be those of [`pieces`].
async fn checked(mut body: AxumBody) -> usize {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        for part in frame.unwrap().into_data().unwrap().chunks(PIECE) {
            let place = length % PERIOD;
            assert!(part == &CONTENT[place..place + part.len()], "at {length}");
            length += part.len();
        }
    }
    length
}

fn clients() -> [Client; 2] {
    let builder = || Client::builder().no_proxy();
    [builder().http1_only().build().unwrap(), builder().http2_prior_knowledge().build().unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_upload_arrives_byte_identical_and_with_back_pressure() {
    let site = Site::new().await;
    let begin = Arc::new(Notify::new());
    let waits = Arc::clone(&begin);
    let upload = async move |body: AxumBody| {
        waits.notified().await;
        checked(body).await.to_string()
    };
    let app = Router::new().route("/upload", post(upload)).layer(layer(site.sandbox.url()));
    let (addr, server) = serve(app).await;

    for client in clients() {
        let (body, taken) = pieces(PIECES);
        let request = client.post(format!("http://{addr}/upload"));
        let sent = tokio::spawn(request.body(reqwest::Body::wrap(body)).send());
        // What the sockets hold is taken, and no more, for as long as nobody reads.
        let mut before = 0;
        for _ in 0..500 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = taken.load(Ordering::SeqCst);
            if now > 0 && now == before {
                break;
            }
            before = now;
        }
        assert!(before > 0 && before < PIECES / 2, "{before} of {PIECES} pieces");
        begin.notify_one();
        let answer = sent.await.unwrap().unwrap();
        assert_eq!(answer.text().await.unwrap(), (PIECES * PIECE).to_string());
        assert_eq!(taken.load(Ordering::SeqCst), PIECES);
    }
    server.abort();
}

#[tokio::test]
async fn a_body_is_not_read_before_the_handler_reads_it() {
    let site = Site::new().await;
    let handler = async |body: AxumBody| checked(body).await.to_string();
    let mut service = layer(site.sandbox.url()).layer(Router::new().fallback(handler));
    for (blocked, expected) in [(false, 3), (true, 0)] {
        if blocked {
            site.sandbox.block(VISITOR);
        }
        let (body, taken) = pieces(3);
        let mut request = Request::post("/upload").body(body).unwrap();
        let peer: std::net::SocketAddr = format!("{VISITOR}:1").parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = service.call(request);
        assert_eq!(taken.load(Ordering::SeqCst), 0);
        let answer = answer.await.unwrap_or_else(|never| match never {});
        assert_eq!(answer.status(), if blocked { 403 } else { 200 });
        let told = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(blocked || told == (3 * PIECE).to_string());
        assert_eq!(taken.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test]
async fn a_blocked_upload_is_not_asked_to_go_on() {
    let site = Site::new().await;
    site.sandbox.block(VISITOR);
    let head =
        "POST /upload HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    let answers = spoken(&site, head).await;
    assert!(answers.starts_with("HTTP/1.1 403 "), "{answers}");
}

#[tokio::test]
async fn what_is_left_of_a_body_is_never_taken_for_the_next_request() {
    let site = Site::new().await;
    let length = SMUGGLED.len();
    let chunk = format!("{length:x}\r\n{SMUGGLED}\r\n");
    let chunked = "Transfer-Encoding: chunked".to_owned();
    let whole = [
        (format!("Content-Length: {length}"), SMUGGLED.to_owned()),
        (chunked.clone(), format!("{chunk}0\r\n\r\n")),
    ];
    let cut_or_broken = [
        (format!("Content-Length: {}", length + 1), SMUGGLED.to_owned()),
        (format!("Content-Length: {}", 64 << 20), SMUGGLED.to_owned()),
        (chunked.clone(), chunk.clone()),
        (chunked.clone(), format!("fffffff\r\n{SMUGGLED}")),
        (chunked.clone(), SMUGGLED.to_owned()),
        (chunked, format!("0\r\nX: y\r\n{SMUGGLED}")),
    ];
    for (status, line, headers) in [
        (403, "POST /order", ""),
        (429, "POST /order", ""),
        (429, "POST /order", "Accept: text/html\r\n"),
        (200, "POST /order", "Content-Type: application/grpc\r\n"),
        // The endpoint answers early as well.
        (403, "POST /.well-known/esper/challenge", "Origin: null\r\n"),
        (415, "POST /.well-known/esper/challenge", ""),
        (405, "PUT /.well-known/esper/challenge", ""),
    ] {
        if status == 403 {
            site.sandbox.block(VISITOR)
        } else {
            site.sandbox.challenge(VISITOR)
        }
        let request = |(framing, body): &(String, String)| {
            format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}{framing}\r\n\r\n{body}")
        };
        for body in &cut_or_broken {
            let answers = spoken(&site, &request(body)).await;
            assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{body:?} {answers}");
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{body:?} {answers}");
        }
        for body in &whole {
            // The next request has an answer of its own, or else the connection is closed.
            let next = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            let answers = spoken(&site, &format!("{}{next}", request(body))).await;
            assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{body:?} {answers}");
            assert!(answers.matches("HTTP/1.1 ").count() <= 2, "{body:?} {answers}");
        }
    }
    let asked = calls(&site.sandbox, Operation::CheckMitigation);
    let paths = asked.iter().map(|call| call.body().unwrap()["path"].clone());
    let paths: Vec<_> = paths.filter(|path| path != "/order").collect();
    assert!(paths.iter().all(|path| path == "/next"), "{paths:?}");
    assert!(!paths.is_empty(), "a connection goes on after a body that was whole");
    assert_eq!(site.calls(), 0);
}

#[tokio::test]
async fn what_is_left_of_an_answer_that_is_too_large_is_not_taken_for_a_request_either() {
    let site = Site::new().await;
    let head = format!("POST {ENDPOINT} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json");
    for padding in [16 * 1024, 64 * 1024, 1 << 20] {
        let body = format!("{}{SMUGGLED}", " ".repeat(padding));
        // One byte of it never comes, so that the connection cannot go on.
        let length = body.len() + 1;
        let answers =
            spoken(&site, &format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}")).await;
        assert!(answers.starts_with("HTTP/1.1 413 "), "{padding} {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{padding} {answers}");
    }
    assert_eq!(calls(&site.sandbox, Operation::CheckMitigation).len(), 0);
    assert_eq!(site.calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_upload_ends_early_over_http_2_and_leaves_its_connection_usable() {
    let site = Site::new().await;
    site.sandbox.block(VISITOR);
    let [_, client] = clients();
    for _ in 0..20 {
        let (body, taken) = pieces(usize::MAX);
        let sent = client.post(site.url("/upload")).body(reqwest::Body::wrap(body)).send();
        let answer = sent.await.unwrap();
        assert_eq!(answer.status(), 403);
        drop(answer);
        let after = taken.load(Ordering::SeqCst);
        assert!(after < PIECES, "{after}");
    }
    site.sandbox.lift(VISITOR);
    assert_eq!(client.get(site.url("/")).send().await.unwrap().status(), 200);
    until(|| site.calls() == 1).await;
}

/// All that the site says to this, until it closes the connection.
async fn spoken(site: &Site, text: &str) -> String {
    let url = site.url("");
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    // The site may close it before it has read all.
    let _ = stream.write_all(text.as_bytes()).await;
    let mut answers = Vec::new();
    // An end by a reset is one as well: what came before it is there.
    let closed = timeout(BOUND, stream.read_to_end(&mut answers)).await;
    assert!(closed.is_ok(), "still open: {text} {}", String::from_utf8_lossy(&answers));
    String::from_utf8_lossy(&answers).into_owned()
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8.5.0\r\n\r\n";
/// Within which a connection with the rest of a body is closed.
const BOUND: Duration = Duration::from_secs(10);
/// In bytes.
const PIECE: usize = 32 * 1024;
/// 64 MiB, far more than sockets hold.
const PIECES: usize = 2048;
/// After how many bytes the content begins anew: a prime, so that no two pieces are the same.
const PERIOD: usize = 65_521;

static CONTENT: LazyLock<Bytes> = LazyLock::new(|| {
    let byte =
        |place: usize| ((place % PERIOD) as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
    (0..PERIOD + PIECE).map(byte).collect()
});
