//! The program: what it prints, how it ends, and how it refuses.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use esper_sandbox::{STARTER_POLICIES, Sandbox};
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
    /// The lines of its log.
    log: mpsc::Receiver<String>,
    /// Those that were looked at.
    read: String,
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

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
    }

    /// Waits until a line of the log has a text in it.
    fn wait_for_log(&mut self, text: &str) {
        loop {
            let line = self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {text:?}"));
            self.read += &format!("{line}\n");
            if line.contains(text) {
                return;
            }
        }
    }

    fn url(&self) -> &str {
        let first = self.greeting.lines().next().expect("a line");
        first.strip_prefix("Esper sandbox listening on ").expect("a url")
    }

    /// The URL of its admin interface.
    fn admin(&self) -> &str {
        let admin = self.greeting.lines().find_map(|line| line.strip_prefix("Admin interface on "));
        admin.and_then(|rest| rest.split(',').next()).expect("an admin interface")
    }

    /// The commands that the program proposes.
    fn curls(&self) -> Vec<&str> {
        self.greeting.lines().map(str::trim).filter(|line| line.starts_with("curl ")).collect()
    }

    /// Ends the program and tells its exit code and its log.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
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

/// The example of the README, from its heading to the end of its block.
fn admin_example() -> &'static str {
    let readme = include_str!("../README.md");
    let section = readme.split("## The admin interface").nth(1).expect("a section");
    let block = section.split("```sh\n").nth(1).expect("an example");
    block.split("```").next().expect("its end")
}

#[test]
fn the_commands_of_the_readme_work() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: there is no curl to try the commands with");
        return;
    }
    let program = Program::start(&mut command(&["--admin", "0"]));
    let script = admin_example().replace("http://127.0.0.1:8788", program.admin());
    let script = format!("set -e\n{}", script.replace("curl ", "curl --fail -w '\\n' "));
    let output = Command::new("sh").args(["-c", &script]).env("NO_PROXY", "*").output();
    let output = output.expect("a shell");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    let said: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(said[..2], [r#"{"id":1}"#, r#"{"id":2}"#]);
    assert!(said[2].contains("the ordinary answer after 2s, for 10 % of the calls"), "{said:?}");
    assert_eq!(said[3..], [r#"{"count":0,"requests":[]}"#, "ok"]);
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
        (&["--admin", "nowhere"], "--admin"),
        (&["--log-format", "xml"], "--log-format"),
        (&["--what"], "--what"),
    ] {
        let said = refusal(&command(args).output().expect("an end"));
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn the_admin_interface_is_offered_where_it_was_asked_for() {
    let program = Program::start(&mut command(&["--admin", "0"]));
    let admin = program.admin();
    assert!(admin.starts_with("http://127.0.0.1:"), "{admin}");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let fault = json!({ "fault": "status", "status": 503 });
    let added = http.post(format!("{admin}/faults")).json(&fault).send().await.expect("an answer");
    assert_eq!(added.status().as_u16(), 201);
    let hit = decide(program.url(), Sandbox::DEFAULT_API_KEY).await;
    assert_eq!(hit.status().as_u16(), 503);
}

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

/// The most memory that a program had so far, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory(program: &Program) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.child.id()));
    let status = status.expect("a status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    peak.and_then(|kib| kib.parse::<usize>().ok()).expect("a peak") * 1024
}

/// A file that is gone with the test.
struct PolicyFile(PathBuf);

impl PolicyFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("program-{}-{name}.toml", std::process::id()));
        fs::write(&path, text).expect("a file");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path")
    }
}

impl Drop for PolicyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn the_starters_are_printed_as_a_file_that_has_no_mistake() {
    let printed = command(&["policies"]).output().expect("an end");
    assert!(printed.status.success());
    assert_eq!(String::from_utf8_lossy(&printed.stdout), STARTER_POLICIES);
    let file = PolicyFile::new("starters", STARTER_POLICIES);
    let checked = command(&["policies", "--check", file.path()]).output().expect("an end");
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(
        String::from_utf8_lossy(&checked.stdout),
        format!("{} has no mistake\n", file.path())
    );
}

#[test]
fn the_schema_of_policies_is_printed() {
    let printed = command(&["policies", "--schema"]).output().expect("an end");
    let schema: Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    assert_eq!(schema["title"], "Policies of the Esper sandbox");
}

/// Unless it was started to outlive its terminal, as these tests may be: by `nohup`.
#[test]
fn a_hangup_ends_it_when_there_is_no_file_to_read_again() {
    let program = Program::start(&mut command(&[]));
    if ignores_hangups() {
        program.signal(Signal::HUP);
        assert_eq!(program.end(Signal::TERM).0, Some(0), "it went on");
    } else {
        assert_eq!(program.end(Signal::HUP).0, None, "ended by the signal");
    }
}

/// Whether what this process starts ignores hangups as well.
fn ignores_hangups() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 << (Signal::HUP.as_raw() - 1) != 0)
}

#[test]
fn a_policy_file_with_a_mistake_is_refused_with_its_line() {
    let file = PolicyFile::new("mistake", "\n[[policy]]\nname = \"p\"\n");
    let expected = format!("esper-sandbox: {}:2:1: missing member `mitigation`\n", file.path());
    for args in [&["--policies", file.path()][..], &["policies", "--check", file.path()]] {
        assert_eq!(refusal(&command(args).output().expect("an end")), expected);
    }
    let missing = command(&["--policies", "/no/such"]).output().expect("an end");
    assert!(refusal(&missing).contains("cannot read the policies in /no/such"));
}

#[tokio::test]
async fn a_hangup_has_it_read_its_policies_again_and_keep_them_if_they_are_bad() {
    let file = PolicyFile::new("hangup", "");
    let mut program = Program::start(&mut command(&["--policies", file.path()]));
    program.signal(Signal::HUP);
    program.wait_for_log("the policies are read again");
    fs::write(&file.0, "policy = 7").expect("a file");
    program.signal(Signal::HUP);
    program.wait_for_log("the policies stay as they were");
    let answer = decide(program.url(), Sandbox::DEFAULT_API_KEY).await;
    assert_eq!(answer.status().as_u16(), 200, "it goes on to serve");
    let (code, log) = program.end(Signal::TERM);
    assert_eq!(code, Some(0));
    assert!(log.contains("hangup.toml:1:10: "), "{log}");
}

#[test]
fn a_policy_file_that_is_too_long_is_refused_for_that_wherever_it_is_cut() {
    for start in ["#", "##"] {
        let text = start.to_owned() + &"é".repeat(128 * 1024);
        let file = PolicyFile::new(&format!("long{}", start.len()), &text);
        for args in [&["--policies", file.path()][..], &["policies", "--check", file.path()]] {
            let said = refusal(&command(args).output().expect("an end"));
            assert!(said.contains("a policy file has 262144 bytes at most"), "{said}");
        }
    }
}

#[test]
fn a_filter_of_the_log_that_cannot_be_read_is_said() {
    let mut program = Program::start(command(&[]).env("RUST_LOG", "esper_sandbox=verbose"));
    program.wait_for_log("RUST_LOG cannot be read");
    program.wait_for_log("listening");
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

#[test]
fn a_key_that_is_refused_is_not_shown() {
    let output = command(&["--api-key", "s\u{e9}cret"]).output().expect("an end");
    assert!(!refusal(&output).contains("cret"));
}
