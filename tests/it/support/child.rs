//! A test in a process of its own, for what a process has only once: its environment.

use std::env;
use std::process::{Command, Output, Stdio};

/// The variables by which an environment has proxies, and names whom they are not for.
pub(crate) const PROXIES: [&str; 8] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// Whether this process was made by [`run`].
pub(crate) fn is_one() -> bool {
    env::var_os(MARK).is_some()
}

/// Runs one test of this binary again, with these variables.
pub(crate) fn run(test: &str, variables: &[(&str, &str)]) {
    assert_passed(&output(test, variables));
}

/// Runs one test of this binary again, where no file beyond so many can be opened.
#[cfg(unix)]
pub(crate) fn run_with_files(test: &str, files: u32) {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
    assert_passed(&outcome(shell.arg(env::current_exe().expect("a binary")), test));
}

/// What one test of this binary prints, whether it passes or not.
pub(crate) fn output(test: &str, variables: &[(&str, &str)]) -> Output {
    let binary = env::current_exe().expect("a binary");
    outcome(Command::new(binary).envs(variables.iter().copied()), test)
}

fn outcome(command: &mut Command, test: &str) -> Output {
    command.args([test, "--exact", "--nocapture"]).env(MARK, "1").stdin(Stdio::null());
    command.output().expect("a process")
}

fn assert_passed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

const MARK: &str = "ESPER_TEST_CHILD";
