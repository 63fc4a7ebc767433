//! Which peers and which header are believed.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{FORWARDED, HeaderMap, HeaderName};

use super::networks::Networks;
use super::watch::{ClientIpStats, Watch};
use super::{ClientIp, ClientIpSource, entry, forwarded, list, walk};
use crate::EsperError;

/// How to find the address of a client.
///
/// A header says whatever the last one to write it wanted. It is therefore believed only from a
/// peer in networks that you give, and only the one header that you name: a proxy that writes one
/// passes on whatever a client wrote into the others.
///
/// | how the application is reached | rules |
/// |---|---|
/// | directly | [`direct`](Self::direct), the default |
/// | through a proxy on the same machine | [`behind_proxies`](Self::behind_proxies)`(["loopback"])` |
/// | through proxies or load balancers | `behind_proxies` with their networks |
/// | through proxies that write `Forwarded` | [`behind_proxies_that_write`](Self::behind_proxies_that_write) |
/// | through a CDN that is the peer | [`behind_cdn`](Self::behind_cdn) with its header and networks |
/// | through a CDN and then proxies | `behind_proxies` with the networks of all of them |
///
/// # Networks
///
/// A network is written `192.0.2.0/24` or `2001:db8::/32`; an address means itself. The word
/// `loopback` means this machine (127.0.0.0/8 and ::1), and `private` the networks that anybody may
/// use: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and fc00::/7. Whoever has an address in a network
/// that you give can pass for any client.
///
/// # Without an address
///
/// `axum::serve(listener, app)` tells handlers no peer address; give it
/// `app.into_make_service_with_connect_info::<SocketAddr>()`. A Unix socket has none at all. What
/// happens then is up to [`with_missing_address`](Self::with_missing_address).
///
/// # A proxy that writes no header
///
/// In TCP mode, or without the header that is named here, a proxy hides all clients: they share one
/// address, and the first bot gets everybody blocked. Nothing in a request shows it, so that the
/// log warns only where a forwarding header comes that no rule believes.
///
/// # Sharing
///
/// Clones share their [`stats`](Self::stats) and what they have already logged.
#[derive(Clone, Debug)]
#[must_use = "rules do nothing until they are asked for an address"]
pub struct ClientIpRules {
    believed: Believed,
    missing: MissingAddress,
    watch: Arc<Watch>,
}

/// A header into which every proxy on the way writes whom it was reached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardingHeader {
    /// `X-Forwarded-For`, addresses with commas between them.
    XForwardedFor,
    /// `Forwarded` of RFC 7239, of which the `for` parameters count.
    Forwarded,
}

/// What to do with a request whose connection has no address.
///
/// A visitor cannot bring this about: it depends on how the application is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingAddress {
    /// Let the request pass unchecked, unless its failure policy is closed for
    /// [`InvalidRequest`](crate::FallbackReason::InvalidRequest): then as `Refuse` does.
    #[default]
    Pass,
    /// Refuse the request. Its [`Decision`](crate::Decision) is a fallback with the reason
    /// [`InvalidRequest`](crate::FallbackReason::InvalidRequest), which no guard counts.
    Refuse,
    /// Act as though the peer had this address.
    ///
    /// If it is in the trusted networks, the header is believed: that is for a proxy that connects
    /// over a Unix socket. If it is not, every client without an address shares this one.
    StandIn(IpAddr),
}

#[derive(Clone, Debug)]
enum Believed {
    Nobody,
    Proxies(ForwardingHeader, Networks),
    Cdn(HeaderName, Networks),
}

impl ClientIpRules {
    /// Takes the peer's address, and believes no header.
    pub fn direct() -> Self {
        Self::believing(Believed::Nobody)
    }

    /// Believes `X-Forwarded-For` from proxies in these [networks](Self#networks).
    ///
    /// The address is the first one from the right that is in none of the networks. An entry that
    /// is no address ends the search at the last proxy before it.
    ///
    /// # Errors
    ///
    /// Fails when there is no network, when one of them cannot be read, or when one of them is
    /// every address there is.
    pub fn behind_proxies(
        networks: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, EsperError> {
        Self::behind_proxies_that_write(ForwardingHeader::XForwardedFor, networks)
    }

    /// Believes a header of your choice from proxies in these [networks](Self#networks); see
    /// [`behind_proxies`](Self::behind_proxies).
    ///
    /// # Errors
    ///
    /// Fails when there is no network, when one of them cannot be read, or when one of them is
    /// every address there is.
    pub fn behind_proxies_that_write(
        header: ForwardingHeader,
        networks: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, EsperError> {
        Ok(Self::believing(Believed::Proxies(header, Networks::parse(networks)?)))
    }

    /// Believes a header with one address, such as `CF-Connecting-IP` or `X-Real-IP`, from a peer
    /// in these [networks](Self#networks).
    ///
    /// From such a peer, a header that is missing, there twice or unreadable leaves the peer's own
    /// address.
    ///
    /// # Errors
    ///
    /// Fails when `header` is no name of a header or is one that holds a list, and as
    /// [`behind_proxies`](Self::behind_proxies) does.
    pub fn behind_cdn(
        header: &str,
        networks: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, EsperError> {
        let refuse = |what: &str| Err(EsperError::validation("client_ip_header", what));
        let Ok(header) = HeaderName::try_from(header) else {
            return refuse(
                "client_ip_header is no name of a header; it looks like cf-connecting-ip",
            );
        };
        if header == FORWARDED || header == X_FORWARDED_FOR {
            return refuse(
                "client_ip_header is one with a list of addresses; use \
                 ClientIpRules::behind_proxies",
            );
        }
        Ok(Self::believing(Believed::Cdn(header, Networks::parse(networks)?)))
    }

    /// Sets what happens where the connection has no address; [`MissingAddress::Pass`] unless set.
    ///
    /// The first time, it is logged as an error; every time, it is counted.
    pub fn with_missing_address(mut self, missing: MissingAddress) -> Self {
        self.missing = missing;
        self
    }

    /// Finds out which address a request comes from.
    ///
    /// `peer` is the address at the other end of the connection. A long header costs no more than
    /// a short one.
    #[must_use]
    pub fn find(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> ClientIp {
        let found = match (peer, self.missing) {
            (Some(peer), _) => self.find_behind(peer, ClientIpSource::Peer, headers),
            (None, missing) => {
                self.watch.note_missing(missing);
                match missing {
                    MissingAddress::StandIn(peer) => {
                        self.find_behind(peer, ClientIpSource::StandIn, headers)
                    }
                    MissingAddress::Pass | MissingAddress::Refuse => {
                        return ClientIp { address: None, source: ClientIpSource::Missing };
                    }
                }
            }
        };
        if let Some(address) = found.address {
            self.watch.note_address(address, headers);
        }
        found
    }

    /// Returns what happens where the connection has no address.
    #[must_use]
    pub fn missing_address(&self) -> MissingAddress {
        self.missing
    }

    /// Returns what these rules and their clones have counted so far.
    #[must_use]
    pub fn stats(&self) -> ClientIpStats {
        self.watch.stats()
    }

    fn believing(believed: Believed) -> Self {
        Self { believed, missing: MissingAddress::default(), watch: Arc::default() }
    }

    fn find_behind(&self, peer: IpAddr, itself: ClientIpSource, headers: &HeaderMap) -> ClientIp {
        let peer = peer.to_canonical();
        let (address, source) = match &self.believed {
            Believed::Proxies(header, trusted) if trusted.contain(peer) => {
                let elements = list::from_the_right(headers, header.name());
                let addresses = elements.map(|element| header.address(element?));
                walk::from(peer, trusted, addresses)
            }
            Believed::Cdn(header, trusted) if trusted.contain(peer) => {
                match only_address(headers, header) {
                    Some(address) => (address, ClientIpSource::Cdn),
                    None => (peer, ClientIpSource::CdnWithoutHeader),
                }
            }
            Believed::Nobody | Believed::Proxies(..) | Believed::Cdn(..) => (peer, itself),
        };
        ClientIp { address: Some(address), source }
    }
}

impl Default for ClientIpRules {
    fn default() -> Self {
        Self::direct()
    }
}

impl ForwardingHeader {
    fn name(self) -> &'static HeaderName {
        match self {
            Self::XForwardedFor => &X_FORWARDED_FOR,
            Self::Forwarded => &FORWARDED,
        }
    }

    fn address(self, element: &[u8]) -> Option<IpAddr> {
        match self {
            Self::XForwardedFor => entry::address(element),
            Self::Forwarded => forwarded::address(element),
        }
    }
}

/// The address in a header that is there once.
fn only_address(headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => entry::address(line.as_bytes()),
        _ => None,
    }
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
