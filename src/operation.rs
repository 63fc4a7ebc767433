//! What the spec says of an operation beyond its request and its answer.

include!(concat!(env!("OUT_DIR"), "/operations.rs"));

/// One row of the table that `build.rs` makes from the spec.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) id: &'static str,
    /// The path with its parameters in braces, if it has any.
    pub(crate) path: &'static str,
    pub(crate) server: Server,
    pub(crate) key: KeyHeader,
    pub(crate) repeat: Repeat,
    pub(crate) answers_with_json: bool,
}

/// How a request carries the key.
#[derive(Debug)]
pub(crate) struct KeyHeader {
    pub(crate) name: &'static str,
    pub(crate) prefix: &'static str,
}

/// When an operation may be repeated (`x-esper-retry`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// After any failure that may pass.
    Always,
    /// Only when the service certainly did not process it.
    Unprocessed,
}
