//! What it logs, and how.

use esper_sandbox::Sandbox;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::program::{Program, command, decide};

#[tokio::test]
async fn a_log_of_json_is_an_object_a_line() {
    let command = &mut command(&["--log-format", "json"]);
    let program = Program::start(command.env("RUST_LOG", "esper_sandbox=debug"));
    decide(program.url(), Sandbox::DEFAULT_API_KEY).await;
    let (_, log) = program.end(Signal::TERM);
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let answered = lines.iter().find(|line| line["message"] == "answered").expect("a line");
    assert_eq!((&answered["path"], &answered["status"]), (&json!("/v1/mitigate"), &json!(200)));
}

#[test]
fn a_filter_of_the_log_that_cannot_be_read_is_said() {
    let mut program = Program::start(command(&[]).env("RUST_LOG", "esper_sandbox=verbose"));
    program.wait_for_log("RUST_LOG cannot be read");
    program.wait_for_log("listening");
}

#[test]
fn an_empty_filter_of_the_log_is_none() {
    let log_with = |filter| {
        let program = Program::start(command(&[]).env("RUST_LOG", filter));
        program.end(Signal::TERM).1
    };
    let log = log_with("");
    assert!(log.contains("listening") && !log.contains("WARN"), "{log}");
    assert_eq!(log_with("warn"), "", "this one asks for less");
}

#[test]
fn a_challenge_that_nobody_can_pass_in_time_is_said_at_the_start() {
    let args = &["--challenge-difficulty", "32", "--challenge-lifetime", "300"];
    Program::start(&mut command(args)).wait_for_log("may not solve a challenge before it expires");
    let (_, log) = Program::start(&mut command(&[])).end(Signal::TERM);
    assert!(!log.contains("WARN"), "{log}");
}

#[tokio::test]
async fn what_is_done_over_the_admin_interface_is_logged() {
    let mut program = Program::start(&mut command(&["--admin", "0"]));
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let faults = format!("{}/faults", program.admin());
    let fault = json!({ "fault": "status", "status": 503 });
    http.post(&faults).json(&fault).send().await.expect("an answer");
    http.delete(format!("{faults}/1")).send().await.expect("an answer");
    http.delete(&faults).send().await.expect("an answer");
    let clock = http.post(format!("{}/clock", program.admin()));
    clock.json(&json!({ "advance_ms": 1 })).send().await.expect("an answer");
    for line in [
        "a fault is added id=1 fault=\"status 503\"",
        "a fault is removed id=1",
        "all faults are removed",
        "the clock is moved on millis=1",
    ] {
        program.wait_for_log(line);
    }
}
