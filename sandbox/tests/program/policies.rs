//! Policies in a file: printed, checked, applied and read again.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use esper_sandbox::{STARTER_POLICIES, Sandbox};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::program::{PATIENCE, Program, command, decide, refusal};

/// A file that is gone with the test.
pub(crate) struct PolicyFile(PathBuf);

impl PolicyFile {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("program-{}-{name}.toml", std::process::id()));
        fs::write(&path, text).expect("a file");
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
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

#[tokio::test]
async fn a_hangup_leaves_policies_that_came_through_a_pipe_as_they_were() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    writer.write_all(STARTER_POLICIES.as_bytes()).expect("policies");
    drop(writer);
    let mut program = Program::start(command(&["--policies", "/dev/stdin"]).stdin(reader));
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let event = http.post(format!("{}/v1/events", program.url()));
    let event = event.header("X-Esper-Key", Sandbox::DEFAULT_API_KEY);
    let event = event.json(&json!({ "type": "x", "ip": "203.0.113.7", "path": "/.env" }));
    assert_eq!(event.send().await.expect("an answer").status().as_u16(), 202);

    program.signal(Signal::HUP);
    program.wait_for_log("the policies");
    let decision = decide(program.url(), Sandbox::DEFAULT_API_KEY).await;
    let decision: Value = decision.json().await.expect("a decision");
    assert_eq!(decision["action"], "block");
    let (code, log) = program.end(Signal::TERM);
    assert_eq!(code, Some(0));
    assert!(log.contains("/dev/stdin is no file that can be read again"), "{log}");
}

#[test]
fn it_ends_well_on_ctrl_c_while_it_waits_for_its_policies() {
    let mut waiting = command(&["--policies", "/dev/stdin"]);
    let waiting = waiting.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = waiting.spawn().expect("the program");
    let mut policies = child.stdin.take().expect("its input");
    // More than a pipe holds: once this is written, the program reads.
    policies.write_all(&[b'\n'; 200 * 1024]).expect("blank lines");

    let pid = Pid::from_child(&child);
    let (end, ended) = mpsc::channel();
    thread::spawn(move || end.send(child.wait()));
    kill_process(pid, Signal::INT).expect("a signal");
    let status = ended.recv_timeout(PATIENCE).inspect_err(|_| {
        let _ = kill_process(pid, Signal::KILL);
    });
    assert_eq!(status.expect("an end").expect("a status").code(), Some(0));
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
