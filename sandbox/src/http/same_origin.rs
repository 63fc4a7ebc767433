//! Refuse what a browser sends on behalf of another site's page.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};

use crate::http::error::ApiError;
use crate::service::Service;

/// A request of the sandbox's own pages, or of no browser.
#[derive(Debug)]
pub(crate) struct SameOrigin;

impl FromRequestParts<Arc<Service>> for SameOrigin {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Self, ApiError> {
        // Every browser of today sends one of the two with a POST; over plain http to another
        // machine it is the latter.
        let own = all(parts, &SEC_FETCH_SITE, |site| site == "same-origin")
            && all(parts, &ORIGIN, |origin| {
                origin.to_str().is_ok_and(|origin| {
                    service.public_url.has_origin(origin) || is_at(origin, authority(parts))
                })
            });
        if own { Ok(Self) } else { Err(ApiError::cross_site()) }
    }
}

/// Whether every value of a header is good; there may be none.
fn all(parts: &Parts, name: &HeaderName, good: impl Fn(&HeaderValue) -> bool) -> bool {
    parts.headers.get_all(name).iter().all(good)
}

/// The host and port that the request was sent to.
fn authority(parts: &Parts) -> Option<&str> {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    host.or_else(|| parts.uri.authority().map(|authority| authority.as_str()))
}

fn is_at(origin: &str, authority: Option<&str>) -> bool {
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some() && rest == authority
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
