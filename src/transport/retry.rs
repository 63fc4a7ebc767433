//! Decides whether and when a request is sent again.

use std::time::Duration;

use http::Extensions;
use reqwest::{Request, Response, StatusCode};
use reqwest_middleware::{Error, Middleware, Next, Result};
use reqwest_retry::{Retryable, default_on_request_failure};
use tokio::time::{Instant, sleep_until};

use super::backoff::{Backoff, CAP};
use super::{Passing, retry_after};
use crate::call::is_certificate_rejected;
use crate::error::may_pass;
use crate::operation::Repeat;

/// The outermost middleware: one call, its attempts and the waits between them.
pub(super) struct Retry {
    attempt_timeout: Duration,
    backoff: Backoff,
}

impl Retry {
    pub(super) fn new(attempt_timeout: Duration, backoff: Backoff) -> Self {
        Self { attempt_timeout, backoff }
    }

    /// When to try again after an outcome, or nothing where the outcome stands.
    fn next_attempt(
        &self,
        outcome: &Result<Response>,
        passing: &Passing,
        past: u32,
    ) -> Option<Instant> {
        let asked = match outcome {
            Ok(response) => retry_after::of(response),
            Err(_) => None,
        };
        if !may_repeat(outcome, asked, passing.operation.repeat) || asked > Some(CAP) {
            return None;
        }
        let wait = self.backoff.wait(past)?.max(asked.unwrap_or_default());
        let next = Instant::now().checked_add(wait)?;
        // A wait past the deadline would only delay the bad news.
        (next < passing.call.deadline).then_some(next)
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
        let passing = extensions.get::<Passing>().cloned();
        let passing = passing.expect("transport.rs puts it there");
        for past in 0.. {
            let left = passing.call.deadline.saturating_duration_since(Instant::now());
            *request.timeout_mut() = Some(self.attempt_timeout.min(left));
            let again = request.try_clone();
            passing.call.count_attempt();
            let outcome = next.clone().run(request, extensions).await;
            let Some(at) = self.next_attempt(&outcome, &passing, past) else { return outcome };
            // A body that cannot be cloned, a stream, can be sent but once; ours are JSON.
            let Some(clone) = again else { return outcome };
            drop(outcome);
            sleep_until(at).await;
            request = clone;
        }
        unreachable!("the backoff ends before its counter does")
    }
}

/// Whether an operation of this class may be repeated after this outcome.
fn may_repeat(outcome: &Result<Response>, asked: Option<Duration>, class: Repeat) -> bool {
    match (outcome, class) {
        (Ok(response), Repeat::Always) => may_pass(response.status()),
        (Ok(response), Repeat::Unprocessed) => match response.status() {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::SERVICE_UNAVAILABLE => asked.is_some(),
            _ => false,
        },
        (Err(Error::Reqwest(error)), _) if is_certificate_rejected(error) => false,
        (Err(Error::Reqwest(error)), _) if error.is_connect() => true,
        (Err(_), Repeat::Unprocessed) => false,
        (Err(Error::Reqwest(error)), _) if error.is_body() || error.is_decode() => true,
        (Err(error), Repeat::Always) => {
            matches!(default_on_request_failure(error), Some(Retryable::Transient))
        }
    }
}
