//! The address of a client, behind proxies that are trusted.

use std::fmt;
use std::net::IpAddr;

mod entry;
mod forwarded;
mod list;
mod networks;
mod rules;
mod walk;
mod watch;

pub use rules::{ClientIpRules, ForwardingHeader, MissingAddress};
pub use watch::ClientIpStats;

/// The address that a request counts as coming from, and why it is this one.
///
/// [`ClientIpRules::find`] makes it. Its texts hold nothing that a visitor wrote, and they are
/// short.
///
/// ```
/// use esper_rs_client::enforce::{ClientIpRules, ClientIpSource};
///
/// # fn main() -> Result<(), esper_rs_client::EsperError> {
/// let rules = ClientIpRules::behind_proxies(["10.0.0.0/8"])?;
/// let mut headers = http::HeaderMap::new();
/// headers.insert("x-forwarded-for", "6.6.6.6, 203.0.113.7, 10.1.1.1".parse().unwrap());
///
/// let client = rules.find("10.2.2.2".parse().ok(), &headers);
/// assert_eq!(client.address(), "203.0.113.7".parse().ok());
/// assert_eq!(client.source(), ClientIpSource::Forwarded { hops: 2 });
/// assert_eq!(client.to_string(), "203.0.113.7 (forwarded, trusted hops: 2)");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIp {
    address: Option<IpAddr>,
    source: ClientIpSource,
}

/// Why a client's address is the one it is.
///
/// A *hop* is a trusted address that was passed on the way from this server to the client; the
/// peer of the connection is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientIpSource {
    /// It is the peer's. No header was believed.
    Peer,
    /// Trusted proxies wrote it into the forwarding header.
    Forwarded {
        /// How many trusted addresses lie before it.
        hops: usize,
    },
    /// It is the farthest of the trusted addresses: there is none of anybody else. The client is
    /// inside of the trusted networks, or a proxy did not write the header.
    OnlyTrusted {
        /// How many trusted addresses there are, this one included.
        hops: usize,
    },
    /// It is the last trusted address before an entry that is none (unreadable, empty, `unknown`,
    /// obfuscated, too long), or before more hops than anybody has.
    CutShort {
        /// How many trusted addresses there are, this one included.
        hops: usize,
    },
    /// The CDN wrote it into its header.
    Cdn,
    /// It is that of the CDN itself, whose header was missing, there twice, or unreadable.
    CdnWithoutHeader,
    /// It is the one that [`MissingAddress::StandIn`] gave, since the connection has none.
    StandIn,
    /// There is none.
    Missing,
}

impl ClientIp {
    /// Returns the address, in its canonical form: an IPv4 address that is written as an IPv6
    /// address is an IPv4 address here, and there are no zones.
    ///
    /// It is `None` only where the connection has none and none stands in.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Returns why it is this address.
    #[must_use]
    pub fn source(&self) -> ClientIpSource {
        self.source
    }
}

impl fmt::Display for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address} ({})", self.source),
            None => fmt::Display::fmt(&self.source, f),
        }
    }
}

impl fmt::Display for ClientIpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer => f.write_str("the peer"),
            Self::Forwarded { hops } => write!(f, "forwarded, trusted hops: {hops}"),
            Self::OnlyTrusted { hops } => write!(f, "none but trusted hops: {hops}"),
            Self::CutShort { hops } => write!(f, "cut short, trusted hops: {hops}"),
            Self::Cdn => f.write_str("from the header of the CDN"),
            Self::CdnWithoutHeader => f.write_str("the CDN, without a usable header"),
            Self::StandIn => f.write_str("a stand-in"),
            Self::Missing => f.write_str("no address"),
        }
    }
}

#[cfg(test)]
mod tests;
