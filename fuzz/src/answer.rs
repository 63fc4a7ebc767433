//! Gives the client whatever bytes as the answer to a call.
//!
//! The client must not panic, come back in time, and show its key in no error; it must take no
//! decision from what is none, and lose none that is well-formed.
//!
//! An input is three digits and the rest. The first digit is the form of the rest (see
//! [`script::Script`]), the second the call, the third how the bytes are cut up on their way; 9
//! holds the connection open after them, so that only the deadline ends the call.

use std::error::Error;
use std::time::{Duration, Instant};

use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, Decision, DecisionSource, EsperConfig, EsperError, Guard,
    MitigationRequest, MitigationResponse,
};
use serde::Deserialize;
use tokio::runtime::Runtime;

mod script;

use script::{Known, Script};

use super::server::{Reply, Server};

/// A server that says what an input says, and the runtime in which a client asks it.
pub struct Harness {
    runtime: Runtime,
    server: Server,
}

/// A client of its own for each input, so that none meets the connections of another.
struct Caller {
    client: AsyncEsperClient,
    guard: Guard,
}

impl Harness {
    /// Starts the server, on a free port.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { runtime: runtime.expect("a runtime"), server: Server::start() }
    }

    /// Makes the call that the input chooses, and panics where its outcome is not right.
    pub fn run(&mut self, input: &[u8]) {
        let script = Script::read(input);
        // An answer that ends with its connection never runs into the deadline.
        let deadline = if script.holds { SHORT } else { LONG };
        let caller = Caller::new(&self.server.url(), deadline);
        let Script { piece, holds, .. } = script;
        self.server.say(Reply { bytes: script.bytes.clone(), piece, holds });
        let started = Instant::now();
        self.runtime.block_on(caller.call(&script));
        let took = started.elapsed();
        assert!(took < deadline + SLACK, "it took {took:?}");
    }
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl Caller {
    fn new(url: &str, deadline: Duration) -> Self {
        let config = EsperConfig::new(KEY)
            .with_api_url(url)
            .with_beacon_url(url)
            .with_timeout(deadline)
            .with_attempt_timeout(deadline)
            .with_max_retries(0);
        let client = AsyncEsperClient::new(config).expect("a client");
        let guard = Guard::new(client.clone()).with_deadline(deadline);
        Self { client, guard }
    }

    async fn call(&self, script: &Script<'_>) {
        let request = MitigationRequest::new("192.168.1.1");
        match script.call {
            0 => {
                let result = self.client.check_mitigation(&request).await;
                look(&result, script);
                judge_decision(&result, script);
            }
            1 => {
                let result = self.client.verify_challenge("token", "1").await;
                look(&result, script);
                judge_verification(&result, script);
            }
            2 => {
                let result = self.client.send_beacon_event(&BeaconEvent::new("x")).await;
                look(&result, script);
                judge_event(&result, script);
            }
            3 => look(&self.client.get_usage().await, script),
            _ => judge_fallback(&self.guard.decide(&request).await, script),
        }
    }
}

/// What holds of every result.
fn look<T>(result: &Result<T, EsperError>, script: &Script<'_>) {
    let Err(error) = result else { return };
    show(error);
    if script.holds {
        return;
    }
    assert!(!error.is_timeout(), "the connection was closed, and it went on waiting");
    let Known::Head { status, retry_after } = script.known else { return };
    assert_eq!(error.status().map(|known| known.as_u16()), Some(status), "{error:?}");
    if status >= 300 {
        assert!(matches!(error, EsperError::Api { .. }), "{error:?}");
        if let Some(seconds) = retry_after {
            assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)), "{error:?}");
        }
    }
}

/// An error can be shown: it is short, and without the key.
fn show(error: &EsperError) {
    let said = error.to_string();
    assert!(said.len() < LONGEST_TEXT, "{} bytes", said.len());
    let mut all = format!("{said} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        all += &cause.to_string();
        source = cause.source();
    }
    assert!(!all.contains(KEY), "{all}");
    assert!(all.len() < LONGEST_DEBUG, "{} bytes", all.len());
}

fn judge_decision(result: &Result<MitigationResponse, EsperError>, script: &Script<'_>) {
    match (result, script.known) {
        (Ok(response), Known::Body(body)) => follows(response, body),
        (Err(error), Known::Body(body)) if !script.holds => {
            assert!(plain_decision(body).is_none(), "a decision was refused: {error:?}");
            assert!(matches!(error, EsperError::Decode { .. }), "{error:?}");
        }
        (Ok(_), Known::Head { status, .. }) => assert_eq!(status, 200),
        _ => {}
    }
}

fn judge_fallback(decision: &Decision, script: &Script<'_>) {
    decision.error().into_iter().for_each(show);
    match (decision.source, script.known) {
        (DecisionSource::Service, Known::Body(body)) => {
            follows(decision.response().expect("its own words"), body);
        }
        (DecisionSource::Service, Known::Head { status, .. }) => assert_eq!(status, 200),
        (_, Known::Body(body)) if !script.holds => {
            assert!(plain_decision(body).is_none(), "a decision was refused: {decision:?}");
        }
        _ => {}
    }
}

fn judge_verification(result: &Result<bool, EsperError>, script: &Script<'_>) {
    #[derive(Deserialize)]
    struct Verification {
        valid: bool,
    }
    let Known::Body(body) = script.known else { return };
    let expected = serde_json::from_slice::<Verification>(body).ok().map(|body| body.valid);
    match result {
        Ok(valid) => assert_eq!(Some(*valid), expected),
        Err(error) => assert!(script.holds || expected.is_none(), "{error:?}"),
    }
}

fn judge_event(result: &Result<(), EsperError>, script: &Script<'_>) {
    let taken = match script.known {
        Known::Body(_) => true,
        Known::Head { status, .. } => (200..300).contains(&status),
        Known::Nothing => return,
    };
    // An answer that was not heard in time is no proof of the contrary.
    assert!(result.is_ok() == taken || script.holds && taken, "{result:?}");
}

/// A decision is the one in the body.
fn follows(response: &MitigationResponse, body: &[u8]) {
    #[derive(Deserialize)]
    struct Decided {
        action: String,
    }
    let decided = serde_json::from_slice::<Decided>(body).expect("a decision, from what is none");
    assert_eq!(response.action.to_string(), decided.action);
    if let Some(plain) = plain_decision(body) {
        assert_eq!(response.reason, plain.reason);
    }
}

/// A decision that nobody may refuse.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainDecision {
    action: String,
    reason: Option<String>,
}

fn plain_decision(body: &[u8]) -> Option<PlainDecision> {
    let plain: PlainDecision = serde_json::from_slice(body).ok()?;
    ["allow", "challenge", "block"].contains(&plain.action.as_str()).then_some(plain)
}

/// Long enough to be found wherever it leaks; the dictionary has it, so that answers hold it too.
const KEY: &str = "sk_fuzz_0123456789abcdef";
const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(20);
/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(5);
/// The longest text of an error, in bytes.
const LONGEST_TEXT: usize = 2 * 1024;
/// The longest that an error and its causes may be as `Debug` output, in bytes.
const LONGEST_DEBUG: usize = 64 * 1024;
