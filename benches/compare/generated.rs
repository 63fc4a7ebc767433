//! The generated client alone: the same code that the crate has inside, with hooks that add the key.

use std::sync::Arc;

use progenitor_client::{ClientHooks, ClientInfo, Error, OperationInfo};
use reqwest::Request;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

pub(crate) use self::bindings::{Client, types};

#[allow(
    clippy::allow_attributes_without_reason,
    clippy::exhaustive_enums,
    dead_code,
    missing_docs,
    unnameable_types,
    unreachable_pub,
    unused_imports,
    unused_mut,
    reason = "the generator's style, not ours"
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

/// What the generated code carries through a call under this path: here, both headers of the key.
pub(crate) mod call {
    #[derive(Debug)]
    pub(crate) struct CallState {
        pub(crate) bearer: super::HeaderValue,
        pub(crate) key: super::HeaderValue,
    }
}

impl ClientHooks<Arc<call::CallState>> for Client {
    async fn pre<E>(&self, request: &mut Request, info: &OperationInfo) -> Result<(), Error<E>> {
        let call = self.inner();
        let (name, value) = match info.operation_id {
            "send_beacon_event" => (HeaderName::from_static("x-esper-key"), &call.key),
            _ => (AUTHORIZATION, &call.bearer),
        };
        request.headers_mut().insert(name, value.clone());
        Ok(())
    }
}
