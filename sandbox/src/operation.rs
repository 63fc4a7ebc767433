//! The operations of the API.

use std::fmt;

use axum::http::Method;
use serde::Serialize;

/// An operation of the API, named as in its description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// `POST /v1/mitigate`
    CheckMitigation,
    /// `POST /v1/verify`
    VerifyChallenge,
    /// `POST /api/v1/challenge/proof/verify`
    VerifyChallengeProof,
    /// `GET /v1/usage`
    GetUsage,
    /// `POST /v1/events`
    SendBeaconEvent,
}

impl Operation {
    pub(crate) const ALL: [Self; 5] = [
        Self::CheckMitigation,
        Self::VerifyChallenge,
        Self::VerifyChallengeProof,
        Self::GetUsage,
        Self::SendBeaconEvent,
    ];

    /// The operation that a request calls.
    pub(crate) fn of(method: &Method, path: &str) -> Option<Self> {
        let calls = |operation: &Self| operation.path() == path && operation.method() == method;
        Self::ALL.into_iter().find(calls)
    }

    pub(crate) const fn method(self) -> &'static str {
        match self {
            Self::GetUsage => "GET",
            Self::CheckMitigation
            | Self::VerifyChallenge
            | Self::VerifyChallengeProof
            | Self::SendBeaconEvent => "POST",
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::CheckMitigation => "/v1/mitigate",
            Self::VerifyChallenge => "/v1/verify",
            Self::VerifyChallengeProof => "/api/v1/challenge/proof/verify",
            Self::GetUsage => "/v1/usage",
            Self::SendBeaconEvent => "/v1/events",
        }
    }

    /// The operation of a name such as `check_mitigation`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CheckMitigation => "check_mitigation",
            Self::VerifyChallenge => "verify_challenge",
            Self::VerifyChallengeProof => "verify_challenge_proof",
            Self::GetUsage => "get_usage",
            Self::SendBeaconEvent => "send_beacon_event",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_has_one_name_however_it_is_told() {
        for operation in Operation::ALL {
            assert_eq!(Operation::named(operation.name()), Some(operation));
            assert_eq!(json!(operation), json!(operation.name()));
        }
        assert_eq!(Operation::named("CheckMitigation"), None);
    }
}
