//! The options of the program.

mod policies;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum, value_parser};
use esper_sandbox::{Console, Sandbox, SandboxBuilder};

use self::policies::PoliciesCommand;

/// A local Esper that really learns, for tests, examples and development.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Address, or port of the loopback address, to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787", value_parser = address)]
    listen: SocketAddr,

    /// Key to accept, repeatable; without one those in ESPER_SANDBOX_API_KEYS (separated by
    /// commas), and without those a development key
    #[arg(long = "api-key", value_name = "KEY")]
    api_keys: Vec<String>,

    /// Leading zero bits of a proof of work, where the policy says none; 32 at most
    #[arg(
        long,
        value_name = "BITS",
        default_value_t = 16,
        value_parser = value_parser!(u8).range(..=32)
    )]
    challenge_difficulty: u8,

    /// Requests that each key may send in a minute, without limit if left out
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u32>,

    /// Where a visitor's browser finds the sandbox, if not at the address that it listens on
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// Host other than this machine that a managed challenge may send visitors back to, repeatable
    #[arg(long = "return-host", value_name = "HOST")]
    return_hosts: Vec<String>,

    /// File with policies to apply instead of the starters, and again whenever it changes
    #[arg(long, value_name = "FILE")]
    policies: Option<PathBuf>,

    /// Seconds until a challenge, and the proof that it was passed, expire
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    challenge_lifetime: u64,

    /// Where there is a console, the page at / that shows what happens
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = ConsoleChoice::Loopback)]
    console: ConsoleChoice,

    /// Address, or port of the loopback address, of the admin interface, which asks for no key;
    /// none if left out
    #[arg(long, value_name = "ADDR", value_parser = address)]
    admin: Option<SocketAddr>,

    /// How the log is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
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

/// How a line of the log looks.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
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

    #[cfg(unix)]
    pub(crate) fn has_policy_file(&self) -> bool {
        self.policies.is_some()
    }

    pub(crate) fn builder(self) -> SandboxBuilder {
        let lifetime = Duration::from_secs(self.challenge_lifetime);
        let mut builder = Sandbox::builder()
            .listen(self.listen)
            .challenge_difficulty(self.challenge_difficulty)
            .challenge_lifetime(lifetime)
            .console(self.console.into());
        for key in self.api_keys {
            builder = builder.api_key(key);
        }
        for host in self.return_hosts {
            builder = builder.return_host(host);
        }
        if let Some(addr) = self.admin {
            builder = builder.admin(addr);
        }
        if let Some(path) = self.policies {
            builder = builder.policies_file(path);
        }
        if let Some(url) = self.public_url {
            builder = builder.public_url(url);
        }
        if let Some(requests) = self.requests_per_minute {
            builder = builder.requests_per_minute(requests);
        }
        builder
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

/// An address, of which the loopback one may be left out.
fn address(text: &str) -> Result<SocketAddr, String> {
    let loopback = |port: u16| (Ipv4Addr::LOCALHOST, port).into();
    let addr = text.parse().or_else(|_| text.parse().map(loopback));
    addr.map_err(|_| "neither an address with a port nor a port".to_owned())
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
    fn a_port_alone_is_one_of_the_loopback_address() {
        assert_eq!(address("8788"), Ok((Ipv4Addr::LOCALHOST, 8788).into()));
        for whole in ["0.0.0.0:8788", "[::1]:8788"] {
            assert_eq!(address(whole).expect(whole).to_string(), whole);
        }
        for bad in ["", "localhost", ":8788", "65536", "127.0.0.1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_of_the_environment_are_separated_by_commas() {
        assert_eq!(split("one, two"), ["one", "two"]);
        assert_eq!(split(" "), [""; 0]);
        assert_eq!(split("one,"), ["one", ""]);
    }
}
