//! A program that was started, and what it says.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// More than anything here takes, so that a failure is a failure and no hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esper-sandbox"));
    command.args(args).env_remove("ESPER_SANDBOX_API_KEYS").env_remove("RUST_LOG");
    command
}

/// A program that listens on a free port; killed if a test fails.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) greeting: String,
    /// The rest of standard output, told when it is closed.
    rest: mpsc::Receiver<String>,
    /// The lines of its log.
    log: mpsc::Receiver<String>,
    /// Those that were looked at.
    read: String,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.args(["--listen", "127.0.0.1:0"]);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output"));
        let (lines, greeting) = mpsc::channel();
        let (end, rest) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            while !text.ends_with("Stop it with Ctrl-C.\n") {
                if stdout.read_line(&mut text).is_ok_and(|bytes| bytes == 0) {
                    break;
                }
            }
            let _ = lines.send(text);
            let mut text = String::new();
            let _ = stdout.read_to_string(&mut text);
            let _ = end.send(text);
        });
        let stderr = BufReader::new(child.stderr.take().expect("its log"));
        let (line, log) = mpsc::channel();
        thread::spawn(move || {
            for text in stderr.lines().map_while(Result::ok) {
                let _ = line.send(text);
            }
        });
        let greeting = greeting.recv_timeout(PATIENCE).expect("a greeting");
        Self { child, greeting, rest, log, read: String::new() }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
    }

    /// Waits until a line of the log has a text in it.
    pub(crate) fn wait_for_log(&mut self, text: &str) {
        loop {
            let line = self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {text:?}"));
            self.read += &format!("{line}\n");
            if line.contains(text) {
                return;
            }
        }
    }

    pub(crate) fn url(&self) -> &str {
        let first = self.greeting.lines().next().expect("a line");
        first.strip_prefix("Esper sandbox listening on ").expect("a url")
    }

    /// The URL of its admin interface.
    pub(crate) fn admin(&self) -> &str {
        let admin = self.greeting.lines().find_map(|line| line.strip_prefix("Admin interface on "));
        admin.and_then(|rest| rest.split(',').next()).expect("an admin interface")
    }

    /// The commands that the program proposes.
    pub(crate) fn curls(&self) -> Vec<&str> {
        self.greeting.lines().map(str::trim).filter(|line| line.starts_with("curl ")).collect()
    }

    /// Ends the program and tells its exit code and its log.
    pub(crate) fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        self.signal(signal);
        let rest = self.rest.recv_timeout(PATIENCE).expect("an end");
        assert_eq!(rest, "");
        let status = self.child.wait().expect("a status");
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            self.read += &format!("{line}\n");
        }
        (status.code(), std::mem::take(&mut self.read))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn decide(url: &str, key: &str) -> reqwest::Response {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = http.post(format!("{url}/v1/mitigate")).bearer_auth(key);
    request.json(&json!({ "ip": "203.0.113.7" })).send().await.expect("an answer")
}

/// Asserts that the program refused to start, without a panic, and returns what it said.
pub(crate) fn refusal(output: &Output) -> String {
    assert!(!output.status.success());
    assert!(output.status.code().is_some(), "it was killed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    said
}
