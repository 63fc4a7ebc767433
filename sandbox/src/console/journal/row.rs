//! A row of the journal: what happened, and to whom.

use std::net::IpAddr;

use super::{LONG, SHORT, beginning, excerpt};
use crate::clock::Moment;
use crate::engine::Action;
use crate::engine::attributes::Attributes;
use crate::engine::mitigation::{Ending, Mitigation};

/// Something that happened, once or several times within a moment.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Rows are numbered in the order in which they began.
    pub(crate) number: u64,
    /// When it happened first.
    pub(crate) at: Moment,
    pub(crate) subject: Subject,
    pub(crate) what: What,
    pub(crate) count: u64,
}

/// Whom a row is about.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Visitor(ShownVisitor),
    /// An entity that was mitigated, as its policy names it.
    Entity(String),
    /// The policies, by their file.
    Policies(String),
    /// An event without an address.
    Nobody,
    /// More visitors than a moment has rows for.
    Others,
}

/// A visitor by its name, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ShownVisitor {
    pub(crate) ip: IpAddr,
    pub(crate) user_agent: String,
}

/// What happened. The texts are excerpts.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Event {
        kind: String,
        place: Place,
        /// Whether it was counted before, by its id or its idempotency key.
        repeated: bool,
    },
    Decision {
        action: Action,
        place: Place,
        reason: String,
        policy: Option<String>,
        /// The policy that only monitors it.
        monitor: Option<String>,
        score: f64,
    },
    Begun {
        reason: String,
    },
    Ended {
        policy: Option<String>,
        how: Ending,
    },
    /// The policies were read again, or stay as they were because of a mistake.
    Reload {
        mistake: Option<String>,
    },
    /// What other visitors did, of one class.
    Many(Class),
}

/// Where a row's visitor was.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The first method and path, as far as they were told.
    pub(crate) shown: String,
    pub(super) hash: u64,
    /// Whether the same row counted other places.
    pub(crate) others: bool,
}

/// What shares a bound on the rows of a moment, so that none of it hides the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    Event,
    Allowed,
    Mitigated,
    Mitigation,
    Reload,
}

/// Who was seen where, as it came with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation<'a> {
    pub(crate) ip: Option<IpAddr>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) method: Option<&'a str>,
    pub(crate) path: Option<&'a str>,
}

/// A decision as the journal is told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict<'a> {
    pub(crate) action: Action,
    /// Why, if there is a reason.
    pub(crate) reason: Option<&'a str>,
    pub(crate) policy: Option<&'a str>,
    /// The policy that only monitors it.
    pub(crate) monitor: Option<&'a str>,
    pub(crate) score: f64,
}

impl<'a> From<&Attributes<'a>> for Observation<'a> {
    fn from(attributes: &Attributes<'a>) -> Self {
        let Attributes { ip, user_agent, method, path, .. } = *attributes;
        Self { ip, user_agent, method, path }
    }
}

impl Observation<'_> {
    /// What tells one visitor from another.
    pub(super) fn key(&self) -> (Option<IpAddr>, Option<&[u8]>) {
        (self.ip, self.user_agent.map(beginning))
    }

    /// What tells one place from another.
    pub(super) fn place(&self) -> (Option<&[u8]>, Option<&[u8]>) {
        (self.method.map(beginning), self.path.map(beginning))
    }
}

impl Place {
    pub(super) fn new(observation: &Observation<'_>, hash: u64) -> Self {
        let [method, path] = [(observation.method, SHORT), (observation.path, LONG)]
            .map(|(text, most)| excerpt(text.unwrap_or_default(), most));
        let apart = if method.is_empty() || path.is_empty() { "" } else { " " };
        Self { shown: format!("{method}{apart}{path}"), hash, others: false }
    }
}

impl ShownVisitor {
    fn new(observation: &Observation<'_>) -> Option<Self> {
        let user_agent = excerpt(observation.user_agent.unwrap_or(""), LONG);
        observation.ip.map(|ip| Self { ip: ip.to_canonical(), user_agent })
    }
}

impl From<Observation<'_>> for Subject {
    fn from(observation: Observation<'_>) -> Self {
        ShownVisitor::new(&observation).map_or(Self::Nobody, Self::Visitor)
    }
}

impl Subject {
    pub(super) fn entity(mitigation: &Mitigation) -> Self {
        Self::Entity(excerpt(&mitigation.label, LONG))
    }
}

impl Class {
    pub(super) const COUNT: usize = 5;

    pub(super) fn index(self) -> usize {
        self as usize
    }
}
