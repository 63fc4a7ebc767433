//! The parts of a request that determine its answer.

use std::net::IpAddr;

use axum::extract::OriginalUri;
use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use http::{Method, Uri};

use super::return_to::{self, ReturnTo};
use crate::enforce::answers::audience::Audience;
use crate::enforce::public_origin::PublicOrigin;
use crate::enforce::signed::identity::VisitorIdentity;

/// A request of a visitor. Nothing of it is worked out before it is needed.
#[derive(Clone, Copy, Debug)]
pub(in crate::enforce) struct Visit<'a> {
    pub(in crate::enforce) parts: &'a Parts,
    /// The client's.
    pub(in crate::enforce) address: Option<IpAddr>,
    /// The site's, where it is configured.
    pub(in crate::enforce) origin: Option<&'a PublicOrigin>,
}

impl<'a> Visit<'a> {
    pub(in crate::enforce) fn audience(self) -> Audience {
        Audience::of(self.parts)
    }

    /// Whether it can be made again without changing anything.
    pub(in crate::enforce) fn is_safe(self) -> bool {
        matches!(self.parts.method, Method::GET | Method::HEAD)
    }

    pub(in crate::enforce) fn return_to(self) -> ReturnTo {
        ReturnTo::of(original(self.parts))
    }

    /// The proof with which a browser comes back from a managed challenge, as it stands in the
    /// query.
    pub(in crate::enforce) fn proof(self) -> Option<&'a str> {
        // Without an origin there is no managed challenge to come back from.
        self.origin?;
        return_to::proof(original(self.parts)).filter(|_| self.is_safe())
    }

    pub(in crate::enforce) fn identity(self) -> VisitorIdentity<'a> {
        let user_agent = self.parts.headers.get(USER_AGENT);
        VisitorIdentity {
            site: self.origin.map_or_else(|| host(self.parts), PublicOrigin::authority),
            user_agent: user_agent.map(|value| value.as_bytes()).unwrap_or_default(),
            address: self.address,
        }
    }
}

/// The URI as the visitor sent it; routers of axum take prefixes off.
pub(in crate::enforce) fn original(parts: &Parts) -> &Uri {
    parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri)
}

/// The name that the request gives the site, with its port.
pub(in crate::enforce) fn host(parts: &Parts) -> &str {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    // Over HTTP/2 it stands in the URI.
    host.or_else(|| parts.uri.authority().map(|authority| authority.as_str())).unwrap_or_default()
}
