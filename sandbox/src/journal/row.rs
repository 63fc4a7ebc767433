//! Say what a row of the journal is about.

use std::net::IpAddr;

use super::{LONG, beginning, excerpt};
use crate::clock::Moment;
use crate::wire::Action;

/// Something that happened, once or several times within a moment.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Rows are numbered in the order in which they began.
    pub(crate) number: u64,
    /// When it happened first.
    pub(crate) at: Moment,
    pub(crate) whose: Whose,
    pub(crate) what: What,
    pub(crate) count: u64,
}

/// Whom a row is about.
#[derive(Clone, Debug)]
pub(crate) enum Whose {
    Visitor(Visitor),
    /// An event without an address.
    Nobody,
    /// More visitors than a moment has rows for.
    Others,
}

/// A visitor by its name, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Visitor {
    pub(crate) ip: IpAddr,
    pub(crate) user_agent: String,
}

/// What happened. The texts are excerpts.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Event {
        kind: String,
        path: String,
        path_hash: u64,
        /// Whether the same row counted other paths.
        other_paths: bool,
        /// Whether it was counted before, by its idempotency key.
        repeated: bool,
    },
    Decision {
        action: Action,
        reason: String,
        policy: Option<String>,
        score: f64,
    },
    Begun {
        reason: String,
    },
    Ended {
        policy: String,
        how: Ending,
    },
    /// What other visitors did, of one class.
    Many(Class),
}

/// Why a mitigation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ending {
    /// Its challenge was passed.
    Passed,
    /// By hand.
    Lifted,
    Expired,
}

/// What shares a bound on the rows of a moment, so that none of it hides the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    Event,
    Allowed,
    Mitigated,
    Mitigation,
}

/// Who was seen where, as it came with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting<'a> {
    pub(crate) ip: Option<IpAddr>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) path: Option<&'a str>,
}

impl Sighting<'_> {
    /// What tells one visitor from another.
    pub(super) fn key(&self) -> (Option<IpAddr>, Option<&[u8]>) {
        (self.ip, self.user_agent.map(beginning))
    }
}

impl Visitor {
    pub(crate) fn new(sighting: &Sighting<'_>) -> Option<Self> {
        let user_agent = excerpt(sighting.user_agent.unwrap_or(""), LONG);
        sighting.ip.map(|ip| Self { ip: ip.to_canonical(), user_agent })
    }
}

impl From<Sighting<'_>> for Whose {
    fn from(sighting: Sighting<'_>) -> Self {
        Visitor::new(&sighting).map_or(Self::Nobody, Self::Visitor)
    }
}

impl From<Visitor> for Whose {
    fn from(visitor: Visitor) -> Self {
        Self::Visitor(visitor)
    }
}

impl Class {
    pub(super) const COUNT: usize = 4;

    pub(super) fn index(self) -> usize {
        self as usize
    }
}
