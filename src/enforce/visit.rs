//! What answers to a request depend on.

use std::net::IpAddr;

use axum::extract::OriginalUri;
use http::Uri;
use http::header::{HOST, USER_AGENT};
use http::request::Parts;

use super::audience::{Audience, is_safe};
use super::binding::Binding;
use super::public_origin::PublicOrigin;
use super::return_to::{PROOF, ReturnTo};

/// One request, as far as answers to it depend on it.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    pub(super) audience: Audience,
    /// Whether it can be made again without changing anything.
    pub(super) safe: bool,
    pub(super) return_to: ReturnTo,
    /// The proof with which it comes back from a managed challenge.
    pub(super) proof: Option<String>,
    pub(super) binding: Binding<'a>,
}

impl<'a> Visit<'a> {
    pub(super) fn of(
        parts: &'a Parts,
        address: Option<IpAddr>,
        origin: Option<&'a PublicOrigin>,
    ) -> Self {
        let uri = original(parts);
        let user_agent = parts.headers.get(USER_AGENT);
        let binding = Binding {
            site: origin.map_or_else(|| host(parts), PublicOrigin::authority),
            user_agent: user_agent.map(|value| value.as_bytes()).unwrap_or_default(),
            address,
        };
        Self {
            audience: Audience::of(parts),
            safe: is_safe(&parts.method),
            return_to: ReturnTo::of(uri),
            proof: proof(uri),
            binding,
        }
    }
}

/// The URI as the visitor sent it; routers of axum take prefixes off.
pub(super) fn original(parts: &Parts) -> &Uri {
    parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri)
}

/// The name that the request gives the site, with its port.
pub(super) fn host(parts: &Parts) -> &str {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    host.or_else(|| parts.uri.authority().map(|authority| authority.as_str())).unwrap_or_default()
}

fn proof(uri: &Uri) -> Option<String> {
    let pairs = uri.query()?.split('&');
    let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == PROOF)?.1;
    if value.is_empty() || value.len() > LONGEST_PROOF {
        return None;
    }
    percent_encoding::percent_decode_str(value).decode_utf8().ok().map(Into::into)
}

/// What is longer is none of Esper's, and costs no call.
const LONGEST_PROOF: usize = 4096;
