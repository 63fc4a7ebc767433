//! Gives the sandbox whatever bytes as the body of a request.
//!
//! It must not panic, and answer in time: with a success, or with the documented error body.
//!
//! An input is two digits and the rest. The first digit is the path, the second the content type:
//! JSON, JSON with a charset, text, none, or else what stands on the first line of the rest. What
//! then remains is the body.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use esper_sandbox::Sandbox;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A sandbox, and connections to both of its addresses.
pub struct Harness {
    sandbox: Sandbox,
    api: Connection,
    admin: Connection,
}

/// A connection that is opened when it is needed, and kept.
struct Connection {
    addr: SocketAddr,
    tcp: Option<TcpStream>,
}

/// What came back.
struct Answer {
    status: u16,
    is_json: bool,
    body: Vec<u8>,
    closes: bool,
}

/// The documented error body. All else of an answer is a success.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorBody {
    message: String,
    code: String,
    details: Option<Map<String, Value>>,
}

impl Harness {
    /// Starts the sandbox, on free ports.
    pub fn new() -> Self {
        let builder = Sandbox::builder().challenge_difficulty(0);
        let builder = builder.admin((Ipv4Addr::LOCALHOST, 0).into());
        let sandbox = builder.start_blocking().expect("a sandbox");
        let api = Connection { addr: sandbox.addr(), tcp: None };
        let admin = sandbox.admin_addr().expect("an admin interface");
        Self { sandbox, api, admin: Connection { addr: admin, tcp: None } }
    }

    /// Sends the request that the input describes, and panics where its answer is not right.
    pub fn run(&mut self, input: &[u8]) {
        let (&[path, kind], rest) = input.split_first_chunk().unwrap_or((b"00", &[]));
        let path = PATHS[usize::from(path.wrapping_sub(b'0')) % PATHS.len()];
        let (kind, body) = match kind {
            b'0' => (Some(&b"application/json"[..]), rest),
            b'1' => (Some(&b"Application/JSON; charset=utf-8"[..]), rest),
            b'2' => (Some(&b"text/plain"[..]), rest),
            b'3' => (None, rest),
            _ => split_line(rest),
        };
        let request = request(path, kind, body, self.sandbox.api_key());
        let connection = if ADMIN.contains(&path) { &mut self.admin } else { &mut self.api };
        connection.send(&request).judge(path);
        // What was added must not meet the next input.
        self.sandbox.faults().clear();
    }
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl Connection {
    fn send(&mut self, request: &[u8]) -> Answer {
        let addr = self.addr;
        let tcp = self.tcp.get_or_insert_with(|| connect(addr));
        tcp.write_all(request).expect("a request that is taken");
        let answer = Answer::read(tcp);
        if answer.closes {
            self.tcp = None;
        }
        answer
    }
}

impl Answer {
    fn read(tcp: &mut TcpStream) -> Self {
        let (mut all, mut part) = (Vec::new(), [0; 4096]);
        let mut more = |all: &mut Vec<u8>| {
            let read = loop {
                match tcp.read(&mut part) {
                    // By the alarm clock of the fuzzer.
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    read => break read.expect("an answer in time"),
                }
            };
            assert!(read > 0, "no whole answer: {:?}", String::from_utf8_lossy(all));
            all.extend_from_slice(&part[..read]);
        };
        let head = loop {
            match all.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => more(&mut all),
            }
        };
        let text = String::from_utf8_lossy(&all[..head]).to_ascii_lowercase();
        let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let length = header("content-length: ").map_or(0, |text| text.parse().expect("a length"));
        let (is_json, closes) = (
            header("content-type: ") == Some("application/json"),
            header("connection: ") == Some("close"),
        );
        while all.len() < head + length {
            more(&mut all);
        }
        assert_eq!(all.len(), head + length, "more than an answer");
        Self { status: status.expect("a status"), is_json, body: all.split_off(head), closes }
    }

    fn judge(&self, path: &str) {
        let body = String::from_utf8_lossy(&self.body);
        match self.status {
            200 | 201 => {
                assert!(self.is_json, "{path}: {body}");
                serde_json::from_slice::<Map<String, Value>>(&self.body).expect("an object");
            }
            202 | 204 => assert!(self.body.is_empty(), "{path}: {body}"),
            400 | 404 | 413 | 415 => {
                assert!(self.is_json, "{path}: {body}");
                let error: ErrorBody = serde_json::from_slice(&self.body).expect("an error body");
                assert!(!error.message.is_empty() && !error.code.is_empty(), "{path}: {body}");
                assert!(error.message.len() < LONGEST_MESSAGE, "{path}: {body}");
                assert!(error.details.is_none_or(|details| details.len() == 1), "{path}: {body}");
            }
            status => panic!("{path}: {status} {body}"),
        }
    }
}

fn connect(addr: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(addr).expect("a connection");
    tcp.set_nodelay(true).expect("an option");
    tcp.set_read_timeout(Some(LIMIT)).expect("a limit");
    tcp.set_write_timeout(Some(LIMIT)).expect("a limit");
    tcp
}

fn request(path: &str, kind: Option<&[u8]>, body: &[u8], key: &str) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\
         x-esper-key: {key}\r\ncontent-length: {}\r\n",
        body.len()
    )
    .into_bytes();
    if let Some(kind) = kind {
        // What no header can carry is no content type of anybody's.
        let text = kind.iter().map(|byte| if *byte < b' ' || *byte == 0x7f { b' ' } else { *byte });
        request.extend(b"content-type: ".iter().copied().chain(text).chain(*b"\r\n"));
    }
    request.extend([b"\r\n", body].concat());
    request
}

fn split_line(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    (Some(&text[..end]), text.get(end + 1..).unwrap_or_default())
}

/// Whatever takes a body, by the first digit.
const PATHS: [&str; 7] = [
    "/v1/mitigate",
    "/v1/verify",
    "/api/v1/challenge/proof/verify",
    "/v1/events",
    "/challenge/x",
    "/faults",
    "/clock",
];

/// Those of them that are the admin interface's.
const ADMIN: [&str; 2] = ["/faults", "/clock"];

/// The longest message of an error, in bytes.
const LONGEST_MESSAGE: usize = 2 * 1024;
const LIMIT: Duration = Duration::from_secs(10);
