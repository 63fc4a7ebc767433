//! One call: it begins with a deadline and ends with a value or an [`EsperError`].

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use progenitor_client::{Error, ResponseValue};
use reqwest::StatusCode;
use tokio::time::Instant;

use crate::EsperError;
use crate::answer;
use crate::generated::Client;
use crate::transport::Transport;

/// What the generated client carries through a call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) transport: Arc<Transport>,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
    /// Requests that were handed to the network so far.
    attempts: AtomicU32,
    /// Status of the last answer, noted before its body is read; 0 before there is one.
    status: AtomicU16,
}

impl Call {
    pub(crate) fn count_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_status(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }
}

/// A call under way.
pub(crate) struct Calling {
    call: Arc<Call>,
    api: Client,
}

impl Calling {
    pub(crate) fn start(transport: &Arc<Transport>) -> Self {
        let started = Instant::now();
        let call = Arc::new(Call {
            transport: Arc::clone(transport),
            started,
            deadline: transport.deadline(started),
            attempts: AtomicU32::new(0),
            status: AtomicU16::new(0),
        });
        // The request gets the server of its operation when it is sent.
        let api = Client::new_with_client(ORIGIN, transport.builder(), Arc::clone(&call));
        Self { call, api }
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
        let error = match result {
            Ok(value) => return Ok(value.into_inner()),
            Err(error) => error,
        };
        let attempts = self.call.attempts.load(Ordering::Relaxed);
        let key = self.call.transport.key();
        Err(match error {
            Error::UnexpectedResponse(response) => answer::refused(response, attempts, key).await,
            Error::InvalidResponsePayload(_, error) => {
                answer::unreadable(self.status(), &answer::describe(&error), key)
            }
            // What `post` in `transport.rs` says of an answer.
            Error::Custom(what) => answer::unreadable(self.status(), &what, key),
            Error::CommunicationError(error) | Error::ResponseBodyError(error) => {
                self.unreached(error, attempts)
            }
            // The generated client refuses what no request can carry. The rest is never returned:
            // `build.rs` leaves no error response and no upgrade in what it generates from.
            Error::InvalidRequest(_) | Error::ErrorResponse(_) | Error::InvalidUpgrade(_) => {
                EsperError::validation("request", "the request cannot be written".to_owned())
            }
        })
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.call.status.load(Ordering::Relaxed)).unwrap_or_default()
    }

    fn unreached(&self, error: reqwest::Error, attempts: u32) -> EsperError {
        if error.is_timeout() && !error.is_connect() {
            return EsperError::Timeout { elapsed: self.call.started.elapsed(), attempts };
        }
        let rejected = is_certificate_rejected(&error);
        let message = match () {
            () if rejected => "its certificate was rejected",
            () if error.is_connect() => "no connection",
            () => "the connection broke",
        };
        let source = error.without_url().into();
        EsperError::Connection { message, permanent: rejected, attempts, source }
    }
}

/// Whether a failure comes from a certificate that will be no better next time.
pub(crate) fn is_certificate_rejected(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return matches!(tls, rustls::Error::InvalidCertificate(_));
        }
        // `io::Error` hides its inner error from `source`.
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

const ORIGIN: &str = "http://esper.invalid";
