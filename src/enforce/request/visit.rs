//! The parts of a request that determine its answer.

use std::net::IpAddr;

use axum::extract::OriginalUri;
use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Method, Uri};

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
    /// Whether it is a preflight of CORS, which can show no clearance.
    pub(in crate::enforce) is_preflight: bool,
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
        let (site, other_name) = match self.origin {
            Some(origin) => (origin.authority(), ""),
            None => (host(self.parts), other_host(self.parts)),
        };
        VisitorIdentity {
            site,
            other_name,
            user_agent: user_agent.map(|value| value.as_bytes()).unwrap_or_default(),
            address: self.address,
        }
    }
}

/// The URI as the visitor sent it; routers of axum take prefixes off.
pub(in crate::enforce) fn original(parts: &Parts) -> &Uri {
    parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri)
}

/// The name that the request gives the site, with its port; empty where it gives none.
///
/// Where there are two, that in the URI counts, as HTTP has it: over HTTP/2 the only one there has
/// to be, and in the form of HTTP/1 that is meant for proxies the one that servers go by.
pub(in crate::enforce) fn host(parts: &Parts) -> &str {
    raw_host(parts).and_then(|host| str::from_utf8(host).ok()).unwrap_or_default()
}

/// The name in the header, where the URI has another one; empty where it has not. Applications that
/// tell their sites apart by the header go by it all the same.
fn other_host(parts: &Parts) -> &str {
    let Some(_) = original(parts).authority() else { return "" };
    let header = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if header.eq_ignore_ascii_case(host(parts)) { "" } else { header }
}

/// The name, which need be no text. A user and a password before it are not a part of it.
pub(in crate::enforce) fn raw_host(parts: &Parts) -> Option<&[u8]> {
    let authority = original(parts).authority().map(|authority| authority.as_str().as_bytes());
    let given = authority.or_else(|| parts.headers.get(HOST).map(HeaderValue::as_bytes))?;
    given.rsplit(|byte| *byte == b'@').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn of_two_names_of_the_site_the_one_in_the_uri_counts() {
        for (uri, header, name) in [
            ("/x", Some("a.example"), "a.example"),
            ("http://b.example:8080/x", Some("a.example"), "b.example:8080"),
            ("http://b.example/x", None, "b.example"),
            ("http://user:password@b.example:8080/x", None, "b.example:8080"),
            ("/x", Some("user:password@a.example"), "a.example"),
            ("/x", None, ""),
        ] {
            let request = Request::get(uri);
            let request = match header {
                Some(header) => request.header(HOST, header),
                None => request,
            };
            let mut parts = request.body(()).unwrap().into_parts().0;
            assert_eq!(host(&parts), name, "{uri}");
            let other = if uri.contains("//b.example:8080") { "a.example" } else { "" };
            assert_eq!(other_host(&parts), other, "{uri}");
            // As in a nested router, which leaves the path alone of the URI.
            parts.extensions.insert(OriginalUri(parts.uri.clone()));
            parts.uri = Uri::from_static("/");
            assert_eq!(host(&parts), name, "{uri}");
        }
    }
}
