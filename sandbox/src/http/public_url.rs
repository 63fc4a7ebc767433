//! Where a visitor's browser finds the sandbox.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;

use url::{Host, Url};

/// The URL that the pages of the sandbox stand below. Without one that was given, it is that of the
/// address, which is known once the sandbox listens.
#[derive(Debug, Default)]
pub(crate) struct PublicUrl(OnceLock<Url>);

impl PublicUrl {
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let url = url.ok_or_else(|| {
            let why = format!(
                "{text:?} is no public URL; give an absolute http or https URL without user, \
                 query and fragment"
            );
            io::Error::new(io::ErrorKind::InvalidInput, why)
        })?;
        Ok(Self(OnceLock::from(url)))
    }

    /// Uses the address that the sandbox listens on, unless a URL was given.
    pub(crate) fn set_default(&self, addr: SocketAddr) {
        // What is made of an address is a URL.
        if let Ok(url) = Url::parse(&url_of(addr)) {
            self.0.get_or_init(|| url);
        }
    }

    /// The URL of a path of the sandbox, such as `/healthz`.
    pub(crate) fn with_path(&self, path: &str) -> Option<String> {
        self.0.get().map(|url| format!("{}{path}", url.as_str().trim_end_matches('/')))
    }

    /// Whether this is the URL's host.
    pub(crate) fn has_host(&self, host: &Host) -> bool {
        let own = self.0.get().and_then(Url::host);
        own.is_some_and(|own| own.to_owned() == *host)
    }

    /// Whether this is the origin of the sandbox's pages, as a browser sends it.
    pub(crate) fn has_origin(&self, origin: &str) -> bool {
        self.0.get().is_some_and(|url| url.origin().ascii_serialization() == origin)
    }
}

/// Where a client on this machine finds a listener.
pub(crate) fn url_of(addr: SocketAddr) -> String {
    format!("http://{}", reachable(addr))
}

/// Where a client on this machine finds a listener, which may listen on all addresses.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_can_be_called_even_if_all_addresses_are_listened_on() {
        for (listen, expected) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            let listen: SocketAddr = listen.parse().expect("an address");
            assert_eq!(reachable(listen).to_string(), expected);
        }
    }
}
