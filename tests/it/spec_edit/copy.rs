//! A copy of the workspace, to edit and to build.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, thread};

use serde_json::Value;

/// Removed when it is dropped.
pub(super) struct WorkspaceCopy {
    folder: PathBuf,
}

/// How cargo ended, and all that it said.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) success: bool,
    pub(super) text: String,
}

impl WorkspaceCopy {
    /// Copies the workspace into a folder that has the same path in each run: to cargo another
    /// path would be another package, whose build stays in the target folder for good.
    pub(super) fn new(name: &str) -> Self {
        let copy = Self { folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join(name) };
        let _ = fs::remove_dir_all(&copy.folder);
        copy_folder(Path::new(env!("CARGO_MANIFEST_DIR")), &copy.folder);
        for path in ["Cargo.toml", "sandbox/Cargo.toml", "Cargo.lock"] {
            copy.write(path, &with_other_versions(&copy.read(path)));
        }
        copy
    }

    fn read(&self, path: &str) -> String {
        let path = self.folder.join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Builds an example, and runs it.
    pub(super) fn run_example(&self, name: &str, argument: &str) -> Outcome {
        let format = "--message-format=json-render-diagnostics";
        let built = self.build(&["--example", name, format]);
        let messages = built.text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut executables = messages.filter_map(|message: Value| {
            message["executable"]
                .as_str()
                .filter(|_| message["target"]["name"] == name)
                .map(str::to_owned)
        });
        let executable = executables.next().unwrap_or_else(|| panic!("{}", built.text));
        let mut command = Command::new(executable);
        command.arg(argument);
        run(command)
    }

    /// Builds with the selection of `cargo test --workspace --all-features`, so that after it the
    /// dependencies have the same features and are found built.
    pub(super) fn build(&self, arguments: &[&str]) -> Outcome {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--workspace", "--all-features", "--frozen", "--target-dir"]);
        cargo.arg(target()).args(arguments).current_dir(&self.folder);
        // What the outer cargo says of its package is not so of this one. What users say to cargo,
        // such as CARGO_HOME or RUSTFLAGS, is to be heard.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if OF_THE_OUTER_CARGO.iter().any(|beginning| text.starts_with(beginning)) {
                cargo.env_remove(&name);
            }
        }
        // A mistake is to be a sentence even where a panic would bring its backtrace.
        cargo.env("RUST_BACKTRACE", "1").env("CARGO_TERM_COLOR", "never");
        run(cargo)
    }
}

impl Drop for WorkspaceCopy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Gives our packages a version of their own.
///
/// The names of what cargo builds depend on a package's name, its version and its place in the
/// workspace. With the same version, the copy's build would take the place of the tested crate, and
/// the doc tests, which come last, would be built with the edited description.
fn with_other_versions(manifest: &str) -> String {
    let mut ours = false;
    let lines = manifest.lines().map(|line| {
        match line.split_once(" = ") {
            _ if line.starts_with('[') => ours = false,
            Some(("name", name)) => ours = name.starts_with("\"esper-"),
            Some(("version", _)) if ours => return "version = \"0.0.0\"\n".to_owned(),
            _ => {}
        }
        format!("{line}\n")
    });
    lines.collect()
}

/// The target folder of the tests, from which their dependencies are taken.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder")
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (name, path) = (entry.file_name(), entry.path());
        let text = name.to_string_lossy();
        if text.starts_with('.') || LEFT_OUT.contains(&&*text) || path == target() {
            continue;
        }
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).expect("a copy");
        }
    }
}

/// Runs a command to its end, within a limit.
fn run(mut command: Command) -> Outcome {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    command.stdin(Stdio::null()).stdout(writer.try_clone().expect("a pipe")).stderr(writer);
    let mut child = command.spawn().expect("cargo");
    // It holds the writing end, without which the reading end would never end.
    drop(command);
    let (done, end) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let read = reader.read_to_end(&mut text);
        let _ = done.send(read.map(|_| String::from_utf8_lossy(&text).into_owned()));
    });
    let Ok(text) = end.recv_timeout(LIMIT) else {
        let _ = child.kill();
        panic!("cargo did not end within {LIMIT:?}")
    };
    let success = child.wait().expect("an end").success();
    Outcome { success, text: text.expect("what cargo said") }
}

/// Long enough to build all dependencies, as it happens where the features differ.
const LIMIT: Duration = Duration::from_secs(900);

/// Of no use to the build, and large.
const LEFT_OUT: [&str; 4] = ["target", "node_modules", "conformance", "fuzz"];

/// Beginnings of the variables that cargo sets for the tests that it runs.
const OF_THE_OUTER_CARGO: [&str; 5] =
    ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_PRIMARY_", "OUT_DIR"];
