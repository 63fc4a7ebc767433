//! The bodies as they go over the wire, written from the spec and apart from the client's.
//!
//! Every member of a request is optional here, so that a missing one can be refused by its name;
//! `null` counts as missing. A member that the sandbox does not use is checked for its type. Members
//! of any kind stay as they came, until a policy looks at one.

mod json;
pub(crate) mod member;
mod response;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

pub use self::json::InvalidRequest;
pub(crate) use self::json::read;
use crate::engine::Action;

#[derive(Debug, Deserialize)]
pub(crate) struct MitigationRequest {
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) headers: Option<BTreeMap<String, String>>,
    #[expect(dead_code, reason = "no policy looks at it; checked for its type")]
    body: Option<IgnoredAny>,
    pub(crate) metadata: Option<BTreeMap<String, Box<RawValue>>>,
    pub(crate) return_url: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct MitigationResponse {
    pub(crate) action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) challenge: Option<ChallengeData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redirect_url: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) metadata: Map<String, Value>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ChallengeData {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) token: String,
    pub(crate) params: Value,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChallengeVerification {
    pub(crate) token: Option<String>,
    pub(crate) response: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChallengeProof {
    pub(crate) proof: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
}

/// What the page of a managed challenge hands in.
#[derive(Debug, Deserialize)]
pub(crate) struct ManagedAnswer {
    pub(crate) response: Option<String>,
}

/// Where the page of a managed challenge goes on.
#[derive(Debug, Serialize)]
pub(crate) struct ManagedPassed {
    pub(crate) location: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct VerificationResult {
    pub(crate) valid: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BeaconEvent {
    /// A name under which the event may be sent again. The spec does not know it, so that it may
    /// be anything.
    pub(crate) id: Option<Box<RawValue>>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) data: Option<BTreeMap<String, Box<RawValue>>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct UsageStats {
    pub(crate) requests: u64,
    pub(crate) blocked: u64,
    pub(crate) challenged: u64,
    pub(crate) allowed: u64,
    pub(crate) period: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody {
    pub(crate) message: String,
    pub(crate) code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<Value>,
}
