//! Refuse who calls the console by a name that is not its own.
//!
//! A page anywhere can give its own name the sandbox's address (DNS rebinding) and would then be of
//! the same origin. The name that it calls gives it away.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use url::{Host, Url};

use crate::error::ApiError;
use crate::managed::is_loopback;
use crate::service::Service;

/// Lets requests pass that were sent to this machine or to the public URL, as a middleware.
pub(crate) async fn own_host(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let own = |host: &Host| is_loopback(host) || service.has_host(host);
    let mut named = false;
    for authority in authorities(&request) {
        named = true;
        if !authority.and_then(host).is_some_and(|host| own(&host)) {
            return ApiError::wrong_host().into_response();
        }
    }
    if named { next.run(request).await } else { ApiError::wrong_host().into_response() }
}

/// Whatever the request says about where it was sent to; nothing for what is no text.
fn authorities(request: &Request) -> impl Iterator<Item = Option<&str>> {
    let headers = request.headers().get_all(HOST).iter().map(|host| host.to_str().ok());
    headers.chain(request.uri().authority().map(|authority| Some(authority.as_str())))
}

/// The host of a name or an address with an optional port, as a browser reads it.
fn host(authority: &str) -> Option<Host> {
    let url = Url::parse(&format!("http://{authority}/")).ok()?;
    let plain = !authority.contains(['/', '\\', '?', '#', '@']) && !authority.is_empty();
    url.host().filter(|_| plain).map(|host| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_with_and_without_a_port() {
        for text in ["localhost", "LOCALHOST:8787", "127.0.0.1:1", "[::1]", "[::1]:80"] {
            assert!(host(text).is_some_and(|host| is_loopback(&host)), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_of_this_machine_is_not_taken_for_one() {
        for text in [
            "",
            "shop.example",
            "localhost.shop.example",
            "shop.example@localhost",
            "localhost@shop.example",
            "shop.example/localhost",
            "shop.example#localhost",
            "localhost:x",
            "192.0.2.1",
            "0.0.0.0",
            "localhost.",
            "local host",
        ] {
            assert!(!host(text).is_some_and(|host| is_loopback(&host)), "{text}");
        }
    }
}
