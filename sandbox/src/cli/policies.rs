//! `esper-sandbox policies`: what can be done with policies without serving.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use esper_sandbox::{STARTER_POLICIES, check_policies, policy_schema};

/// What to do about policies.
#[derive(Args)]
pub(crate) struct PoliciesCommand {
    /// Check a file, and tell the place of its first mistake
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,

    /// Print the JSON Schema of such files, for editors
    #[arg(long, conflicts_with = "check")]
    schema: bool,
}

impl PoliciesCommand {
    pub(crate) fn run(&self) -> io::Result<()> {
        match &self.check {
            Some(file) => check(file),
            None if self.schema => print(&format!("{}\n", policy_schema())),
            None => print(STARTER_POLICIES),
        }
    }
}

fn check(file: &Path) -> io::Result<()> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let why = format!("cannot read the policies in {}: {error}", file.display());
        io::Error::new(error.kind(), why)
    })?;
    match check_policies(&text) {
        Ok(()) => print(&format!("{} has no mistake\n", file.display())),
        Err(error) => {
            let why = format!("{}:{error}", file.display());
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
    }
}

fn print(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}
