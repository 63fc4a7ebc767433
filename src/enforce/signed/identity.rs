//! The visitor that a signed token is bound to.

use std::net::IpAddr;

use ipnet::IpNet;
use sha2::{Digest, Sha256};

use super::token::put_field;

/// How closely a clearance, and an open challenge, is bound to the address of its visitor. It is
/// bound to the site and the user agent in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClearanceBinding {
    /// To no address. Whoever solves one challenge can hand the cookie to any number of machines,
    /// until it ends.
    Nothing,
    /// To the network of the address: a /24 of IPv4, a /48 of IPv6, which are the smallest that
    /// the internet routes.
    ///
    /// Who changes between IPv4 and IPv6 keeps the clearance, as browsers do so at any time: it
    /// also holds in the first network of the other kind in which it is shown, and no further
    /// one. Each replica finds that out for itself. Who changes to another network of the same
    /// kind, as from a wireless network to a mobile one, solves another challenge.
    #[default]
    Network,
    /// To the very address. Visitors whose address changes, by their provider's doing or between
    /// IPv4 and IPv6, solve a challenge each time.
    Address,
}

/// The visitor that a signed token is bound to, as the request shows it.
#[derive(Clone, Copy, Debug)]
pub(in crate::enforce) struct VisitorIdentity<'a> {
    /// The host, with the port where the request has one. Upper and lower case are the same.
    pub(in crate::enforce) site: &'a str,
    /// What else the request calls the site, by which the application may go; mostly empty.
    pub(in crate::enforce) other_name: &'a str,
    /// As it came; empty where there is none.
    pub(in crate::enforce) user_agent: &'a [u8],
    /// The client's, however that was found out.
    pub(in crate::enforce) address: Option<IpAddr>,
}

/// The addresses that a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::enforce) enum NetworkScope {
    /// Every address.
    Any,
    /// The request had no address.
    Unknown,
    In(IpNet),
}

/// How one scope relates to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::enforce) enum NetworkRelation {
    Same,
    /// A network of the other kind, which can be the same visitor's.
    OtherFamily,
    Elsewhere,
}

impl VisitorIdentity<'_> {
    /// The site, by all of its names, and the user agent, in a digest of fixed size.
    pub(in crate::enforce) fn digest(&self) -> [u8; 32] {
        let length = self.site.len() + self.user_agent.len() + self.other_name.len();
        let mut bytes = Vec::with_capacity(length + 3 * size_of::<u32>());
        put_field(&mut bytes, self.site.to_ascii_lowercase().as_bytes());
        put_field(&mut bytes, self.user_agent);
        put_field(&mut bytes, self.other_name.to_ascii_lowercase().as_bytes());
        Sha256::digest(bytes).into()
    }

    pub(in crate::enforce) fn scope(&self, binding: ClearanceBinding) -> NetworkScope {
        let Some(address) = self.address.map(|address| address.to_canonical()) else {
            return match binding {
                ClearanceBinding::Nothing => NetworkScope::Any,
                ClearanceBinding::Network | ClearanceBinding::Address => NetworkScope::Unknown,
            };
        };
        match binding {
            ClearanceBinding::Nothing => NetworkScope::Any,
            ClearanceBinding::Network => NetworkScope::In(network_of(address)),
            ClearanceBinding::Address => NetworkScope::In(address.into()),
        }
    }
}

/// The network of an address: the smallest that the internet routes.
pub(in crate::enforce) fn network_of(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let length = match address {
        IpAddr::V4(_) => NETWORK_V4,
        IpAddr::V6(_) => NETWORK_V6,
    };
    IpNet::new_assert(address, length).trunc()
}

impl NetworkScope {
    pub(in crate::enforce) fn relation_to(self, other: Self) -> NetworkRelation {
        match (self, other) {
            (one, other) if one == other => NetworkRelation::Same,
            (Self::In(one), Self::In(other)) => match (one.prefix_len(), other.prefix_len()) {
                (NETWORK_V4, NETWORK_V6) | (NETWORK_V6, NETWORK_V4) => NetworkRelation::OtherFamily,
                _ => NetworkRelation::Elsewhere,
            },
            _ => NetworkRelation::Elsewhere,
        }
    }

    pub(in crate::enforce) fn to_text(self) -> String {
        match self {
            Self::Any => ANY.to_owned(),
            Self::Unknown => UNKNOWN.to_owned(),
            Self::In(net) => net.to_string(),
        }
    }

    pub(in crate::enforce) fn from_text(text: &[u8]) -> Option<Self> {
        match std::str::from_utf8(text).ok()? {
            ANY => Some(Self::Any),
            UNKNOWN => Some(Self::Unknown),
            net => net.parse().ok().map(Self::In),
        }
    }
}

const NETWORK_V4: u8 = 24;
const NETWORK_V6: u8 = 48;
const ANY: &str = "any";
const UNKNOWN: &str = "unknown";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> VisitorIdentity<'static> {
        let address = Some(address.parse().unwrap());
        VisitorIdentity { site: "shop.example", other_name: "", user_agent: b"Firefox", address }
    }

    #[test]
    fn a_network_scope_is_as_large_as_the_binding_says() {
        use ClearanceBinding::{Address, Network, Nothing};
        use NetworkRelation::{Elsewhere, OtherFamily, Same};

        for (one, other, network, address) in [
            ("192.0.2.1", "192.0.2.1", Same, Same),
            ("192.0.2.1", "192.0.2.254", Same, Elsewhere),
            ("192.0.2.1", "192.0.3.1", Elsewhere, Elsewhere),
            ("192.0.2.1", "::ffff:192.0.2.1", Same, Same),
            ("2001:db8:1::1", "2001:db8:1:ffff::2", Same, Elsewhere),
            ("2001:db8:1::1", "2001:db8:2::1", Elsewhere, Elsewhere),
            ("192.0.2.1", "2001:db8:1::1", OtherFamily, Elsewhere),
            ("::1", "127.0.0.1", OtherFamily, Elsewhere),
        ] {
            for (one, other) in [(at(one), at(other)), (at(other), at(one))] {
                let near = |binding| one.scope(binding).relation_to(other.scope(binding));
                assert_eq!(near(Nothing), Same);
                assert_eq!(near(Network), network, "{one:?} {other:?}");
                assert_eq!(near(Address), address, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn another_binding_or_no_address_is_elsewhere() {
        use ClearanceBinding::{Address, Network, Nothing};
        let nowhere = VisitorIdentity { address: None, ..at("::1") };
        for scope in [nowhere.scope(Network), nowhere.scope(Address)] {
            assert_eq!(scope, NetworkScope::Unknown);
        }
        assert_eq!(nowhere.scope(Nothing), NetworkScope::Any);
        for address in ["192.0.2.0", "2001:db8:1::"] {
            let scopes = [Nothing, Network, Address].map(|binding| at(address).scope(binding));
            for (number, scope) in scopes.iter().enumerate() {
                assert_eq!(scope.relation_to(NetworkScope::Unknown), NetworkRelation::Elsewhere);
                for (_, other) in scopes.iter().enumerate().filter(|(other, _)| *other != number) {
                    assert_eq!(
                        scope.relation_to(*other),
                        NetworkRelation::Elsewhere,
                        "{scope:?} {other:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_network_scope_is_read_as_it_was_written() {
        for binding in
            [ClearanceBinding::Nothing, ClearanceBinding::Network, ClearanceBinding::Address]
        {
            for who in
                [at("192.0.2.77"), at("2001:db8::7"), VisitorIdentity { address: None, ..at("::") }]
            {
                let scope = who.scope(binding);
                assert_eq!(NetworkScope::from_text(scope.to_text().as_bytes()), Some(scope));
            }
        }
        for text in ["", "an", "192.0.2.1", "192.0.2.0/33", "\u{e9}"] {
            assert_eq!(NetworkScope::from_text(text.as_bytes()), None, "{text}");
        }
        assert_eq!(NetworkScope::from_text(b"\xff"), None);
    }

    #[test]
    fn no_two_visitors_share_a_digest() {
        let named = |site, other_name, user_agent| {
            VisitorIdentity { site, other_name, user_agent, address: None }.digest()
        };
        let who = |site, user_agent| named(site, "", user_agent);
        assert_eq!(who("Shop.Example", b"x"), who("shop.example", b"x"));
        assert_ne!(who("shop.example", b"x"), who("shop.example", b"X"));
        assert_ne!(who("shop.example", b"x"), who("shop.example:8443", b"x"));
        assert_ne!(who("ab", b"c"), who("a", b"bc"));
        assert_ne!(who("a", b""), who("", b"a"));
        assert_ne!(named("a", "b", b"x"), who("a", b"x"));
        assert_ne!(named("a", "b", b"x"), named("b", "a", b"x"));
        assert_ne!(named("a", "b", b"x"), named("a", "c", b"x"));
    }
}
