//! Keep the pages of other sites out of the admin interface.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::error::ApiError;
use crate::same_origin::{SameOrigin, authority};
use crate::service::Service;

/// Refuses what a browser may send on behalf of another site, as a middleware.
///
/// A page whose name was rebound to this machine is of the same origin for its browser; it still
/// sends that name as the host. No such name is an address or `localhost`.
pub(super) async fn guard(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    if !authority(&parts).is_some_and(is_safe_host) {
        return ApiError::unknown_host().into_response();
    }
    // A browser shows nobody else what a GET is answered with, and it changes nothing.
    if parts.method != Method::GET
        && let Err(refusal) = SameOrigin::from_request_parts(&mut parts, &service).await
    {
        return refusal.into_response();
    }
    next.run(Request::from_parts(parts, body)).await
}

/// Whether a host is an address or a name of this machine, with or without a port.
fn is_safe_host(authority: &str) -> bool {
    let Ok(uri) = authority.parse::<Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = host.to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_this_machine() {
        for safe in [
            "localhost",
            "LOCALHOST:8788",
            "a.localhost:1",
            "127.0.0.1:8788",
            "[::1]:8788",
            "10.1.2.3",
        ] {
            assert!(is_safe_host(safe), "{safe}");
        }
        for unsafe_ in [
            "",
            "attacker.example:8788",
            "localhost.attacker.example",
            "127.0.0.1.example",
            "a@b",
            "mylocalhost",
        ] {
            assert!(!is_safe_host(unsafe_), "{unsafe_}");
        }
    }
}
