//! The sandbox as a program.

mod cli;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use esper_sandbox::Sandbox;
use tokio::task::spawn_blocking;
use tracing::warn;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::{Cli, Command, LogFormat};

fn main() -> ExitCode {
    let cli = Cli::read();
    log_to_stderr(cli.log_format);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If even standard error is closed, the exit code has to say it all.
            let _ = writeln!(io::stderr(), "esper-sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Logs what happens, and more or less of it as `RUST_LOG` says (`esper_sandbox=debug`).
fn log_to_stderr(format: LogFormat) {
    let wanted = std::env::var("RUST_LOG").ok().filter(|targets| !targets.is_empty());
    let wanted = wanted.map(|targets| targets.parse()).transpose();
    let targets = match &wanted {
        Ok(Some(targets)) => Targets::clone(targets),
        Ok(None) | Err(_) => Targets::new().with_target("esper_sandbox", LevelFilter::INFO),
    };
    let colours = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(colours);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(lines).with(targets).init();
    if let Err(error) = wanted {
        warn!(%error, "RUST_LOG cannot be read; write it as esper_sandbox=debug");
    }
}

fn run(cli: Cli) -> io::Result<()> {
    match &cli.command {
        Some(Command::Policies(command)) => command.run(),
        None => serve(cli),
    }
}

fn serve(cli: Cli) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        // From here on a signal is heard, so that it cannot come between start and stop.
        let mut signals = Signals::listen(&cli)?;
        let has_keys = cli.has_keys();
        // On another thread, since policies may come through a pipe that nobody writes to.
        let mut starting = spawn_blocking(|| cli.builder().start_blocking());
        let sandbox = loop {
            tokio::select! {
                started = &mut starting => break started??,
                signal = signals.next() => {
                    if let SignalEvent::End = signal {
                        return Ok(());
                    }
                }
            }
        };
        // Whoever does not read the greeting can still use the sandbox.
        let _ = io::stdout().write_all(greeting(&sandbox, has_keys).as_bytes());
        while let SignalEvent::ReadAgain = signals.next().await {
            if let Err(error) = sandbox.reload_policies() {
                warn!(%error, "the policies stay as they were");
            }
        }
        sandbox.stop().await;
        Ok(())
    });
    // A start that still waits is not waited for.
    runtime.shutdown_background();
    served
}

/// Where the sandbox is and how to call it. A key of the user's is not shown.
fn greeting(sandbox: &Sandbox, has_keys: bool) -> String {
    let url = sandbox.url();
    let (key, keys) = if has_keys {
        ("$ESPER_API_KEY", "The keys are those that you gave. Set ESPER_API_KEY to one of them.")
    } else {
        let keys = "No key was given, so it accepts the development key.\n\
                    Give others with --api-key or ESPER_SANDBOX_API_KEYS.";
        (sandbox.api_key(), keys)
    };
    let console = match sandbox.console_url() {
        Some(url) => format!("Watch it in a browser: {url}\n"),
        None => String::new(),
    };
    let admin = match sandbox.admin_url() {
        Some(admin) => format!("Admin interface on {admin}, for whoever reaches it\n"),
        None => String::new(),
    };
    let set_key = if has_keys { String::new() } else { format!("  export ESPER_API_KEY={key}\n") };
    format!(
        r#"Esper sandbox listening on {url}
{console}{admin}{keys}

Point the SDK here:

{set_key}  export ESPER_API_URL={url}
  export ESPER_BEACON_URL={url}

Ask for a decision:

  curl -sS -w '\n' {url}/v1/mitigate -H "Authorization: Bearer {key}" -H "Content-Type: application/json" -d '{{"ip":"203.0.113.7","user_agent":"demo"}}'

Send a beacon event (more than 60 in 10 s, and the decision is to challenge):

  curl -sS -w '%{{http_code}}\n' {url}/v1/events -H "X-Esper-Key: {key}" -H "Content-Type: application/json" -d '{{"type":"http_request","ip":"203.0.113.7","user_agent":"demo"}}'

Stop it with Ctrl-C.
"#
    )
}

/// What a signal asks for.
enum SignalEvent {
    End,
    #[cfg_attr(windows, expect(dead_code, reason = "it has no such signal"))]
    ReadAgain,
}

/// The signals that end the program in good order, or have it read its policies again.
#[cfg(unix)]
struct Signals {
    /// Without a file to read again, a hangup ends the program as any other.
    hangup: Option<tokio::signal::unix::Signal>,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen(cli: &Cli) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            hangup: cli.has_policy_file().then(|| signal(SignalKind::hangup())).transpose()?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> SignalEvent {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => SignalEvent::End,
            _ = self.terminate.recv() => SignalEvent::End,
            _ = hangup => SignalEvent::ReadAgain,
        }
    }
}

/// The signal that ends the program in good order.
#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn listen(_: &Cli) -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> SignalEvent {
        self.0.recv().await;
        SignalEvent::End
    }
}
