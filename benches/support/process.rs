//! A process beside the one that measures.

use std::env;
use std::io::BufReader;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Outcome;

/// A process that ends with this.
pub(crate) struct Process(Child);

impl Process {
    /// Starts the program that runs now once more, with these arguments; gives what it says.
    pub(crate) fn again(arguments: &[&str]) -> Outcome<(Self, BufReader<ChildStdout>)> {
        Self::start(Command::new(env::current_exe()?).args(arguments))
    }

    /// Starts a program; gives what it says.
    pub(crate) fn start(command: &mut Command) -> Outcome<(Self, BufReader<ChildStdout>)> {
        let mut process = Self(command.stdout(Stdio::piped()).spawn()?);
        let output = process.0.stdout.take().ok_or("the process has no output")?;
        Ok((process, BufReader::new(output)))
    }

    /// What is written here is its input, where its command has a pipe for that.
    pub(crate) fn input(&mut self) -> Outcome<ChildStdin> {
        Ok(self.0.stdin.take().ok_or("the process has no input")?)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Where it is gone already, there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
