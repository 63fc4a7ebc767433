//! What `build.rs` makes from `openapi/esper.yaml`. The rest of the crate picks from it by name.

pub(crate) use bindings::{Client, types};

/// The generated client and its types.
#[allow(rustdoc::broken_intra_doc_links, reason = "the spec's brackets are no links to Rust")]
#[expect(
    clippy::allow_attributes_without_reason,
    clippy::exhaustive_enums,
    dead_code,
    missing_docs,
    unnameable_types,
    unreachable_pub,
    unused_mut,
    reason = "the generator's style, not ours"
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

/// Constructors, setters and checks of the types that users fill in.
#[allow(rustdoc::broken_intra_doc_links, reason = "the spec's brackets are no links to Rust")]
#[expect(dead_code, unreachable_pub, reason = "users never see some of the types")]
mod requests {
    use super::types::*;

    include!(concat!(env!("OUT_DIR"), "/requests.rs"));
}

/// Defaults and environment variables of the options.
pub(crate) mod options {
    include!(concat!(env!("OUT_DIR"), "/options.rs"));
}
