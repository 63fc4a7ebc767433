//! Why a decision is not the service's.

use std::fmt;

use reqwest::StatusCode;

use crate::EsperError;

/// Why there is no decision of the service.
///
/// The reasons are also the rows of a [`FailurePolicy`](crate::FailurePolicy) and of
/// [`GuardStats`](crate::GuardStats). Their names ([`as_str`](Self::as_str)) are good for metrics:
/// they are few, and they do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FallbackReason {
    /// No answer came before the deadline, perhaps because there was no connection by then.
    Timeout,
    /// The connection was refused, perhaps by a proxy (407), or it broke. A host that swallows
    /// everything is a [`Timeout`](Self::Timeout).
    Connection,
    /// The service's certificate was rejected, or this process cannot make connections at all.
    Certificate,
    /// The service failed, with a status of 500 or above.
    ServerError,
    /// The key's rate limit is reached (429).
    RateLimited,
    /// The key is missing or wrong (401), or may not do this (403).
    Unauthorized,
    /// The service refused the request with another status, redirects included.
    Refused,
    /// The answer is no decision, or one with an action that this version does not know.
    Undecodable,
    /// The service was not asked, because it failed several times in a row.
    BreakerOpen,
    /// The service was not asked, because as many calls as allowed were under way.
    Overload,
    /// The service was not asked, because the request has a member that does not fit.
    InvalidRequest,
}

impl FallbackReason {
    /// Every reason that this version knows.
    pub const ALL: &'static [Self] = &[
        Self::Timeout,
        Self::Connection,
        Self::Certificate,
        Self::ServerError,
        Self::RateLimited,
        Self::Unauthorized,
        Self::Refused,
        Self::Undecodable,
        Self::BreakerOpen,
        Self::Overload,
        Self::InvalidRequest,
    ];

    /// Returns the name for logs and metrics, such as `breaker_open`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Certificate => "certificate",
            Self::ServerError => "server_error",
            Self::RateLimited => "rate_limited",
            Self::Unauthorized => "unauthorized",
            Self::Refused => "refused",
            Self::Undecodable => "undecodable",
            Self::BreakerOpen => "breaker_open",
            Self::Overload => "overload",
            Self::InvalidRequest => "invalid_request",
        }
    }

    /// Classifies the error of a call.
    pub(super) fn of(error: &EsperError) -> Self {
        match error {
            EsperError::Timeout { .. } => Self::Timeout,
            EsperError::Connection { permanent: true, .. } => Self::Certificate,
            EsperError::Connection { .. } => Self::Connection,
            EsperError::Decode { .. } => Self::Undecodable,
            EsperError::Validation { .. } => Self::InvalidRequest,
            EsperError::Api { status, .. } => match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Unauthorized,
                StatusCode::TOO_MANY_REQUESTS => Self::RateLimited,
                status if status.is_server_error() => Self::ServerError,
                _ => Self::Refused,
            },
        }
    }

    /// Whether the next call is likely to wait in vain too.
    ///
    /// An answer that came in time is none of these, nor is anything that a visitor can bring
    /// about: nobody must be able to open the breaker for all others.
    pub(super) fn trips_breaker(self) -> bool {
        matches!(self, Self::Timeout | Self::Connection | Self::Certificate | Self::ServerError)
    }
}

/// What the enforcement layer needs.
#[cfg(feature = "tower")]
impl FallbackReason {
    /// Whether it may be due to the request, which will then be no better later.
    pub(crate) fn may_be_the_requests(self) -> bool {
        matches!(self, Self::Refused | Self::InvalidRequest)
    }
}

impl fmt::Display for FallbackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many reasons there are.
pub(super) const REASONS: usize = FallbackReason::ALL.len();

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_reason_has_its_place_and_its_name() {
        for (index, reason) in FallbackReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            let name = reason.to_string();
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            let alike = FallbackReason::ALL.iter().filter(|other| other.as_str() == name);
            assert_eq!(alike.count(), 1);
        }
    }

    #[test]
    fn a_status_has_its_reason_and_only_a_failing_service_trips_the_breaker() {
        let of = |status: u16| {
            FallbackReason::of(&EsperError::Api {
                status: StatusCode::from_u16(status).unwrap(),
                code: None,
                message: String::new(),
                details: None,
                retry_after: None,
                attempts: 1,
                elapsed: Duration::ZERO,
            })
        };
        for (status, reason, trips) in [
            (302, FallbackReason::Refused, false),
            (400, FallbackReason::Refused, false),
            (401, FallbackReason::Unauthorized, false),
            (403, FallbackReason::Unauthorized, false),
            (408, FallbackReason::Refused, false),
            (429, FallbackReason::RateLimited, false),
            (500, FallbackReason::ServerError, true),
            (501, FallbackReason::ServerError, true),
            (503, FallbackReason::ServerError, true),
        ] {
            assert_eq!((of(status), of(status).trips_breaker()), (reason, trips), "{status}");
        }
    }
}
