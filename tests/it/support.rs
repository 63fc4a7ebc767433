//! What the tests talk to: the sandbox, or a server that misbehaves on purpose.

use std::time::Duration;

use esper_rs_client::{AsyncEsperClient, EsperConfig};
use esper_sandbox::Sandbox;

pub(crate) mod child;
pub(crate) mod logs;
pub(crate) mod paused;
pub(crate) mod raw;
pub(crate) mod thread_log;
pub(crate) mod tls;

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

pub(crate) async fn sandbox() -> Sandbox {
    let started = Sandbox::builder().api_key(KEY).challenge_difficulty(8).start().await;
    started.expect("a sandbox")
}
