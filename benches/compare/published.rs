//! The published client of the family, in a Python of its own, where there is one.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::concurrent::{Concurrency, Seen};
use super::sequential::{Cost, Turns};
use super::server::{Protocol, Server};
use crate::support::process::Process;
use crate::support::{KEY, Outcome};

/// A process that makes calls by the published client. It ends with this.
pub(crate) struct Published {
    process: Process,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    turns: Turns,
    /// What was installed, for the record.
    pub(crate) versions: String,
}

impl Published {
    /// Installs it into a virtual environment under the target folder, and starts it.
    ///
    /// # Errors
    ///
    /// Fails where there is no Python 3 with venv and pip, or where they cannot get the package.
    pub(crate) fn start(server: &Server) -> Outcome<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("published");
        let python = folder.join("bin/python");
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", PACKAGE]))?;
        let said = run(Command::new(&python).args(["-c", VERSIONS]))?;
        let versions = String::from_utf8(said)?.trim().to_owned();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/published.py");
        let mut command = Command::new(&python);
        command.args([script, &server.url(Protocol::Http1), KEY]).stdin(Stdio::piped());
        // A proxy of the environment is not on the way to this machine.
        let (mut process, output) = Process::start(command.env("NO_PROXY", "127.0.0.1"))?;
        let commands = process.input()?;
        let mut answers = output.lines();
        answers.next().ok_or("it did not start")??;
        Ok(Self { process, commands, answers, turns: Turns::default(), versions })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// A turn that counts, unless it `warms` up.
    pub(crate) fn turn(&mut self, warms: bool) -> Outcome<()> {
        let [wall, cpu] = self.ask(&format!("decide {DECISIONS}"))?;
        let [event, _] = self.ask(&format!("tell {EVENTS}"))?;
        if !warms {
            self.turns.decided(wall, cpu, DECISIONS);
            self.turns.told(event, EVENTS);
        }
        Ok(())
    }

    pub(crate) fn cost(&mut self) -> Cost {
        std::mem::take(&mut self.turns).cost(None)
    }

    /// Over HTTP/1, as it speaks nothing else, and with fewer calls: it takes milliseconds for one.
    pub(crate) fn run(&mut self, concurrency: Concurrency) -> Outcome<Seen> {
        let calls = CALLS / concurrency.callers;
        let [elapsed, p99] = self.ask(&format!("run {} {calls}", concurrency.callers))?;
        let all = (concurrency.callers * calls) as f64;
        Ok(Seen { per_second: all / elapsed.as_secs_f64(), p99: p99.as_secs_f64(), connections: 0 })
    }

    fn ask(&mut self, command: &str) -> Outcome<[Duration; 2]> {
        writeln!(self.commands, "{command}")?;
        let answer = self.answers.next().ok_or("the published client has ended")??;
        let (first, second) = answer.split_once(' ').ok_or("it did not answer two numbers")?;
        Ok([Duration::from_secs_f64(first.parse()?), Duration::from_secs_f64(second.parse()?)])
    }
}

fn run(command: &mut Command) -> Outcome<Vec<u8>> {
    let output = command.output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into())
    }
}

const PACKAGE: &str = "esper-py-client==0.1.0";
const VERSIONS: &str = "import platform; from importlib.metadata import version
names = ['esper-py-client', 'httpx', 'pydantic']
print('Python', platform.python_version() + ',', ', '.join(f'{n} {version(n)}' for n in names))";
const DECISIONS: u32 = 40;
const EVENTS: u32 = 2;
const CALLS: usize = 512;
