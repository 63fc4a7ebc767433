//! What can go wrong, grouped by what the caller can do about it.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use thiserror::Error;

/// Why a call failed, or why a client could not be made.
///
/// Neither the text nor the `Debug` output of an error holds the API key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EsperError {
    /// Esper, or something on the way to it, answered with a status that is no success.
    ///
    /// A redirect is one of these: it is never followed, because the key must not reach another
    /// host.
    #[error("esper answered {}: {message}", .status.as_u16())]
    #[non_exhaustive]
    Api {
        /// Status of the answer.
        status: StatusCode,
        /// What went wrong, for programs; `None` where the answer did not say. It is cut at 500
        /// bytes.
        code: Option<String>,
        /// What went wrong, for people. Where the answer is not the documented JSON, the name of
        /// the status and a short excerpt. It is cut at 500 bytes.
        message: String,
        /// Further facts from the answer, if they are at most 16 KiB of JSON.
        details: Option<Box<Value>>,
        /// How long the service asks to wait before the next call (`Retry-After`).
        retry_after: Option<Duration>,
        /// Number of requests that were sent.
        attempts: u32,
        /// How long the call took.
        elapsed: Duration,
    },

    /// No answer came, because there was no connection, it broke or a proxy refused to make it; or
    /// a client cannot be made or used in this process, which is `permanent` and has no attempts.
    #[error("{message}")]
    #[non_exhaustive]
    Connection {
        /// What kind of trouble it was, and with which host.
        message: String,
        /// Whether a repetition is pointless: with a rejected certificate, no certificates on this
        /// host, no thread for the client, or a client from before a fork.
        permanent: bool,
        /// Number of requests that were tried.
        attempts: u32,
        /// How long the call took.
        elapsed: Duration,
        /// What the connection reported.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The time of the call or of its last attempt was over before an answer came.
    #[error("esper did not answer in time ({elapsed:.1?}, attempts: {attempts})")]
    #[non_exhaustive]
    Timeout {
        /// How long the call took.
        elapsed: Duration,
        /// Number of requests that were sent.
        attempts: u32,
    },

    /// The request or the configuration cannot work; nothing was sent.
    #[error("{message}")]
    #[non_exhaustive]
    Validation {
        /// The member of the request or the option of the configuration, by its name in the spec.
        field: &'static str,
        /// What is wrong with it. The value is not repeated.
        message: String,
    },

    /// The answer was a success that this version of the crate cannot read.
    ///
    /// A body is never shown, but for the name of an unknown action.
    #[error("cannot read esper's answer: {message}")]
    #[non_exhaustive]
    Decode {
        /// Status of the answer.
        status: StatusCode,
        /// What does not fit.
        message: String,
        /// Number of requests that were sent.
        attempts: u32,
        /// How long the call took.
        elapsed: Duration,
    },
}

impl EsperError {
    /// Returns true if the time of the call was over before an answer came.
    ///
    /// # Troubleshooting
    ///
    /// A decision usually takes milliseconds. Look at the way to the service before you raise
    /// [`EsperConfig::with_timeout`](crate::EsperConfig::with_timeout).
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Returns true if the same call may succeed later.
    ///
    /// The client's own repetitions are already over when a caller sees the error. Do not repeat
    /// a verification because of this answer: its token may be used by then.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Api { status, .. } => may_pass(*status),
            Self::Connection { permanent, .. } => !permanent,
            Self::Timeout { .. } => true,
            Self::Validation { .. } | Self::Decode { .. } => false,
        }
    }

    /// Returns the status of the answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Api { status, .. } | Self::Decode { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns how long the service asks to wait before the next call.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// A client that cannot be made or used in this process, whatever is tried.
    pub(crate) fn unusable(
        message: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Connection {
            message: message.to_owned(),
            permanent: true,
            attempts: 0,
            elapsed: Duration::ZERO,
            source: source.into(),
        }
    }

    pub(crate) fn validation(field: &'static str, message: impl Into<String>) -> Self {
        Self::Validation { field, message: message.into() }
    }
}

/// Whether an answer with this status may be another one later.
pub(crate) fn may_pass(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        other => other.is_server_error(),
    }
}
