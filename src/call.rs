//! One call: it begins with a deadline and ends with a value or an [`EsperError`].

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use progenitor_client::{Error, ResponseValue};
use reqwest::{Response, StatusCode, Url};
use tokio::time::Instant;

use crate::EsperError;
use crate::answer::{self, CallCost};
use crate::generated::Client;
use crate::metrics;
use crate::operation::Operation;
use crate::transport::failure::{self, Failure};
use crate::transport::{CallLimits, Transport};

/// What the generated client carries through a call.
#[derive(Debug)]
pub(crate) struct CallState {
    pub(crate) transport: Arc<Transport>,
    pub(crate) limits: CallLimits,
    started: Instant,
    deadline: Instant,
    /// Requests that were handed to the network so far.
    attempts: AtomicU32,
    /// Noted when its first request is sent.
    operation: OnceLock<&'static Operation>,
    /// Status of the last answer, noted before its body is read; 0 before there is one.
    status: AtomicU16,
}

impl CallState {
    /// The time until the call is over.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    pub(crate) fn note_operation(&self, operation: &'static Operation) {
        // A call has but one.
        let _ = self.operation.set(operation);
    }

    pub(crate) fn count_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.transport.counters.attempts.add_one();
    }

    pub(crate) fn note_status(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }
}

/// A call under way.
pub(crate) struct Call {
    state: Arc<CallState>,
    api: Client,
    ended: AtomicBool,
}

impl Call {
    /// Starts a call with the limits of the client.
    pub(crate) fn start(transport: &Arc<Transport>) -> Self {
        Self::start_with(transport, transport.limits)
    }

    /// Starts a call with limits of its own.
    pub(crate) fn start_with(transport: &Arc<Transport>, limits: CallLimits) -> Self {
        let started = Instant::now();
        let state = Arc::new(CallState {
            transport: Arc::clone(transport),
            limits,
            started,
            deadline: limits.deadline(started),
            attempts: AtomicU32::new(0),
            operation: OnceLock::new(),
            status: AtomicU16::new(0),
        });
        // The request gets the server of its operation when it is sent.
        let factory = transport.request_factory.clone();
        let api = Client::new_with_client(ORIGIN, factory, Arc::clone(&state));
        transport.counters.calls.add_one();
        Self { state, api, ended: AtomicBool::new(false) }
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
        let cost = CallCost { attempts: self.attempts(), elapsed: self.state.started.elapsed() };
        let key = &self.state.transport.key;
        match error {
            // That is never the service's, whatever way it comes.
            Error::UnexpectedResponse(response)
                if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED =>
            {
                refused_by_proxy(&response, cost)
            }
            Error::UnexpectedResponse(response) => answer::unsuccessful(response, cost, key).await,
            Error::InvalidResponsePayload(_, error) => {
                answer::unreadable(self.status(), &answer::describe(&error), cost, key)
            }
            // What `post` in `transport.rs` says of an answer.
            Error::Custom(what) => answer::unreadable(self.status(), &what, cost, key),
            Error::CommunicationError(error) | Error::ResponseBodyError(error) => {
                unreached(error, cost)
            }
            // The generated client refuses what no request can carry. The rest is never returned:
            // `build.rs` leaves no error response and no upgrade in what it generates from.
            Error::InvalidRequest(_) | Error::ErrorResponse(_) | Error::InvalidUpgrade(_) => {
                EsperError::validation("request", "the request cannot be written")
            }
        }
    }

    fn end(&self, error: Option<&EsperError>) {
        self.ended.store(true, Ordering::Relaxed);
        let counters = &self.state.transport.counters;
        match error {
            None => counters.succeeded.add_one(),
            Some(_) => counters.failed.add_one(),
        }
        if let Some(operation) = self.state.operation.get() {
            let elapsed = || self.state.started.elapsed();
            metrics::call(operation.id, error, self.attempts(), elapsed);
        }
    }

    fn attempts(&self) -> u32 {
        self.state.attempts.load(Ordering::Relaxed)
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.state.status.load(Ordering::Relaxed)).unwrap_or_default()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !*self.ended.get_mut() {
            self.state.transport.counters.cancelled.add_one();
            if let Some(operation) = self.state.operation.get() {
                metrics::cancelled_call(operation.id, self.attempts());
            }
        }
    }
}

/// A call that got no answer, or a part of one.
fn unreached(error: reqwest::Error, cost: CallCost) -> EsperError {
    let CallCost { attempts, elapsed } = cost;
    let failure = Failure::of(&error);
    if error.is_timeout() && failure == Failure::Unknown {
        return EsperError::Timeout { elapsed, attempts };
    }
    let message = if error.is_decode() {
        format!("esper at {} began to answer, and the connection broke", host(error.url()))
    } else {
        could_not_reach(error.url(), what_went_wrong(failure, &error))
    };
    let permanent = failure == Failure::UntrustedCertificate;
    let source = error.without_url().into();
    EsperError::Connection { message, permanent, attempts, elapsed, source }
}

fn what_went_wrong(failure: Failure, error: &reqwest::Error) -> &'static str {
    match failure {
        Failure::UntrustedCertificate => failure::why_the_certificate_was_rejected(error),
        Failure::NotConnected if error.is_timeout() => "there was no connection in time",
        Failure::NotConnected => failure::what_kept_from_connecting(error),
        Failure::NotProcessed | Failure::Unknown => "the connection broke",
    }
}

/// A call that a proxy answered in the place of the service.
fn refused_by_proxy(response: &Response, cost: CallCost) -> EsperError {
    let CallCost { attempts, elapsed } = cost;
    let message = could_not_reach(Some(response.url()), failure::PROXY_WANTS_CREDENTIALS);
    let source = format!("the proxy answered {}", response.status()).into();
    EsperError::Connection { message, permanent: false, attempts, elapsed, source }
}

fn could_not_reach(url: Option<&Url>, what: &str) -> String {
    format!("could not reach esper at {}: {what}", host(url))
}

fn host(url: Option<&Url>) -> String {
    url.map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// Stands in for the server of an operation: nothing can be sent there, and it is quick to parse.
const ORIGIN: &str = "esper://api";
