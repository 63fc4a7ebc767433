//! Decides whether and when a request is sent again.

use std::fmt;
use std::time::Duration;

use http::Extensions;
use reqwest::{Request, Response, StatusCode};
use reqwest_middleware::{Error, Middleware, Next, Result};
use tokio::time::{Instant, sleep_until};
use tower::retry::budget::{Budget, TpsBudget};
use tracing::debug;

use super::failure::Failure;
use super::{RequestContext, body, retry_after};
use crate::deadline::in_millis;
use crate::error::may_pass;
use crate::operation::Repeat;

/// The outermost middleware: one call, its attempts and the waits between them.
///
/// The clones of a client share one budget for their retries to a server: beyond a few, there is
/// one for every ten calls, so that an outage is not made worse. A call that is dropped while it
/// waits for its retry does not give it back to the budget: that is fewer requests, never more.
pub(super) struct Retry {
    budget: TpsBudget,
}

/// How often a call was repeated so far.
#[derive(Clone, Copy, Default)]
struct Retries {
    charged: u32,
    free: u32,
}

/// What comes after an attempt.
#[derive(Debug, PartialEq, Eq)]
enum RetryDecision {
    /// Its outcome stands, for this reason.
    Final(&'static str),
    /// Another one after a wait.
    Again(Duration),
    /// Another one now, which the budget is not charged for.
    Free,
}

impl Retry {
    pub(super) fn new() -> Self {
        Self::within(TpsBudget::new(BUDGET_WINDOW, RESERVE_PER_SECOND, RETRIES_PER_CALL))
    }

    pub(super) fn within(budget: TpsBudget) -> Self {
        Self { budget }
    }

    /// Judges an outcome after so many retries.
    fn judge(
        &self,
        outcome: &reqwest::Result<Response>,
        context: &RequestContext,
        retries: Retries,
    ) -> RetryDecision {
        let limits = &context.call.limits;
        let asked = outcome.as_ref().ok().and_then(retry_after::of);
        match may_repeat(outcome, asked, context.operation.repeat) {
            Some(Cost::Free) if retries.free == 0 => return RetryDecision::Free,
            Some(_) => {}
            None => return RetryDecision::Final("no repetition would help, or be safe"),
        }
        if asked > Some(limits.longest_retry_after) {
            return RetryDecision::Final("the service asks to wait too long");
        }
        let Some(wait) = limits.backoff.wait(retries.charged) else {
            return RetryDecision::Final("there is no retry left");
        };
        let wait = wait.max(asked.unwrap_or_default());
        if wait + limits.shortest_attempt() > context.call.left(Instant::now()) {
            // The wait would only delay the bad news, and an attempt without time for its answer
            // could have an effect that nobody hears of.
            return RetryDecision::Final("the deadline is nearer than the next attempt");
        }
        if self.budget.withdraw() {
            RetryDecision::Again(wait)
        } else {
            RetryDecision::Final("the client's retries are used up for now")
        }
    }
}

#[async_trait::async_trait]
impl Middleware for Retry {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let context = extensions.get::<RequestContext>().cloned();
        let context = context.expect("transport.rs puts it there");
        let call = &context.call;
        self.budget.deposit();
        let mut retries = Retries::default();
        loop {
            let started = Instant::now();
            let repetition = copied(&request);
            let timeout = call.limits.attempt(call.left(started), retries.charged);
            *request.timeout_mut() = Some(timeout);
            call.count_attempt();
            let outcome = match next.clone().run(request, extensions).await {
                Ok(answer) => body::read(answer, context.operation.answers_with_json).await,
                Err(Error::Reqwest(error)) => Err(error),
                // Nothing below is a middleware.
                Err(Error::Middleware(error)) => return Err(Error::Middleware(error)),
            };
            // A stream could be sent but once; our bodies are JSON.
            let Some(repetition) = repetition else { return outcome.map_err(Error::Reqwest) };
            let decision = self.judge(&outcome, &context, retries);
            debug!(
                attempt = retries.charged + retries.free + 1,
                outcome = %Summary(&outcome),
                elapsed_ms = in_millis(started.elapsed()),
                next = ?decision,
                "attempt"
            );
            match decision {
                RetryDecision::Final(_) => return outcome.map_err(Error::Reqwest),
                RetryDecision::Again(wait) => {
                    drop(outcome);
                    sleep_until(Instant::now() + wait).await;
                    retries.charged += 1;
                }
                RetryDecision::Free => retries.free += 1,
            }
            request = repetition;
        }
    }
}

/// A request like this one, unless its body is a stream. `Request::try_clone` makes a map for
/// options that this one does not have.
fn copied(request: &Request) -> Option<Request> {
    let mut copy = Request::new(request.method().clone(), request.url().clone());
    copy.headers_mut().clone_from(request.headers());
    if let Some(body) = request.body() {
        *copy.body_mut() = Some(body.as_bytes()?.to_vec().into());
    }
    Some(copy)
}

/// Whether a repetition is charged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cost {
    Free,
    Charged,
}

/// Whether an operation of this class may be repeated after this outcome.
fn may_repeat(
    outcome: &reqwest::Result<Response>,
    asked: Option<Duration>,
    class: Repeat,
) -> Option<Cost> {
    let repeats = match outcome {
        Ok(response) => match (response.status(), class) {
            // A proxy's, and no better than a tunnel that it refuses: the service was not asked.
            (StatusCode::PROXY_AUTHENTICATION_REQUIRED, _) => true,
            (status, Repeat::Always) => may_pass(status),
            (StatusCode::TOO_MANY_REQUESTS, Repeat::Unprocessed) => true,
            (StatusCode::SERVICE_UNAVAILABLE, Repeat::Unprocessed) => asked.is_some(),
            (_, Repeat::Unprocessed) => false,
        },
        Err(error) => match Failure::of(error) {
            Failure::NotProcessed => return Some(Cost::Free),
            Failure::NotConnected => true,
            Failure::UntrustedCertificate => false,
            Failure::Unknown => class == Repeat::Always,
        },
    };
    repeats.then_some(Cost::Charged)
}

/// An outcome in a word, for people who read logs.
struct Summary<'a>(&'a reqwest::Result<Response>);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(response) => write!(f, "{}", response.status().as_u16()),
            Err(error) if error.is_timeout() => f.write_str("timeout"),
            Err(error) => write!(f, "{:?}", Failure::of(error)),
        }
    }
}

/// How long a call lends its share to the budget.
pub(super) const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// Retries that are always there, so that a single call of a quiet client has its own.
const RESERVE_PER_SECOND: u32 = 1;
const RETRIES_PER_CALL: f32 = 0.1;
