//! A server on plain sockets, for what no well-behaved server does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// What the server does with a request, by its number from 0.
type Script = dyn Fn(usize, &Received) -> Answer + Send + Sync;

/// Stops when it is dropped.
pub(crate) struct RawServer {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Box<Script>,
    received: Mutex<Vec<Received>>,
    /// How many requests are kept.
    kept: usize,
    requests: AtomicUsize,
    connections: AtomicUsize,
    flooded: AtomicUsize,
    stopped: AtomicBool,
}

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What a server does.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Answers with a status, headers and a body, and keeps the connection.
    Http(u16, Vec<(&'static str, String)>, String),
    /// Writes these bytes and closes the connection.
    Bytes(Vec<u8>),
    /// Writes these bytes, one now and then, for as long as the client listens.
    Dribble(Vec<u8>),
    /// Writes these bytes and then blanks, for as long as the client reads.
    Flood(Vec<u8>),
    /// Writes these bytes and resets the connection.
    Reset(Vec<u8>),
    /// Closes the connection without a byte.
    Close,
    /// Says nothing until the client gives up.
    Silence,
}

impl Answer {
    /// A status alone, without a body.
    pub(crate) fn status(status: u16) -> Self {
        Self::Http(status, Vec::new(), String::new())
    }

    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Http(status, vec![("content-type", "application/json".into())], body.into())
    }

    pub(crate) fn html(status: u16, body: &str) -> Self {
        Self::Http(status, vec![("content-type", "text/html".into())], body.into())
    }

    pub(crate) fn allow() -> Self {
        Self::json(200, r#"{"action":"allow"}"#)
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Http(_, headers, _) = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }

    /// Answers one request; breaks where the connection ends with it.
    fn write(&self, mut stream: &TcpStream, state: &State) -> ControlFlow<()> {
        match self {
            Self::Http(status, headers, body) => {
                if stream.write_all(&http(*status, headers, body)).is_ok() {
                    return ControlFlow::Continue(());
                }
            }
            Self::Bytes(bytes) => {
                let _ = stream.write_all(bytes);
            }
            Self::Reset(bytes) => {
                let _ = stream.write_all(bytes);
                // A connection that does not linger ends with a reset.
                let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
            }
            Self::Dribble(bytes) => {
                for byte in bytes.iter().cycle() {
                    if state.is_stopped() || stream.write_all(&[*byte]).is_err() {
                        break;
                    }
                    thread::sleep(DRIBBLE);
                }
            }
            Self::Flood(bytes) => {
                let blanks = [b' '; 16 * 1024];
                let mut next = bytes.as_slice();
                let mut written = 0;
                while !state.is_stopped() && stream.write_all(next).is_ok() {
                    next = &blanks;
                    written += blanks.len();
                }
                state.flooded.fetch_add(written, Ordering::SeqCst);
            }
            Self::Close => {}
            Self::Silence => {
                // Ends with the connection, which the client closes.
                let _ = stream.read(&mut [0]);
            }
        }
        ControlFlow::Break(())
    }
}

/// An answer of HTTP/1.1 as it goes over the wire.
pub(crate) fn http(status: u16, headers: &[(&'static str, String)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} X\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("content-length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}

impl Received {
    /// The values of a header, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> &str {
        match self.all(name).as_slice() {
            [value] => value,
            other => panic!("{name}: {other:?} in {self:?}"),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

impl RawServer {
    pub(crate) fn start(
        script: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::on(listener, usize::MAX, script)
    }

    /// Serves a port of the caller's choice, and keeps the first so many requests.
    pub(crate) fn on(
        listener: TcpListener,
        kept: usize,
        script: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            script: Box::new(script),
            received: Mutex::new(Vec::new()),
            kept,
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            flooded: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.is_stopped() {
                    break;
                }
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.serve(&stream));
            }
        });
        Self { address, state }
    }

    /// Gives every request the same answer.
    pub(crate) fn always(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Self {
        Self::start(move |_, _| answer())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().expect("no panic").clone()
    }

    /// The only request that came.
    pub(crate) fn only(&self) -> Received {
        match self.received().as_slice() {
            [request] => request.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many blanks were written in the floods that have ended.
    pub(crate) fn flooded(&self) -> usize {
        self.state.flooded.load(Ordering::SeqCst)
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

impl State {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read(&mut reader) {
            let number = {
                let mut received = self.received.lock().expect("no panic");
                if received.len() < self.kept {
                    received.push(request.clone());
                }
                self.requests.fetch_add(1, Ordering::SeqCst)
            };
            if (self.script)(number, &request).write(stream, self).is_break() {
                return;
            }
        }
    }
}

/// Reads one request, or nothing where the connection ends.
fn read(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { method, target, headers, body })
}

/// How long a server that dribbles waits between two bytes.
pub(crate) const DRIBBLE: Duration = Duration::from_millis(20);
