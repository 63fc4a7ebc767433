//! Name whom an event or a decision is about.

use std::fmt;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

/// A visitor: a client address with a user agent, as a digest of both.
///
/// A digest, because user agents have any length and a hundred thousand of them are remembered.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Entity(u128);

impl Entity {
    /// An IPv4 address mapped into IPv6 is the IPv4 address; no user agent is the empty one.
    pub(crate) fn new(ip: IpAddr, user_agent: Option<&str>) -> Self {
        // The address says its own length by its first byte, so that no two visitors share an input.
        let digest = match ip.to_canonical() {
            IpAddr::V4(ip) => Sha256::new().chain_update([4]).chain_update(ip.octets()),
            IpAddr::V6(ip) => Sha256::new().chain_update([6]).chain_update(ip.octets()),
        }
        .chain_update(user_agent.unwrap_or_default())
        .finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(u128::from_be_bytes(half))
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entity({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(ip: &str, user_agent: &str) -> Entity {
        Entity::new(ip.parse().expect("an address"), Some(user_agent))
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert_eq!(entity("::ffff:203.0.113.7", "curl"), entity("203.0.113.7", "curl"));
    }

    #[test]
    fn an_ipv6_address_has_one_entity_however_it_is_written() {
        assert_eq!(entity("2001:db8::1", "curl"), entity("2001:0DB8:0:0:0:0:0:1", "curl"));
    }

    #[test]
    fn address_and_user_agent_both_count() {
        assert_ne!(entity("203.0.113.7", "curl"), entity("203.0.113.8", "curl"));
        assert_ne!(entity("203.0.113.7", "curl"), entity("203.0.113.7", "wget"));
    }

    #[test]
    fn no_user_agent_is_the_empty_one() {
        let ip = "203.0.113.7".parse().expect("an address");
        assert_eq!(Entity::new(ip, None), Entity::new(ip, Some("")));
    }

    #[test]
    fn an_entity_is_read_as_it_was_written() {
        let entity = entity("203.0.113.7", "curl");
        assert_eq!(Entity::parse(&entity.to_string()), Some(entity));
        assert_eq!(Entity::parse("not hexadecimal"), None);
    }
}
