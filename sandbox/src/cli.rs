//! The options of the program.

mod policies;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use esper_sandbox::{Sandbox, SandboxBuilder};

use self::policies::PoliciesCommand;

/// A local Esper that really learns, for tests, examples and the desk.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,

    /// Key to accept, repeatable; without one those in ESPER_SANDBOX_API_KEYS (separated by
    /// commas), and without those a development key
    #[arg(long = "api-key", value_name = "KEY")]
    api_keys: Vec<String>,

    /// Leading zero bits of a proof of work
    #[arg(long, value_name = "BITS")]
    challenge_difficulty: Option<u8>,

    /// Requests that each key may send in a minute, without limit if left out
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u32>,

    /// Where a visitor's browser finds the sandbox, if not at the address that it listens on
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// Host beside this machine that a managed challenge may send visitors back to, repeatable
    #[arg(long = "return-host", value_name = "HOST")]
    return_hosts: Vec<String>,

    /// File with policies to apply instead of the starters, and again whenever it changes
    #[arg(long, value_name = "FILE")]
    policies: Option<PathBuf>,

    /// Seconds until a challenge, and the proof that it was passed, expire
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    challenge_lifetime: u64,
}

/// What it does instead of serving.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the starters as a file of policies to edit, or check such a file
    Policies(PoliciesCommand),
}

impl Cli {
    /// Reads the options, with the keys of the environment if no others are given.
    pub(crate) fn read() -> Self {
        let mut cli = Self::parse();
        if cli.api_keys.is_empty() {
            // A value that is not Unicode is no key; the builder says so, for a `\u{fffd}`.
            let keys = std::env::var_os("ESPER_SANDBOX_API_KEYS").unwrap_or_default();
            cli.api_keys = split(&keys.to_string_lossy());
        }
        cli
    }

    pub(crate) fn has_keys(&self) -> bool {
        !self.api_keys.is_empty()
    }

    pub(crate) fn has_policy_file(&self) -> bool {
        self.policies.is_some()
    }

    pub(crate) fn builder(self) -> SandboxBuilder {
        let builder = Sandbox::builder().listen(self.listen);
        let builder = self.api_keys.into_iter().fold(builder, SandboxBuilder::api_key);
        let builder = builder.challenge_lifetime(Duration::from_secs(self.challenge_lifetime));
        let builder = self.return_hosts.into_iter().fold(builder, SandboxBuilder::return_host);
        let builder = match self.policies {
            Some(path) => builder.policies_file(path),
            None => builder,
        };
        let builder = match self.public_url {
            Some(url) => builder.public_url(url),
            None => builder,
        };
        let builder = match self.challenge_difficulty {
            Some(bits) => builder.challenge_difficulty(bits),
            None => builder,
        };
        match self.requests_per_minute {
            Some(requests) => builder.requests_per_minute(requests),
            None => builder,
        }
    }
}

/// A variable that is set to nothing is not set; an empty key between commas is a mistake.
fn split(keys: &str) -> Vec<String> {
    match keys.trim() {
        "" => Vec::new(),
        keys => keys.split(',').map(|key| key.trim().to_owned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_options_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn keys_of_the_environment_are_separated_by_commas() {
        assert_eq!(split("one, two"), ["one", "two"]);
        assert_eq!(split(" "), [""; 0]);
        assert_eq!(split("one,"), ["one", ""]);
    }
}
