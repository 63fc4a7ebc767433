//! A request that arrived, as it is shown.

use serde::Serialize;
use serde_json::Value;

use crate::operation::Operation;

/// A request that arrived, and what it was answered with.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRequest {
    pub(super) number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operation: Option<Operation>,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
}

impl RecordedRequest {
    /// Its place among all that arrived, from 1 on.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The operation that it calls; nothing where no operation has this path and method.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        self.operation
    }

    /// Its method, such as `POST`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Its path without the query, up to 1,024 characters.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its headers, up to 8 KiB, with names in lower case. Those with a key in them
    /// (`Authorization`, `X-Esper-Key`, `X-Esper-Api-Key`) are left out.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first value of a header, whose name may be in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Its body, if that is JSON of no more than 16 KiB and arrived in whole.
    #[must_use]
    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    /// The status that it was answered with; nothing while it is not, and after a fault that
    /// leaves it without.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }
}
