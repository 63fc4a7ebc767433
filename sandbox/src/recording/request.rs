//! A request that arrived, as it is shown.

use std::sync::OnceLock;

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::operation::Operation;

/// A request that arrived, and what it was answered with. It can be serialised as JSON alone, for its
/// body is kept as that.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRequest {
    pub(super) number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operation: Option<Operation>,
    pub(super) method: String,
    pub(super) path: String,
    /// A line `name: value` for each.
    #[serde(serialize_with = "as_pairs")]
    pub(super) headers: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<Body>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
}

/// A body as a text, read when somebody asks: many small values take far more than their text.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Body {
    text: Box<RawValue>,
    #[serde(skip)]
    value: OnceLock<Value>,
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

    /// Its method, such as `POST`, up to 60 characters.
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
        pairs(&self.headers)
    }

    /// The first value of a header, whose name may be in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Its body, if that is JSON of no more than 16 KiB and arrived in whole. It is kept as a text
    /// until it is asked for.
    #[must_use]
    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref().map(Body::value)
    }

    /// The status that it was answered with; nothing while it is not, and after a fault that
    /// leaves it without.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }
}

impl Body {
    /// The body with a text that can be read.
    pub(super) fn new(text: Box<RawValue>) -> Self {
        Self { text, value: OnceLock::new() }
    }

    fn value(&self) -> &Value {
        self.value.get_or_init(|| serde_json::from_str(self.text.get()).unwrap_or_default())
    }
}

fn pairs(lines: &str) -> impl Iterator<Item = (&str, &str)> {
    lines.lines().filter_map(|line| line.split_once(": "))
}

fn as_pairs<S: Serializer>(lines: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(pairs(lines))
}
