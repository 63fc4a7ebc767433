//! What the tests talk to: the sandbox, or a server that misbehaves on purpose.

use std::error::Error;
use std::time::Duration;

use esper_rs_client::{AsyncEsperClient, EsperConfig, EsperError, Guard};
use esper_sandbox::Sandbox;

pub(crate) mod child;
pub(crate) mod closed_port;
pub(crate) mod gate;
pub(crate) mod logs;
pub(crate) mod managed_page;
pub(crate) mod paused;
pub(crate) mod raw;
pub(crate) mod thread_log;
pub(crate) mod tls;

pub(crate) use closed_port::ClosedPort;
pub(crate) use gate::Gate;
pub(crate) use managed_page::solve_page;
pub(crate) use raw::{Answer, RawServer};

/// Long enough to be found wherever it leaks.
pub(crate) const KEY: &str = "sk_test_8f14e45fceea167a";

/// What visitors keep secret in the tests: it must be in no line of the log.
pub(crate) const CANARY: &str = "canary_4d1cb7e09a";

/// How much later than its limit something may end on a busy machine.
pub(crate) const SLACK: Duration = Duration::from_secs(1);

/// A configuration that sends everything to one address, with waits that tests can afford.
pub(crate) fn config(url: &str) -> EsperConfig {
    logs::watch();
    EsperConfig::new(KEY)
        .with_api_url(url)
        .with_beacon_url(url)
        .with_timeout(Duration::from_secs(5))
        .with_retry_delay(Duration::from_millis(10))
}

pub(crate) fn client(url: &str) -> AsyncEsperClient {
    AsyncEsperClient::new(config(url)).expect("a client")
}

/// A guard with so much time that no test misses a decision by being slow.
pub(crate) fn guard(url: &str) -> Guard {
    patient(client(url))
}

/// A guard of this client, with as much time.
pub(crate) fn patient(client: AsyncEsperClient) -> Guard {
    Guard::new(client).with_deadline(Duration::from_secs(8))
}

pub(crate) async fn sandbox() -> Sandbox {
    let started = Sandbox::builder().api_key(KEY).challenge_difficulty(8).start().await;
    started.expect("a sandbox")
}

/// All that an error prints, with its sources.
pub(crate) fn everything(error: &EsperError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(" {error} {error:?}");
        source = error.source();
    }
    text
}

/// So many calls have an end each, and made so many requests.
pub(crate) fn assert_settled(client: &AsyncEsperClient, calls: u64, requests: usize) {
    let stats = client.stats();
    let ended = stats.succeeded + stats.failed + stats.cancelled;
    assert_eq!((stats.calls, ended, stats.attempts), (calls, calls, requests as u64), "{stats:?}");
}
