//! Read a fault from JSON, and name the member that does not fit.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::faults::{Fault, Kind};
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
        let kind = kind(&member::required("fault", spec.fault)?)?;
        let mut fault = match kind {
            Kind::Delay => Self::delay(member::required("delay_ms", delay)?),
            Kind::Status => Self::status(member::required("status", spec.status)?),
            Kind::Html => Self::html(member::required("status", spec.status)?),
            Kind::Truncated => Self::truncated(),
            Kind::Reset => Self::reset(),
            Kind::ResetInBody => Self::reset_in_body(),
            Kind::LostAnswer => Self::lost_answer(),
            Kind::Silence => Self::silence(),
        };
        if spec.status.is_some() && !matches!(kind, Kind::Status | Kind::Html) {
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

fn kind(name: &str) -> Result<Kind, InvalidRequest> {
    Kind::named(name).ok_or_else(|| {
        let names = Kind::ALL.map(Kind::name).join(", ");
        InvalidRequest::of_member("fault", &format!("must be one of {names}"))
    })
}

fn operation(name: &str) -> Result<Operation, InvalidRequest> {
    Operation::named(name).ok_or_else(|| {
        let names = Operation::ALL.map(Operation::name).join(", ");
        InvalidRequest::of_member("operation", &format!("must be one of {names}"))
    })
}

const MEMBERS: &str = "fault, operation, times, share, delay_ms, status and headers";
