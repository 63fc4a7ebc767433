//! The parts of a request that determine its answer.

use std::net::IpAddr;

use axum::extract::OriginalUri;
use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use http::{Method, Uri};

use super::audience::Audience;
use super::binding::Binding;
use super::public_origin::PublicOrigin;
use super::return_to::{self, ReturnTo};

/// A request of a visitor. Nothing of it is worked out before it is needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit<'a> {
    pub(super) parts: &'a Parts,
    /// The client's.
    pub(super) address: Option<IpAddr>,
    /// The site's, where it is configured.
    pub(super) origin: Option<&'a PublicOrigin>,
}

impl<'a> Visit<'a> {
    pub(super) fn audience(self) -> Audience {
        Audience::of(self.parts)
    }

    /// Whether it can be made again without changing anything.
    pub(super) fn is_safe(self) -> bool {
        matches!(self.parts.method, Method::GET | Method::HEAD)
    }

    pub(super) fn return_to(self) -> ReturnTo {
        ReturnTo::of(original(self.parts))
    }

    /// The proof with which a browser comes back from a managed challenge, as it stands in the
    /// query.
    pub(super) fn proof(self) -> Option<&'a str> {
        // Without an origin there is no managed challenge to come back from.
        self.origin?;
        return_to::proof(original(self.parts)).filter(|_| self.is_safe())
    }

    pub(super) fn binding(self) -> Binding<'a> {
        let user_agent = self.parts.headers.get(USER_AGENT);
        Binding {
            site: self.origin.map_or_else(|| host(self.parts), PublicOrigin::authority),
            user_agent: user_agent.map(|value| value.as_bytes()).unwrap_or_default(),
            address: self.address,
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
    // Over HTTP/2 it stands in the URI.
    host.or_else(|| parts.uri.authority().map(|authority| authority.as_str())).unwrap_or_default()
}
