//! Read a fault from JSON, and name the member that does not fit.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::faults::{Fault, Operation};
use crate::http::error::ApiError;
use crate::http::member;

/// A fault as the admin interface takes it.
#[derive(Debug, Deserialize)]
pub(super) struct FaultSpec {
    fault: Option<String>,
    operation: Option<String>,
    times: Option<u64>,
    share: Option<f64>,
    delay_ms: Option<u64>,
    status: Option<u16>,
    headers: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

impl TryFrom<FaultSpec> for Fault {
    type Error = ApiError;

    fn try_from(spec: FaultSpec) -> Result<Self, ApiError> {
        // What is misspelt would otherwise be a fault that does something else.
        if let Some(member) = spec.unknown.keys().next() {
            return Err(ApiError::member(member, &format!("is not known; there are {MEMBERS}")));
        }
        let delay = spec.delay_ms.map(Duration::from_millis);
        let kind = member::required("fault", spec.fault)?;
        let fault = match kind.as_str() {
            "delay" => Self::delay(member::required("delay_ms", delay)?),
            "status" => Self::status(member::required("status", spec.status)?),
            "html" => Self::html(member::required("status", spec.status)?),
            "truncated" => Self::truncated(),
            "reset" => Self::reset(),
            "reset_in_body" => Self::reset_in_body(),
            "lost_answer" => Self::lost_answer(),
            "silence" => Self::silence(),
            _ => return Err(ApiError::member("fault", &format!("is none of {KINDS}"))),
        };
        if spec.status.is_some() && !matches!(kind.as_str(), "status" | "html") {
            return Err(ApiError::member("status", "goes with the faults status and html alone"));
        }
        let fault = match spec.operation.as_deref().map(operation).transpose()? {
            Some(operation) => fault.on(operation),
            None => fault,
        };
        let fault = spec.times.into_iter().fold(fault, Self::times);
        let fault = spec.share.into_iter().fold(fault, Self::share);
        let fault = delay.into_iter().fold(fault, Self::after);
        let headers = spec.headers.unwrap_or_default();
        Ok(headers.into_iter().fold(fault, |fault, (name, value)| fault.header(name, value)))
    }
}

fn operation(name: &str) -> Result<Operation, ApiError> {
    Operation::named(name).ok_or_else(|| {
        let names = Operation::ALL.map(Operation::name).join(", ");
        ApiError::member("operation", &format!("is none of {names}"))
    })
}

const MEMBERS: &str = "fault, operation, times, share, delay_ms, status and headers";

const KINDS: &str = "delay, status, html, truncated, reset, reset_in_body, lost_answer and silence";
