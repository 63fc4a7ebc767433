//! A proxy that keeps what it forwards.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::raw::{Answer, RawServer, Received};

/// A request with its answer, as they went over the wire.
pub(super) struct Exchange {
    pub(super) request: Received,
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The exchanges of all proxies that write into it, in the order of their answers.
pub(super) type Log = Arc<Mutex<Vec<Exchange>>>;

/// Starts a proxy in front of a server that speaks HTTP/1.1.
pub(super) fn start(server: SocketAddr, log: &Log) -> RawServer {
    let log = Arc::clone(log);
    RawServer::start(move |_, request| {
        let answer = forward(server, request);
        log.lock().expect("no panic").push(Exchange::read(request.clone(), &answer));
        Answer::Bytes(answer)
    })
}

/// Each request has a connection of its own, so that the answer ends where the connection does.
fn forward(server: SocketAddr, request: &Received) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "connection: close\r\n\r\n";
    let mut connection = TcpStream::connect(server).expect("the sandbox");
    connection.write_all(&[head.as_bytes(), &request.body].concat()).expect("sent");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("an answer");
    answer
}

impl Exchange {
    fn read(request: Received, answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = str::from_utf8(&answer[..end]).expect("text");
        let (first, lines) = head.split_once("\r\n").expect("headers");
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let headers = lines.lines().map(|line| {
            let (name, value) = line.split_once(':').expect("a header");
            (name.to_owned(), value.trim().to_owned())
        });
        let (headers, body) = (headers.collect(), answer[end + 4..].to_vec());
        let exchange = Self { request, status: status.expect("a status"), headers, body };
        assert!(exchange.all("transfer-encoding").is_empty(), "teach the tests: {exchange:?}");
        exchange
    }

    /// The values of a header of the answer, in order.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn is_of_the_client(&self) -> bool {
        let agents = self.request.all("user-agent");
        agents.iter().any(|agent| agent.starts_with("esper-rs-client/"))
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let excerpt =
            |body: &[u8]| String::from_utf8_lossy(&body[..body.len().min(1000)]).into_owned();
        let request = &self.request;
        writeln!(f, "{} {} {:?}", request.method, request.target, request.headers)?;
        writeln!(f, "{}", excerpt(&request.body))?;
        writeln!(f, "was answered {} {:?}", self.status, self.headers)?;
        writeln!(f, "{}", excerpt(&self.body))
    }
}
