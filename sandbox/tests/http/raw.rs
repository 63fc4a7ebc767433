//! A client that sees every byte, and how a connection ends.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use esper_sandbox::Sandbox;
use serde_json::Value;

/// More than anything here takes, so that a failure is a failure and no hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn connect(sandbox: &Sandbox) -> TcpStream {
    let tcp = TcpStream::connect(sandbox.addr()).expect("a connection");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a limit");
    tcp.set_write_timeout(Some(PATIENCE)).expect("a limit");
    tcp
}

/// The head of a POST whose body has so many bytes.
pub(crate) fn head(sandbox: &Sandbox, path: &str, length: usize) -> String {
    let key = sandbox.api_key();
    format!(
        "POST {path} HTTP/1.1\r\nhost: sandbox\r\nauthorization: Bearer {key}\r\n\
         x-esper-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Sends a request on a connection of its own.
pub(crate) fn send(sandbox: &Sandbox, path: &str, body: &Value) -> TcpStream {
    let body = body.to_string();
    let mut tcp = connect(sandbox);
    let request = head(sandbox, path, body.len()) + &body;
    tcp.write_all(request.as_bytes()).expect("a request");
    tcp
}

/// Everything that comes until the connection ends, and how it ends.
pub(crate) fn read_all(mut tcp: TcpStream) -> (String, io::Result<()>) {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    let end = loop {
        match tcp.read(&mut part) {
            Ok(0) => break Ok(()),
            Ok(read) => all.extend_from_slice(&part[..read]),
            Err(error) => break Err(error),
        }
    };
    (String::from_utf8(all).expect("text"), end)
}

/// What was announced as the length of a body, and the part of it that came.
pub(crate) fn body_of(answer: &str) -> (usize, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    (length.and_then(|length| length.parse().ok()).expect("a length"), body)
}

/// Waits until the first fault has hit so many calls.
pub(crate) async fn wait_for_hits(sandbox: &Sandbox, hits: u64) {
    let start = Instant::now();
    while sandbox.faults().list()[0].hits() < hits {
        assert!(start.elapsed() < PATIENCE, "the calls do not arrive");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
