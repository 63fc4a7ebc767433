//! Tell from its `Host` whether a request was meant for this machine.
//!
//! A page anywhere can give its own name this machine's address (DNS rebinding) and is then of the
//! same origin for its browser. The name that it calls gives it away: no such name is an address or
//! `localhost`.

use axum::extract::Request;
use axum::http::header::HOST;
use url::{Host, Url};

/// Whether all that a request says about where it was sent to is a host that is allowed.
pub(crate) fn is_sent_to(request: &Request, allowed: impl Fn(&Host) -> bool) -> bool {
    let mut authorities = authorities(request).peekable();
    authorities.peek().is_some()
        && authorities.all(|authority| authority.and_then(host).is_some_and(|host| allowed(&host)))
}

/// Whether a host is an address, or a name of this machine.
pub(crate) fn cannot_be_rebound(host: &Host) -> bool {
    match host {
        Host::Domain(_) => is_loopback(host),
        Host::Ipv4(_) | Host::Ipv6(_) => true,
    }
}

/// Whether a host is this machine, by its name or its address.
pub(crate) fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

/// The `Host` headers and the authority of HTTP/2; nothing for what is no text.
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
        for text in ["localhost", "LOCALHOST:8787", "a.localhost", "127.0.0.1:1", "[::1]:80"] {
            assert!(host(text).is_some_and(|host| is_loopback(&host)), "{text}");
        }
    }

    #[test]
    fn an_address_cannot_be_rebound() {
        for text in ["192.0.2.1", "192.0.2.1:8788", "0.0.0.0", "[2001:db8::1]", "localhost"] {
            assert!(host(text).is_some_and(|host| cannot_be_rebound(&host)), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_of_this_machine_is_not_taken_for_one() {
        for text in [
            "",
            "shop.example",
            "localhost.shop.example",
            "mylocalhost",
            "127.0.0.1.example",
            "shop.example@localhost",
            "localhost@shop.example",
            "shop.example/localhost",
            "shop.example#localhost",
            "localhost:x",
            "localhost.",
            "local host",
        ] {
            assert!(!host(text).is_some_and(|host| cannot_be_rebound(&host)), "{text}");
        }
    }

    #[test]
    fn every_host_of_a_request_counts_and_there_must_be_one() {
        let sent_to = |hosts: &[&str]| {
            let request = hosts.iter().fold(Request::get("/"), |it, host| it.header(HOST, *host));
            let request = request.body(axum::body::Body::empty()).expect("a request");
            is_sent_to(&request, cannot_be_rebound)
        };
        assert!(sent_to(&["localhost"]));
        assert!(!sent_to(&["localhost", "shop.example"]));
        assert!(!sent_to(&[]));
    }
}
