//! How a sandbox starts and stops, in whatever kind of code.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use esper_sandbox::Sandbox;

use crate::raw::PATIENCE;

fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(addr)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    Ok(tcp)
}

/// Asks for the health without any runtime.
fn health(addr: SocketAddr) -> String {
    let mut tcp = connect(addr).expect("a connection");
    let request = "GET /healthz HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\n\r\n";
    tcp.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("an answer");
    answer
}

/// An event whose body is sent up to its last byte.
fn unfinished(sandbox: &Sandbox) -> TcpStream {
    let mut tcp = connect(sandbox.addr()).expect("a connection");
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nhost: sandbox\r\nx-esper-key: {}\r\n\
         content-type: application/json\r\ncontent-length: 12\r\nexpect: 100-continue\r\n\r\n",
        sandbox.api_key()
    );
    tcp.write_all(request.as_bytes()).expect("the head");
    // The server asks for the body, so the request has reached it.
    let mut go_on = [0; 25];
    tcp.read_exact(&mut go_on).expect("an interim answer");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    tcp.write_all(br#"{"type":"x""#).expect("most of the body");
    tcp
}

fn wait_until_closed(addr: SocketAddr) {
    let start = Instant::now();
    while TcpStream::connect(addr).is_ok() {
        assert!(start.elapsed() < PATIENCE, "the listener stays open");
        thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn a_synchronous_client_is_served_inside_a_single_threaded_runtime() {
    let sandbox = Sandbox::start().await;
    assert!(health(sandbox.addr()).ends_with("ok"));
}

#[tokio::test]
async fn it_can_be_started_synchronously_inside_a_runtime() {
    let sandbox = Sandbox::start_blocking();
    assert!(health(sandbox.addr()).ends_with("ok"));
}

#[test]
fn it_needs_no_runtime_of_its_caller() {
    let sandbox = Sandbox::start_blocking();
    assert_eq!(sandbox.url(), format!("http://{}", sandbox.addr()));
    assert!(sandbox.addr().ip().is_loopback());
    assert_eq!(sandbox.api_key(), Sandbox::DEFAULT_API_KEY);
    assert!(health(sandbox.addr()).ends_with("ok"));
}

#[tokio::test]
async fn a_stopped_sandbox_listens_no_more() {
    let sandbox = Sandbox::start().await;
    let addr = sandbox.addr();
    let idle = connect(addr).expect("a connection");
    sandbox.stop().await;
    assert_eq!(connect(addr).expect_err("a closed port").kind(), ErrorKind::ConnectionRefused);
    drop(idle);
}

#[tokio::test]
async fn a_dropped_sandbox_listens_no_more() {
    let sandbox = Sandbox::start().await;
    let addr = sandbox.addr();
    drop(sandbox);
    wait_until_closed(addr);
}

#[test]
fn to_drop_a_sandbox_never_takes_long() {
    let sandbox = Sandbox::start_blocking();
    let unfinished = unfinished(&sandbox);
    let start = Instant::now();
    drop(sandbox);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    drop(unfinished);
}

#[tokio::test]
async fn a_request_in_flight_is_answered_while_the_sandbox_stops() {
    let sandbox = Sandbox::start().await;
    let addr = sandbox.addr();
    let mut tcp = unfinished(&sandbox);
    let stopping = tokio::spawn(sandbox.stop());
    tokio::task::yield_now().await;
    wait_until_closed(addr);
    assert!(!stopping.is_finished(), "the request is not answered yet");
    tcp.write_all(b"}").expect("the last byte");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("an answer, then the end");
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    stopping.await.expect("an end");
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_after_two_seconds() {
    let sandbox = Sandbox::start().await;
    let unfinished = unfinished(&sandbox);
    let start = Instant::now();
    sandbox.stop().await;
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    drop(unfinished);
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let first = Sandbox::start().await;
    let error = Sandbox::builder().listen(first.addr()).start().await.expect_err("a taken port");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&first.addr().to_string()), "{error}");
    let error = Sandbox::builder().listen(first.addr()).start_blocking().expect_err("still taken");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[tokio::test]
async fn debug_shows_no_key() {
    let builder = Sandbox::builder().api_key("secret-key");
    assert!(!format!("{builder:?}").contains("secret-key"));
    let sandbox = builder.start().await.expect("a sandbox");
    assert!(!format!("{sandbox:?}").contains("secret-key"));
}

#[test]
fn it_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&Sandbox::builder());
    shared(&Sandbox::start_blocking());
}
