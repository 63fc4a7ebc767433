//! `esper-sandbox policies`: what can be done with policies without serving.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Args;
use esper_sandbox::{STARTER_POLICIES, check_policy_file, policy_schema};

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
            Some(file) => {
                check_policy_file(file)?;
                print(&format!("{} has no mistake\n", file.display()))
            }
            None if self.schema => print(&format!("{}\n", policy_schema())),
            None => print(STARTER_POLICIES),
        }
    }
}

fn print(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}
