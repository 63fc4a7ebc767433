//! A test in a process of its own, for what a process has only once: its environment.

use std::env;
use std::process::{Command, Output, Stdio};

/// Whether this process was made by [`run`].
pub(crate) fn is_one() -> bool {
    env::var_os(MARK).is_some()
}

/// Runs one test of this binary again, with these variables.
pub(crate) fn run(test: &str, variables: &[(&str, &str)]) {
    let output = output(test, variables);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// What one test of this binary prints, whether it passes or not.
pub(crate) fn output(test: &str, variables: &[(&str, &str)]) -> Output {
    let binary = env::current_exe().expect("a binary");
    Command::new(binary)
        .args([test, "--exact", "--nocapture"])
        .env(MARK, "1")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("a process")
}

const MARK: &str = "ESPER_TEST_CHILD";
