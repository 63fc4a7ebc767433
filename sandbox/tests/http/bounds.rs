//! What callers cannot take from others, however many they are and however slow.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use esper_sandbox::{Fault, Limits, Operation, Sandbox};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::raw::{self, PATIENCE, wait_for_hits};

const IP: &str = "203.0.113.7";
const MITIGATE: &str = "/v1/mitigate";
const MIB: usize = 1 << 20;

/// How many connections the sandbox of a flood keeps, and how many the flood has.
const MOST: usize = 20;
const FLOOD: usize = 200;

async fn limited(limits: Limits) -> Sandbox {
    Sandbox::builder().limits(limits).start().await.expect("a sandbox")
}

/// Connections that begin like this and do not go on.
fn flood(sandbox: &Sandbox, beginning: &[u8]) -> Vec<TcpStream> {
    let open = |_| {
        let mut tcp = raw::connect(sandbox);
        // It may have had to give way already.
        let _ = tcp.write_all(beginning);
        tcp
    };
    (0..FLOOD).map(open).collect()
}

/// Waits until so many of the connections have ended, and asserts that none was answered.
fn wait_until_over(connections: &[TcpStream], count: usize) {
    let start = Instant::now();
    while connections.iter().filter(|tcp| is_over(tcp)).count() < count {
        assert!(start.elapsed() < PATIENCE, "they stay open");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a connection has ended, as far as is known.
fn is_over(mut tcp: &TcpStream) -> bool {
    tcp.set_nonblocking(true).expect("a mode");
    let mut part = [0; 1024];
    match tcp.read(&mut part) {
        Ok(read) => {
            assert!(!part[..read].starts_with(b"HTTP/"), "an answer");
            read == 0
        }
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Asserts that a decision comes while a flood stands, and that no more of it is kept than there
/// is room for.
async fn a_decision_comes_during_a_flood_of(beginning: &[u8]) {
    let sandbox = limited(Limits::default().connections(MOST)).await;
    let flood = flood(&sandbox, beginning);
    Caller::of(&sandbox).decide(IP).await;
    wait_until_over(&flood, FLOOD - MOST);
}

#[tokio::test]
async fn a_decision_comes_while_connections_stand_half_open() {
    a_decision_comes_during_a_flood_of(b"").await;
}

#[tokio::test]
async fn a_decision_comes_while_heads_are_slow() {
    a_decision_comes_during_a_flood_of(b"POST /v1/mitigate HTTP/1.1\r\nhost: sand").await;
}

#[tokio::test]
async fn a_decision_comes_while_heads_are_slow_on_http_2() {
    // The connection's preface and the client's settings.
    let beginning = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    a_decision_comes_during_a_flood_of(beginning).await;
}

#[tokio::test]
async fn a_decision_comes_while_bodies_are_slow() {
    let beginning = format!(
        "POST {MITIGATE} HTTP/1.1\r\nhost: sandbox\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{"
    );
    a_decision_comes_during_a_flood_of(beginning.as_bytes()).await;
}

#[tokio::test]
async fn a_decision_comes_while_other_calls_are_never_answered() {
    let sandbox = limited(Limits::default().connections(2)).await;
    sandbox.faults().add(Fault::silence().on(Operation::VerifyChallenge));
    let verification = json!({ "token": "x", "response": "1" });
    let silent: Vec<_> = (0..2).map(|_| raw::send(&sandbox, "/v1/verify", &verification)).collect();
    wait_for_hits(&sandbox, 2).await;
    Caller::of(&sandbox).decide(IP).await;
    wait_until_over(&silent, 1);
}

#[test]
fn an_idle_connection_is_closed_and_one_with_a_call_is_not() {
    let limits = Limits::default().idle_time(Duration::from_millis(100));
    let sandbox = Sandbox::builder().limits(limits).start_blocking().expect("a sandbox");
    sandbox.faults().add(Fault::delay(Duration::from_millis(500)));
    let silent = raw::connect(&sandbox);
    let mut tcp = raw::send(&sandbox, MITIGATE, &json!({ "ip": IP }));
    wait_until_over(&[silent], 1);
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("an answer, then the end");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_head_that_comes_byte_by_byte_is_cut_off() {
    let limits = Limits::default().idle_time(Duration::from_millis(100));
    let sandbox = Sandbox::builder().limits(limits).start_blocking().expect("a sandbox");
    let mut tcp = raw::connect(&sandbox);
    tcp.write_all(b"GET /healthz HTTP/1.1\r\nx: ").expect("a beginning");
    tcp.set_read_timeout(Some(Duration::from_millis(5))).expect("a pace");
    let start = Instant::now();
    let end = loop {
        assert!(start.elapsed() < PATIENCE, "it goes on for ever");
        let _ = tcp.write_all(b"x");
        match tcp.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            end => break end,
        }
    };
    assert!(end.is_err() || end.is_ok_and(|read| read == 0), "an answer");
}

#[test]
fn a_caller_that_never_reads_is_cut_off() {
    let limits = Limits::default().idle_time(Duration::from_millis(100));
    let sandbox = Sandbox::builder().limits(limits).start_blocking().expect("a sandbox");
    let mut tcp = raw::connect(&sandbox);
    let requests = "GET /healthz HTTP/1.1\r\nhost: sandbox\r\n\r\n".repeat(1000);
    let start = Instant::now();
    let error = loop {
        match tcp.write_all(requests.as_bytes()) {
            Ok(()) => assert!(start.elapsed() < PATIENCE, "it goes on for ever"),
            Err(error) => break error,
        }
    };
    assert_ne!(error.kind(), ErrorKind::WouldBlock, "it stands still for ever");
}

#[test]
fn a_head_has_a_largest_size() {
    let sandbox = Sandbox::start_blocking();
    let mut tcp = raw::connect(&sandbox);
    let beginning = format!("GET /healthz HTTP/1.1\r\nx: {}", "x".repeat(64 * 1024));
    tcp.write_all(beginning.as_bytes()).expect("a head without end");
    let (answer, _) = raw::read_all(tcp);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_head_has_a_largest_size_on_http_2() {
    let sandbox = Sandbox::start().await;
    let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge();
    let http = http.build().expect("a client");
    for (size, status) in [(15 * 1024, 200), (17 * 1024, 431)] {
        let request = http.get(format!("{}/healthz", sandbox.url())).header("x", "x".repeat(size));
        assert_eq!(request.send().await.expect("an answer").status(), status, "{size} bytes");
    }
}

#[test]
fn a_body_that_takes_too_long_is_refused() {
    let limits = Limits::default().body_time(Duration::from_millis(100));
    let sandbox = Sandbox::builder().limits(limits).start_blocking().expect("a sandbox");
    let mut tcp = raw::connect(&sandbox);
    tcp.write_all(raw::head(&sandbox, MITIGATE, 2).as_bytes()).expect("a head");
    tcp.write_all(b"{").expect("half of a body");
    let (answer, _) = raw::read_all(tcp);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let expected =
        r#"{"message":"the request body did not arrive in time","code":"request_timeout"}"#;
    assert_eq!(raw::body_of(&answer).1, expected);
}

#[tokio::test]
async fn when_bodies_are_too_many_some_are_refused_and_decisions_still_come() {
    // For four of them, and for the small ones of others.
    let sandbox = limited(Limits::default().bodies(4 * MIB + MIB / 2)).await;
    // How many of a flood are there at once is for the system to say.
    for _ in 0..50 {
        let statuses = flood_of_bodies(&sandbox).await;
        let count = |wanted: &str| statuses.iter().filter(|status| *status == wanted).count();
        let (refused, answered) = (count("HTTP/1.1 503"), count("HTTP/1.1 200"));
        assert!(refused + answered == 16 && answered >= 4, "{statuses:?}");
        if refused > 0 {
            return;
        }
    }
    panic!("nobody gave way");
}

/// Sends bodies of a MiB that are all but their last byte long, and then the last bytes.
async fn flood_of_bodies(sandbox: &Sandbox) -> Vec<String> {
    let mut body = json!({ "ip": IP }).to_string();
    body.extend(std::iter::repeat_n(' ', MIB - body.len()));
    let (most, last) = body.split_at(MIB - 1);
    let flood: Vec<_> = (0..16)
        .map(|_| {
            let mut tcp = raw::connect(sandbox);
            tcp.write_all(raw::head(sandbox, MITIGATE, MIB).as_bytes()).expect("a head");
            tcp.write_all(most.as_bytes()).expect("most of a body");
            tcp
        })
        .collect();
    Caller::of(sandbox).decide(IP).await;
    let mut statuses = Vec::new();
    for mut tcp in flood {
        tcp.write_all(last.as_bytes()).expect("the last byte");
        let mut answer = [0; 12];
        tcp.read_exact(&mut answer).expect("an answer");
        statuses.push(String::from_utf8_lossy(&answer).into_owned());
    }
    statuses
}

#[tokio::test]
async fn a_call_that_is_not_processed_keeps_no_room_for_its_body_while_it_is_delayed() {
    let sandbox = limited(Limits::default().bodies(MIB)).await;
    let late = Fault::status(503).after(Duration::from_secs(3600));
    sandbox.faults().add(late.on(Operation::VerifyChallenge));
    let large = |mut body: Value| {
        body["more"] = "x".repeat(MIB / 2).into();
        body
    };
    let verification = large(json!({ "token": "x", "response": "1" }));
    let _late = raw::send(&sandbox, "/v1/verify", &verification);
    wait_for_hits(&sandbox, 1).await;
    Caller::of(&sandbox).decide_about(large(json!({ "ip": IP }))).await;
}

#[tokio::test]
async fn a_limit_without_end_can_be_given() {
    let limits = Limits::default().connections(usize::MAX).bodies(usize::MAX);
    let limits = limits.idle_time(Duration::MAX).body_time(Duration::MAX);
    Caller::of(&limited(limits).await).decide(IP).await;
}

#[tokio::test]
async fn a_limit_that_lets_nobody_in_is_refused() {
    for limits in [
        Limits::default().connections(0),
        Limits::default().bodies(0),
        Limits::default().idle_time(Duration::ZERO),
        Limits::default().body_time(Duration::ZERO),
    ] {
        let error = Sandbox::builder().limits(limits).start().await.expect_err("no limit");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
