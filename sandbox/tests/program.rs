//! The program: what it prints, how it ends, and how it refuses.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use esper_sandbox::Sandbox;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// More than anything here takes, so that a failure is a failure and no hang.
const PATIENCE: Duration = Duration::from_secs(20);

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esper-sandbox"));
    command.args(args).env_remove("ESPER_SANDBOX_API_KEYS").env_remove("RUST_LOG");
    command
}

/// A program that listens on a free port; killed if a test fails.
struct Program {
    child: Child,
    greeting: String,
    /// The rest of standard output, told when it is closed.
    rest: mpsc::Receiver<String>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
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
        let greeting = greeting.recv_timeout(PATIENCE).expect("a greeting");
        Self { child, greeting, rest }
    }

    fn url(&self) -> &str {
        let first = self.greeting.lines().next().expect("a line");
        first.strip_prefix("Esper sandbox listening on ").expect("a url")
    }

    /// The commands that the program proposes.
    fn curls(&self) -> Vec<&str> {
        self.greeting.lines().map(str::trim).filter(|line| line.starts_with("curl ")).collect()
    }

    /// Ends the program and tells its exit code and its log.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
        let rest = self.rest.recv_timeout(PATIENCE).expect("an end");
        assert_eq!(rest, "");
        let status = self.child.wait().expect("a status");
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("a log");
        stderr.read_to_string(&mut log).expect("a readable log");
        (status.code(), log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn decide(url: &str, key: &str) -> reqwest::Response {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = http.post(format!("{url}/v1/mitigate")).bearer_auth(key);
    request.json(&json!({ "ip": "203.0.113.7" })).send().await.expect("an answer")
}

/// Asserts that the program refused to start, without a panic, and returns what it said.
fn refusal(output: &Output) -> String {
    assert!(!output.status.success());
    assert!(output.status.code().is_some(), "it was killed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[tokio::test]
async fn it_serves_with_the_development_key_until_it_is_terminated() {
    let program = Program::start(&mut command(&[]));
    assert!(program.greeting.contains("development key"), "{}", program.greeting);
    let key = Sandbox::DEFAULT_API_KEY;
    assert!(program.greeting.contains(&format!("ESPER_API_KEY={key}")), "{}", program.greeting);
    let decision: Value = decide(program.url(), key).await.json().await.expect("a decision");
    assert_eq!(decision["action"], "allow");
    assert_eq!(program.end(Signal::TERM).0, Some(0));
}

#[test]
fn it_ends_well_on_ctrl_c() {
    assert_eq!(Program::start(&mut command(&[])).end(Signal::INT).0, Some(0));
}

#[tokio::test]
async fn keys_of_the_user_are_accepted_and_shown_nowhere() {
    let from_options = &mut command(&["--api-key", "secret-one", "--api-key", "secret-two"]);
    let from_environment = &mut command(&[]);
    from_environment.env("ESPER_SANDBOX_API_KEYS", "secret-one, secret-two");
    for command in [from_options, from_environment] {
        let program = Program::start(command.env("RUST_LOG", "esper_sandbox=trace"));
        for (key, status) in
            [("secret-one", 200), ("secret-two", 200), (Sandbox::DEFAULT_API_KEY, 401)]
        {
            assert_eq!(decide(program.url(), key).await.status().as_u16(), status, "{key}");
        }
        assert!(!program.greeting.contains("secret"), "{}", program.greeting);
        let (code, log) = program.end(Signal::TERM);
        assert_eq!(code, Some(0));
        assert!(log.contains("answered") && !log.contains("secret"), "{log}");
    }
}

#[test]
fn the_proposed_commands_work() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: there is no curl to try the commands with");
        return;
    }
    for (command, key) in
        [(&mut command(&[]), "nothing"), (&mut command(&["--api-key", "secret-one"]), "secret-one")]
    {
        let program = Program::start(command);
        let answers: Vec<_> = program
            .curls()
            .into_iter()
            .map(|curl| {
                let mut shell = Command::new("sh");
                let shell = shell.args(["-c", &format!("{curl} --fail")]);
                let output = shell.env("ESPER_API_KEY", key).env("NO_PROXY", "*").output();
                let output = output.expect("a shell");
                assert!(output.status.success(), "{curl}: {output:?}");
                String::from_utf8_lossy(&output.stdout).into_owned()
            })
            .collect();
        assert_eq!(answers, ["{\"action\":\"allow\",\"score\":0.0}\n", "202\n"]);
    }
}

#[test]
fn a_taken_port_is_one_clear_sentence() {
    let sandbox = Sandbox::start_blocking();
    let addr = sandbox.addr().to_string();
    let output = command(&["--listen", &addr]).output().expect("an end");
    let expected = format!(
        "esper-sandbox: {addr} is in use; stop what listens there or choose another address\n"
    );
    assert_eq!(refusal(&output), expected);
}

#[test]
fn bad_arguments_are_refused_by_name() {
    for (args, expected) in [
        (&["--listen", "nowhere"][..], "--listen"),
        (&["--api-key", ""], "an api key is empty"),
        (&["--challenge-difficulty", "33"], "33 bits"),
        (&["--requests-per-minute", "0"], "a rate limit of 0"),
        (&["--what"], "--what"),
    ] {
        let said = refusal(&command(args).output().expect("an end"));
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}

#[test]
fn a_key_that_is_refused_is_not_shown() {
    let output = command(&["--api-key", "s\u{e9}cret"]).output().expect("an end");
    assert!(!refusal(&output).contains("cret"));
}
