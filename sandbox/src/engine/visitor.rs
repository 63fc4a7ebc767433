//! A visitor, as somebody names one to put something on or to lift it.

use std::net::IpAddr;

use crate::engine::Field;
use crate::engine::attributes::Attributes;
use crate::engine::entity::{Entity, short_digest};

/// Somebody who visits an application: an address, with one user agent or with any.
///
/// ```
/// use esper_sandbox::Visitor;
///
/// let anybody_there = Visitor::new("203.0.113.7");
/// let with_curl = Visitor::new("203.0.113.7").with_user_agent("curl/8.5.0");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    ip: String,
    user_agent: Option<String>,
}

impl Visitor {
    /// Whoever is at an address, with any user agent.
    pub fn new(ip: impl Into<String>) -> Self {
        Self { ip: ip.into(), user_agent: None }
    }

    /// Only with this user agent.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// Reads the address.
    #[track_caller]
    pub(crate) fn target(self) -> Target {
        let Ok(ip) = self.ip.parse::<IpAddr>() else {
            panic!("{:?} is no IP address; a visitor is named by one, without a port", self.ip);
        };
        Target { ip: ip.to_canonical(), user_agent: self.user_agent }
    }
}

/// An address stands for whoever is there.
impl From<&str> for Visitor {
    fn from(ip: &str) -> Self {
        Self::new(ip)
    }
}

/// An address stands for whoever is there.
impl From<IpAddr> for Visitor {
    fn from(ip: IpAddr) -> Self {
        Self::new(ip.to_string())
    }
}

/// A visitor whom something is put on by hand, or lifted.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    ip: IpAddr,
    user_agent: Option<String>,
}

impl Target {
    /// The entity that a mitigation by hand is put on.
    pub(crate) fn entity(&self) -> Entity {
        match &self.user_agent {
            Some(user_agent) => Entity::visitor(self.ip, Some(user_agent)),
            None => Entity::address(self.ip),
        }
    }

    /// The visitor for people, in the manner of an entity.
    pub(crate) fn label(&self) -> String {
        match &self.user_agent {
            Some(user_agent) => format!("client_ip {}, user_agent {user_agent}", self.ip),
            None => format!("client_ip {}", self.ip),
        }
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope { ip: self.ip, user_agent: self.user_agent.as_deref().map(short_digest) }
    }
}

/// Whom a mitigation is about, in little memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    ip: IpAddr,
    /// A digest; none is any.
    user_agent: Option<u64>,
}

impl Scope {
    /// Whom an entity is about, if its key has an address.
    pub(crate) fn of(key: &[Field], attributes: &Attributes<'_>) -> Option<Self> {
        let ip = attributes.ip.filter(|_| key.contains(&Field::ClientIp))?;
        let has_user_agent = key.contains(&Field::UserAgent);
        let user_agent =
            has_user_agent.then(|| short_digest(attributes.user_agent.unwrap_or_default()));
        Some(Self { ip, user_agent })
    }

    /// Whether both may be about the same visitor. One without a user agent is about any.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let same_user_agent = |(own, other)| own == other;
        self.ip == other.ip && self.user_agent.zip(other.user_agent).is_none_or(same_user_agent)
    }
}
