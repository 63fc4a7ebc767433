//! What it stands: too few files, too many bodies, and bodies of too many values.

use std::net::TcpStream;
use std::process::Command;

use esper_sandbox::Sandbox;
use rustix::process::Signal;

use crate::program::{Program, command, decide};

/// Opens connections that send nothing.
fn half_open(program: &Program, count: usize) -> Vec<TcpStream> {
    let addr = program.url().strip_prefix("http://").expect("an address");
    (0..count).map(|_| TcpStream::connect(addr).expect("a connection")).collect()
}

#[tokio::test]
async fn a_program_that_is_out_of_files_goes_on_to_serve() {
    let mut shell = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_esper-sandbox");
    let script = format!("ulimit -n 40; exec {program} \"$@\"");
    let command = shell.args(["-c", &script, "sh"]).env_remove("ESPER_SANDBOX_API_KEYS");
    let program = Program::start(command.env_remove("RUST_LOG"));
    let flood = half_open(&program, 100);
    for _ in 0..3 {
        let answer = decide(program.url(), Sandbox::DEFAULT_API_KEY).await;
        assert_eq!(answer.status().as_u16(), 200);
    }
    let (code, log) = program.end(Signal::TERM);
    assert_eq!(code, Some(0));
    let complaints = log.matches("no connection can be accepted").count();
    assert!((1..=flood.len()).contains(&complaints), "{log}");
}

/// What the program keeps of bodies that are never complete is bounded, and decisions come.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_flood_of_large_bodies_takes_little_memory() {
    use std::io::Write as _;

    let program = Program::start(&mut command(&[]));
    let before = peak_memory(&program);
    let part = vec![b' '; (1 << 20) - 1];
    let mut flood = half_open(&program, 200);
    for tcp in &mut flood {
        let head = "POST /v1/events HTTP/1.1\r\nhost: sandbox\r\ncontent-length: 1048576\r\n\r\n";
        tcp.write_all(head.as_bytes()).expect("a head");
        tcp.write_all(&part).expect("most of a body");
    }
    let answer = decide(program.url(), Sandbox::DEFAULT_API_KEY).await;
    assert_eq!(answer.status().as_u16(), 200);
    // It keeps 64 MiB of the 200 that were sent; its buffers take some, too.
    let growth = peak_memory(&program) - before;
    assert!(growth < 140 << 20, "{} MiB", growth >> 20);
}

/// What is recorded is listed as it came: read, each of these bodies would take over a MiB.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_list_of_bodies_of_many_small_values_takes_little_memory() {
    let program = Program::start(&mut command(&["--admin", "0"]));
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let before = peak_memory(&program);
    let body = format!("[{}1]", r#"{"":0},"#.repeat(2340));
    for _ in 0..1000 {
        let event = http.post(format!("{}/v1/events", program.url())).body(body.clone());
        let event = event.header("Content-Type", "application/json").send();
        assert_eq!(event.await.expect("an answer").status().as_u16(), 401);
    }
    let list = http.get(format!("{}/requests", program.admin())).send().await.expect("an answer");
    let list = list.text().await.expect("a list");
    assert_eq!(list.matches(&body).count(), 1000, "all of them are there");
    // They have 16 MiB, as have a copy of them and the answer; that one grows.
    let growth = peak_memory(&program) - before;
    assert!(growth < 100 << 20, "{} MiB", growth >> 20);
}

/// The most memory that a program had so far, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory(program: &Program) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.child.id()));
    let status = status.expect("a status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    peak.and_then(|kib| kib.parse::<usize>().ok()).expect("a peak") * 1024
}
