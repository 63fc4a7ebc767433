//! The options of the program.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use esper_sandbox::{Console, Sandbox, SandboxBuilder};

/// A local Esper that really learns, for tests, examples and the desk.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
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

    /// Seconds until a challenge, and the proof that it was passed, expire
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    challenge_lifetime: u64,

    /// Where there is a console, the page at / that shows what happens
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = ConsoleChoice::Loopback)]
    console: ConsoleChoice,
}

/// The values of `--console`.
#[derive(Clone, Copy, ValueEnum)]
enum ConsoleChoice {
    /// Where it listens on a loopback address
    Loopback,
    /// On any address, for everybody who can reach it
    Always,
    /// Nowhere
    Never,
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

    pub(crate) fn builder(self) -> SandboxBuilder {
        let builder = Sandbox::builder().listen(self.listen);
        let builder = self.api_keys.into_iter().fold(builder, SandboxBuilder::api_key);
        let builder = builder.challenge_lifetime(Duration::from_secs(self.challenge_lifetime));
        let builder = self.return_hosts.into_iter().fold(builder, SandboxBuilder::return_host);
        let builder = builder.console(self.console.into());
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

impl From<ConsoleChoice> for Console {
    fn from(choice: ConsoleChoice) -> Self {
        match choice {
            ConsoleChoice::Loopback => Self::OnLoopback,
            ConsoleChoice::Always => Self::Always,
            ConsoleChoice::Never => Self::Never,
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
