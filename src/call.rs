//! One call: it begins with a deadline and ends with a value or an [`EsperError`].

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use progenitor_client::{Error, ResponseValue};
use reqwest::StatusCode;
use tokio::time::Instant;

use crate::EsperError;
use crate::answer::{self, Effort};
use crate::generated::Client;
use crate::metrics;
use crate::operation::Operation;
use crate::transport::failure::{self, Failure};
use crate::transport::{Patience, Transport};

/// What the generated client carries through a call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) transport: Arc<Transport>,
    pub(crate) patience: Patience,
    started: Instant,
    deadline: Instant,
    /// Requests that were handed to the network so far.
    attempts: AtomicU32,
    /// Noted when its first request is sent.
    operation: OnceLock<&'static Operation>,
    /// Status of the last answer, noted before its body is read; 0 before there is one.
    status: AtomicU16,
}

impl Call {
    /// The time until the call is over.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub(crate) fn note_operation(&self, operation: &'static Operation) {
        // A call has but one.
        let _ = self.operation.set(operation);
    }

    pub(crate) fn count_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.transport.counters().attempts.add_one();
    }

    pub(crate) fn note_status(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }
}

/// A call under way.
pub(crate) struct Calling {
    call: Arc<Call>,
    api: Client,
    ended: AtomicBool,
}

impl Calling {
    /// Starts a call with the limits of the client.
    pub(crate) fn start(transport: &Arc<Transport>) -> Self {
        Self::start_with(transport, transport.patience())
    }

    /// Starts a call with limits of its own.
    pub(crate) fn start_with(transport: &Arc<Transport>, patience: Patience) -> Self {
        let started = Instant::now();
        let call = Arc::new(Call {
            transport: Arc::clone(transport),
            patience,
            started,
            deadline: patience.deadline(started),
            attempts: AtomicU32::new(0),
            operation: OnceLock::new(),
            status: AtomicU16::new(0),
        });
        // The request gets the server of its operation when it is sent.
        let api = Client::new_with_client(ORIGIN, transport.builder(), Arc::clone(&call));
        transport.counters().calls.add_one();
        Self { call, api, ended: AtomicBool::new(false) }
    }

    /// The generated operations.
    pub(crate) fn api(&self) -> &Client {
        &self.api
    }

    /// Turns what the generated client returned into what users get.
    pub(crate) async fn finish<T>(
        &self,
        result: Result<ResponseValue<T>, Error<()>>,
    ) -> Result<T, EsperError> {
        let result = match result {
            Ok(value) => Ok(value.into_inner()),
            Err(error) => Err(self.explain(error).await),
        };
        self.end(result.as_ref().err());
        result
    }

    /// Turns what went wrong into what users get.
    async fn explain(&self, error: Error<()>) -> EsperError {
        let effort = Effort { attempts: self.attempts(), elapsed: self.call.started.elapsed() };
        let key = self.call.transport.key();
        match error {
            Error::UnexpectedResponse(response) => answer::refused(response, effort, key).await,
            Error::InvalidResponsePayload(_, error) => {
                answer::unreadable(self.status(), &answer::describe(&error), effort, key)
            }
            // What `post` in `transport.rs` says of an answer.
            Error::Custom(what) => answer::unreadable(self.status(), &what, effort, key),
            Error::CommunicationError(error) | Error::ResponseBodyError(error) => {
                unreached(error, effort)
            }
            // The generated client refuses what no request can carry. The rest is never returned:
            // `build.rs` leaves no error response and no upgrade in what it generates from.
            Error::InvalidRequest(_) | Error::ErrorResponse(_) | Error::InvalidUpgrade(_) => {
                EsperError::validation("request", "the request cannot be written".to_owned())
            }
        }
    }

    fn end(&self, error: Option<&EsperError>) {
        self.ended.store(true, Ordering::Relaxed);
        let counters = self.call.transport.counters();
        match error {
            None => counters.succeeded.add_one(),
            Some(_) => counters.failed.add_one(),
        }
        if let Some(operation) = self.call.operation.get() {
            let elapsed = || self.call.started.elapsed();
            metrics::call(operation.id, error, self.attempts(), elapsed);
        }
    }

    fn attempts(&self) -> u32 {
        self.call.attempts.load(Ordering::Relaxed)
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.call.status.load(Ordering::Relaxed)).unwrap_or_default()
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        if !*self.ended.get_mut() {
            self.call.transport.counters().cancelled.add_one();
            if let Some(operation) = self.call.operation.get() {
                metrics::cancelled_call(operation.id, self.attempts());
            }
        }
    }
}

/// A call that got no answer.
fn unreached(error: reqwest::Error, effort: Effort) -> EsperError {
    let Effort { attempts, elapsed } = effort;
    let failure = Failure::of(&error);
    if error.is_timeout() && failure == Failure::Unclear {
        return EsperError::Timeout { elapsed, attempts };
    }
    let host = error.url().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let what = match failure {
        Failure::Untrusted => {
            "the certificate was rejected; EsperConfig::with_root_certificate trusts one of your own"
        }
        Failure::Unsent if error.is_timeout() => "there was no connection in time",
        Failure::Unsent => failure::what_kept_from_connecting(&error),
        Failure::Refused | Failure::Unclear => "the connection broke",
    };
    let message = format!("could not reach esper at {host}: {what}");
    let permanent = failure == Failure::Untrusted;
    let source = error.without_url().into();
    EsperError::Connection { message, permanent, attempts, elapsed, source }
}

/// Stands in for the server of an operation: nothing can be sent there, and it is quick to parse.
const ORIGIN: &str = "esper://api";
