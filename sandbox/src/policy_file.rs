//! Read policies from a text, and refuse one with a mistake.

mod action;
mod compile;
mod condition;
mod error;
mod file;
mod order;
mod pattern;
mod source;
mod watch;

use std::io;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;

use schemars::schema_for;

use self::compile::compile;
use self::error::Mistake;
pub use self::error::PolicyError;
use self::file::PolicyFile;
pub(crate) use self::source::{Content, PolicySource};
pub(crate) use self::watch::watch;
use crate::engine::policy::PolicySet;

impl PolicySet {
    /// Reads a policy file's text.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let read = || {
            if text.len() > LONGEST {
                let why = format!("a policy file has {LONGEST} bytes at most");
                return Err(Mistake::new(0..0, why));
            }
            let file: PolicyFile = toml::from_str(text)?;
            compile(&file)
        };
        // A condition in a condition in a condition takes more stack than the caller may have left.
        let policies = thread::scope(|scope| {
            match thread::Builder::new().stack_size(STACK).spawn_scoped(scope, read) {
                Ok(reader) => reader.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(_) => read(),
            }
        });
        policies.map_err(|mistake| PolicyError::locate(mistake, text))
    }
}

/// The policies of a sandbox that was given none, as a file to edit.
pub const STARTER_POLICIES: &str = include_str!("../policies/starters.toml");

/// The JSON Schema of a policy file, for editors.
///
/// It describes members and their types. Some mistakes, such as a bad regular expression or an
/// entity that is not defined, only [`check_policies`] finds.
#[must_use]
pub fn policy_schema() -> String {
    let schema = schema_for!(PolicyFile);
    // A schema is made of JSON alone, so it can be written.
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}

/// Checks the text of a policy file without starting a sandbox.
///
/// # Errors
///
/// Fails with the first mistake and its place.
///
/// ```
/// let error = esper_sandbox::check_policies("[[policy]]\nname = 7").unwrap_err();
/// assert_eq!(error.line(), 2);
/// ```
pub fn check_policies(text: &str) -> Result<(), PolicyError> {
    PolicySet::parse(text).map(drop)
}

/// Checks a policy file without starting a sandbox.
///
/// # Errors
///
/// Fails when the file cannot be read, and with its first mistake as `FILE:LINE:COLUMN: what is
/// wrong`.
pub fn check_policy_file(path: impl Into<PathBuf>) -> io::Result<()> {
    PolicySource::File(path.into()).read(&mut None).map(drop)
}

/// The most bytes of a policy file.
pub(crate) const LONGEST: usize = 256 * 1024;
/// Bytes of stack for a file that is nested as deep as toml reads it; a debug build needs 2 MB.
const STACK: usize = 8 * 1024 * 1024;
