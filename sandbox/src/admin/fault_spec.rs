//! Read a fault from JSON, and name the member that does not fit.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::faults::Fault;
use crate::operation::Operation;
use crate::wire::{InvalidRequest, member};

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
    type Error = InvalidRequest;

    fn try_from(spec: FaultSpec) -> Result<Self, InvalidRequest> {
        // What is misspelt would otherwise be a fault that does something else.
        if let Some(member) = spec.unknown.keys().next() {
            return Err(InvalidRequest::of_member(
                member,
                &format!("is not known; there are {MEMBERS}"),
            ));
        }
        let delay = spec.delay_ms.map(Duration::from_millis);
        let kind = member::required("fault", spec.fault)?;
        let mut fault = match kind.as_str() {
            "delay" => Self::delay(member::required("delay_ms", delay)?),
            "status" => Self::status(member::required("status", spec.status)?),
            "html" => Self::html(member::required("status", spec.status)?),
            "truncated" => Self::truncated(),
            "reset" => Self::reset(),
            "reset_in_body" => Self::reset_in_body(),
            "lost_answer" => Self::lost_answer(),
            "silence" => Self::silence(),
            _ => {
                return Err(InvalidRequest::of_member("fault", &format!("must be one of {KINDS}")));
            }
        };
        if spec.status.is_some() && !matches!(kind.as_str(), "status" | "html") {
            return Err(InvalidRequest::of_member(
                "status",
                "goes with the faults status and html alone",
            ));
        }
        if let Some(name) = &spec.operation {
            fault = fault.on(operation(name)?);
        }
        if let Some(times) = spec.times {
            fault = fault.times(times);
        }
        if let Some(share) = spec.share {
            fault = fault.share(share);
        }
        if let Some(delay) = delay {
            fault = fault.after(delay);
        }
        for (name, value) in spec.headers.unwrap_or_default() {
            fault = fault.header(name, value);
        }
        Ok(fault)
    }
}

fn operation(name: &str) -> Result<Operation, InvalidRequest> {
    Operation::named(name).ok_or_else(|| {
        let names = Operation::ALL.map(Operation::name).join(", ");
        InvalidRequest::of_member("operation", &format!("must be one of {names}"))
    })
}

const MEMBERS: &str = "fault, operation, times, share, delay_ms, status and headers";

const KINDS: &str = "delay, status, html, truncated, reset, reset_in_body, lost_answer and silence";
