//! A fault as JSON, as the admin interface takes it and shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};

use super::{Fault, Kind};
use crate::operation::Operation;
use crate::wire::{InvalidRequest, member};

/// The members of a fault. Each is optional, so that one that is missing can be refused by its name.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct FaultMembers {
    fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(flatten, skip_serializing)]
    unknown: BTreeMap<String, IgnoredAny>,
}

impl From<&Fault> for FaultMembers {
    fn from(fault: &Fault) -> Self {
        let delay_ms = u64::try_from(fault.delay.as_millis()).unwrap_or(u64::MAX);
        Self {
            fault: Some(fault.kind.name().to_owned()),
            operation: fault.operation.map(|operation| operation.to_string()),
            times: fault.times,
            share: Some(fault.share).filter(|share| *share < 1.0),
            delay_ms: (!fault.delay.is_zero()).then_some(delay_ms),
            status: fault.status,
            headers: (!fault.headers.is_empty()).then(|| fault.headers.iter().cloned().collect()),
            unknown: BTreeMap::new(),
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FaultMembers::from(self).serialize(serializer)
    }
}

impl TryFrom<FaultMembers> for Fault {
    type Error = InvalidRequest;

    fn try_from(members: FaultMembers) -> Result<Self, InvalidRequest> {
        // What is misspelt would otherwise be a fault that does something else.
        if let Some(member) = members.unknown.keys().next() {
            return Err(InvalidRequest::of_member(
                member,
                &format!("is not known; there are {MEMBERS}"),
            ));
        }
        let delay = members.delay_ms.map(Duration::from_millis);
        let kind = kind(&member::required("fault", members.fault)?)?;
        let mut fault = match kind {
            Kind::Delay => Self::delay(member::required("delay_ms", delay)?),
            Kind::Status => Self::status(member::required("status", members.status)?),
            Kind::Html => Self::html(member::required("status", members.status)?),
            Kind::Truncated => Self::truncated(),
            Kind::Reset => Self::reset(),
            Kind::ResetInBody => Self::reset_in_body(),
            Kind::LostAnswer => Self::lost_answer(),
            Kind::Silence => Self::silence(),
        };
        if members.status.is_some() && !matches!(kind, Kind::Status | Kind::Html) {
            return Err(InvalidRequest::of_member(
                "status",
                "goes with the faults status and html alone",
            ));
        }
        if let Some(name) = &members.operation {
            fault = fault.on(operation(name)?);
        }
        if let Some(times) = members.times {
            fault = fault.times(times);
        }
        if let Some(share) = members.share {
            fault = fault.share(share);
        }
        if let Some(delay) = delay {
            fault = fault.after(delay);
        }
        for (name, value) in members.headers.unwrap_or_default() {
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
