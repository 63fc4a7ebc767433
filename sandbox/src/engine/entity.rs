//! Entities: whom an event or a request is about.

use std::fmt;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::engine::attributes::Attributes;
use crate::engine::{Field, Matcher};

/// Somebody who is counted and mitigated, as a digest of what the definition keys by.
///
/// A digest, because user agents have any length and a million of them are remembered.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Entity(u128);

impl Entity {
    /// The visitor at an address with a user agent. A challenge page is good for one alone.
    pub(crate) fn visitor(ip: IpAddr, user_agent: Option<&str>) -> Self {
        let ip = ip.to_canonical().to_string();
        digest("visitor", [ip.as_str(), user_agent.unwrap_or_default()])
    }

    /// Whoever is at an address, with any user agent.
    pub(crate) fn address(ip: IpAddr) -> Self {
        digest("address", [ip.to_canonical().to_string()])
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

/// Whom a policy counts: events and requests with the same key are of one entity.
#[derive(Debug)]
pub(crate) struct EntityDefinition {
    pub(crate) name: String,
    pub(crate) key: Vec<Field>,
    pub(crate) matcher: Option<Matcher>,
    /// The name and the key, which set its entities apart from those of another definition.
    pub(crate) domain: String,
}

impl EntityDefinition {
    /// The entity of an event or a request, if its key is there. No user agent is the empty one.
    pub(crate) fn entity(&self, attributes: &Attributes<'_>) -> Option<Entity> {
        if self.matcher.as_ref().is_some_and(|matcher| !matcher.matches(attributes)) {
            return None;
        }
        let values = self.key.iter().map(|field| match field {
            Field::UserAgent => Some(attributes.text(field).unwrap_or_default()),
            _ => attributes.text(field),
        });
        let values: Option<Vec<_>> = values.collect();
        values.map(|values| digest(&self.domain, values))
    }

    /// The entity for people, such as `client_ip 203.0.113.7, user_agent curl/8.5.0`.
    pub(crate) fn label(&self, attributes: &Attributes<'_>) -> String {
        let values = self.key.iter().filter_map(|field| {
            let text = attributes.text(field).filter(|text| !text.is_empty())?;
            let value: String = text.chars().take(LONGEST_VALUE).collect();
            let cut = if value.len() < text.len() { "…" } else { "" };
            Some(format!("{field} {value}{cut}"))
        });
        values.collect::<Vec<_>>().join(", ")
    }
}

/// Each text goes in with its length first, so that no two keys share an input.
fn digest<T: AsRef<str>>(domain: &str, values: impl IntoIterator<Item = T>) -> Entity {
    let mut sha = Sha256::new();
    let mut add = |text: &str| {
        sha.update((text.len() as u64).to_be_bytes());
        sha.update(text);
    };
    add(domain);
    values.into_iter().for_each(|value| add(value.as_ref()));
    let mut half = [0; 16];
    half.copy_from_slice(&sha.finalize()[..16]);
    Entity(u128::from_be_bytes(half))
}

/// A text as a number, to tell it from others.
pub(crate) fn short_digest(text: &str) -> u64 {
    let mut eighth = [0; 8];
    eighth.copy_from_slice(&Sha256::digest(text)[..8]);
    u64::from_be_bytes(eighth)
}

/// The most characters of a key's value that a label has.
const LONGEST_VALUE: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(ip: &str, user_agent: &str) -> Entity {
        Entity::visitor(ip.parse().expect("an address"), Some(user_agent))
    }

    fn definition(name: &str, key: &[Field]) -> EntityDefinition {
        let domain = format!("{name} {key:?}");
        EntityDefinition { name: name.to_owned(), key: key.to_vec(), matcher: None, domain }
    }

    fn attributes<'a>(ip: &str, user_agent: Option<&'a str>) -> Attributes<'a> {
        let ip: IpAddr = ip.parse().expect("an address");
        Attributes { ip: Some(ip.to_canonical()), user_agent, ..Attributes::default() }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert_eq!(visitor("::ffff:203.0.113.7", "curl"), visitor("203.0.113.7", "curl"));
    }

    #[test]
    fn an_ipv6_address_has_one_entity_however_it_is_written() {
        assert_eq!(visitor("2001:db8::1", "curl"), visitor("2001:0DB8:0:0:0:0:0:1", "curl"));
    }

    #[test]
    fn each_part_of_a_key_counts() {
        assert_ne!(visitor("203.0.113.7", "curl"), visitor("203.0.113.8", "curl"));
        assert_ne!(visitor("203.0.113.7", "curl"), visitor("203.0.113.7", "wget"));
        assert_ne!(visitor("1.1.1.1", "1"), visitor("1.1.1.11", ""));
    }

    #[test]
    fn an_entity_of_another_definition_is_another() {
        let key = [Field::ClientIp];
        let attributes = attributes("203.0.113.7", None);
        let (one, other) = (definition("one", &key), definition("other", &key));
        assert_ne!(one.entity(&attributes), other.entity(&attributes));
        assert_eq!(one.entity(&attributes), definition("one", &key).entity(&attributes));
    }

    #[test]
    fn no_user_agent_is_the_empty_one_and_no_other_field_may_be_missing() {
        let definition = definition("visitor", &[Field::ClientIp, Field::UserAgent]);
        let (none, empty) = (attributes("203.0.113.7", None), attributes("203.0.113.7", Some("")));
        assert!(definition.entity(&none).is_some());
        assert_eq!(definition.entity(&none), definition.entity(&empty));
        assert_eq!(definition.entity(&Attributes::default()), None);
    }

    #[test]
    fn an_entity_is_read_as_it_was_written() {
        let entity = visitor("203.0.113.7", "curl");
        assert_eq!(Entity::parse(&entity.to_string()), Some(entity));
        assert_eq!(Entity::parse("not hexadecimal"), None);
    }

    #[test]
    fn a_label_is_short() {
        let long = "é".repeat(1 << 20);
        let definition = definition("visitor", &[Field::ClientIp, Field::UserAgent]);
        let label = definition.label(&attributes("203.0.113.7", Some(&long)));
        assert_eq!(label, format!("client_ip 203.0.113.7, user_agent {}…", "é".repeat(120)));
    }
}
