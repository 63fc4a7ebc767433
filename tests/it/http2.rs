//! What HTTP/2 can say that HTTP/1 cannot, from a server that writes its frames by hand.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use esper_rs_client::{AsyncEsperClient, EsperError};

use crate::support::tls::{TlsServer, TlsStream, Validity};
use crate::support::{assert_settled, config};

/// What the server does with a stream, by the number of streams that came before it.
#[derive(Clone, Copy)]
enum Behaviour {
    Answer,
    Refuse,
    GoAway,
    /// Ends the connection for a fault of it.
    BreakOff,
    Fail,
    /// Begins to answer, and gives up.
    CutOff,
    /// Begins to answer, and then says that it did not look at the request.
    RefuseLate,
}

/// What a server saw.
#[derive(Default)]
struct Seen {
    streams: AtomicUsize,
    pings: AtomicUsize,
}

fn server(
    behaviours: impl Fn(usize) -> Behaviour + Send + Sync + 'static,
) -> (TlsServer, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let shared = Arc::clone(&seen);
    let server = TlsServer::start(Validity::Now, b"h2", move |_, mut stream| {
        // A connection that ends, whoever ends it, ends this thread.
        let _ = serve(&mut stream, &shared, &behaviours);
    });
    (server, seen)
}

fn client(server: &TlsServer) -> AsyncEsperClient {
    client_with_retries(server, 3)
}

fn client_with_retries(server: &TlsServer, retries: u32) -> AsyncEsperClient {
    let config = config(&server.url("localhost")).with_max_retries(retries);
    AsyncEsperClient::new(config.with_root_certificate(server.certificate.clone())).unwrap()
}

fn serve(
    stream: &mut TlsStream,
    seen: &Seen,
    behaviours: &dyn Fn(usize) -> Behaviour,
) -> std::io::Result<()> {
    stream.read_exact(&mut [0; PREFACE])?;
    write(stream, SETTINGS, 0, 0, &[])?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        match (head[3], head[4] & END_STREAM != 0) {
            // Never answered: this server is as good as dead between two requests.
            (PING, _) => _ = seen.pings.fetch_add(1, Ordering::SeqCst),
            (HEADERS | DATA, true) => match behaviours(seen.streams.fetch_add(1, Ordering::SeqCst))
            {
                Behaviour::Answer => {
                    write(stream, HEADERS, END_HEADERS, id, &json_headers())?;
                    write(stream, DATA, END_STREAM, id, br#"{"valid":true}"#)?;
                }
                Behaviour::Refuse => {
                    write(stream, RST_STREAM, 0, id, &REFUSED_STREAM.to_be_bytes())?
                }
                Behaviour::CutOff => {
                    write(stream, HEADERS, END_HEADERS, id, &json_headers())?;
                    write(stream, DATA, 0, id, br#"{"valid""#)?;
                    write(stream, RST_STREAM, 0, id, &CANCEL.to_be_bytes())?;
                }
                Behaviour::RefuseLate => {
                    write(stream, HEADERS, END_HEADERS, id, &json_headers())?;
                    write(stream, RST_STREAM, 0, id, &REFUSED_STREAM.to_be_bytes())?;
                }
                Behaviour::Fail => write(stream, RST_STREAM, 0, id, &INTERNAL_ERROR.to_be_bytes())?,
                // The last stream that was looked at is number 0, and all is well.
                Behaviour::GoAway => write(stream, GOAWAY, 0, 0, &[0; 8])?,
                Behaviour::BreakOff => {
                    let last_and_why = [0; 4].into_iter().chain(INTERNAL_ERROR.to_be_bytes());
                    write(stream, GOAWAY, 0, 0, &last_and_why.collect::<Vec<_>>())?;
                }
            },
            _ => {}
        }
    }
}

fn json_headers() -> Vec<u8> {
    let mut headers = vec![STATUS_200, 0, 12];
    headers.extend(b"content-type\x10application/json");
    headers
}

fn write(
    stream: &mut TlsStream,
    kind: u8,
    flags: u8,
    id: u32,
    payload: &[u8],
) -> std::io::Result<()> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(id.to_be_bytes());
    frame.extend(payload);
    stream.write_all(&frame)?;
    stream.flush()
}

#[tokio::test]
async fn a_refused_stream_and_a_connection_that_goes_away_cost_nothing() {
    for behaviour in [Behaviour::Refuse, Behaviour::GoAway] {
        let (server, seen) =
            server(move |number| if number == 0 { behaviour } else { Behaviour::Answer });
        // Not even a verification was looked at, and no retry is needed for it.
        let client = client_with_retries(&server, 0);
        assert!(client.verify_challenge("token", "1").await.unwrap());
        assert_eq!(seen.streams.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn a_stream_that_is_always_refused_is_repeated_once_at_no_cost() {
    for retries in [0, 1] {
        let (server, seen) = server(|_| Behaviour::Refuse);
        let client = client_with_retries(&server, retries);
        assert!(client.verify_challenge("token", "1").await.is_err());
        assert_eq!(seen.streams.load(Ordering::SeqCst), 2 + retries as usize);
    }
}

#[tokio::test]
async fn a_stream_or_a_connection_that_fails_may_have_processed_it() {
    for behaviour in [Behaviour::Fail, Behaviour::BreakOff] {
        let (server, seen) = server(move |_| behaviour);
        let client = client(&server);
        assert!(client.verify_challenge("token", "1").await.is_err());
        assert_eq!(seen.streams.load(Ordering::SeqCst), 1);
        assert!(client.get_usage().await.is_err());
        assert_eq!(seen.streams.load(Ordering::SeqCst), 1 + 4);
        assert_settled(&client, 2, 1 + 4);
    }
}

#[tokio::test]
async fn an_answer_that_ends_in_the_middle_is_a_connection_that_broke() {
    for behaviour in [Behaviour::CutOff, Behaviour::RefuseLate] {
        let (server, seen) = server(move |_| behaviour);
        let client = client(&server);
        let error = client.verify_challenge("token", "1").await.unwrap_err();
        assert!(matches!(error, EsperError::Connection { permanent: false, .. }), "{error:?}");
        assert_eq!(seen.streams.load(Ordering::SeqCst), 1);
        let message = client.get_usage().await.unwrap_err().to_string();
        assert!(message.ends_with(" began to answer, and the connection broke"), "{message}");
        assert!(message.contains(&server.url("localhost")), "{message}");
        assert_eq!(seen.streams.load(Ordering::SeqCst), 1 + 4);
        assert_settled(&client, 2, 1 + 4);
    }
}

#[tokio::test]
async fn a_connection_whose_other_end_is_gone_without_a_word_is_found_by_a_ping() {
    let (server, seen) = server(|_| Behaviour::Answer);
    let client = client(&server);
    assert!(client.verify_challenge("token", "1").await.unwrap());
    assert_eq!(server.connections(), 1);

    // A quarter of a minute passes in which the server does not answer a ping.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(16)).await;
    tokio::time::resume();

    assert!(client.verify_challenge("token", "1").await.unwrap());
    assert_eq!(server.connections(), 2);
    assert!(seen.pings.load(Ordering::SeqCst) > 0);
}

/// The length of what a client says first.
const PREFACE: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200`, as the eighth entry of the static table.
const STATUS_200: u8 = 0x88;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
