//! Do what the operations ask for: learn, decide, verify, count.
//!
//! Holds all of the sandbox's state, asks the clock and hands the time on.

pub(crate) mod accepted_events;
mod console;
pub(crate) mod idempotency;
pub(crate) mod keys;
mod managed;
mod mitigations;
pub(crate) mod rate_limit;
pub(crate) mod usage;

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use tracing::{error, info};

pub(crate) use self::console::ViewVersion;
pub(crate) use self::managed::NoPage;
use crate::challenge::managed::{Addressee, ManagedChallenges};
use crate::challenge::single_use::Full;
use crate::challenge::{Challenge, Challenges};
use crate::clock::{Clock, Moment, Month};
use crate::console::ConsoleState;
use crate::engine::attributes::Attributes;
use crate::engine::entity::Entity;
use crate::engine::policy::MitigationAction;
use crate::engine::{ActiveMitigation, Analysis, Assessment};
use crate::faults::Faults;
use crate::http::public_url::PublicUrl;
use crate::lock::lock;
use crate::policy_file::{Content, PolicySource};
use crate::recording::Recording;
use crate::service::accepted_events::AcceptedEvents;
use crate::service::idempotency::{IdempotencyKey, IdempotencyStore};
use crate::service::keys::{ApiKeys, KeyId};
use crate::service::rate_limit::{RateLimit, RateLimited};
use crate::service::usage::{DecisionCounts, Usage};

/// The stand-in for Esper, apart from its HTTP.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) faults: Faults,
    pub(crate) recording: Recording,
    /// The events that were accepted.
    pub(crate) accepted: AcceptedEvents,
    clock: Clock,
    keys: ApiKeys,
    rate_limit: Option<Mutex<RateLimit>>,
    idempotency: Mutex<IdempotencyStore>,
    source: PolicySource,
    /// What the policy file had in it when it was last read.
    content: Mutex<Content>,
    analysis: Mutex<Analysis>,
    challenges: Mutex<Challenges>,
    managed: Mutex<ManagedChallenges>,
    pub(crate) public_url: PublicUrl,
    usage: Mutex<Usage>,
    console: Option<ConsoleState>,
}

/// What a service is made of.
pub(crate) struct Parts {
    pub(crate) keys: ApiKeys,
    pub(crate) source: PolicySource,
    pub(crate) challenges: Challenges,
    pub(crate) managed: ManagedChallenges,
    pub(crate) public_url: PublicUrl,
    pub(crate) requests_per_minute: Option<u32>,
    /// Told what happens, if there is one.
    pub(crate) console: Option<ConsoleState>,
}

/// What is decided about a request.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) assessment: Assessment,
    /// There is one if the decision is to challenge, with whom a page for it is for.
    pub(crate) challenge: Option<(Challenge, Addressee)>,
}

impl Service {
    pub(crate) fn new(parts: Parts) -> io::Result<Self> {
        let Parts { keys, source, challenges, managed, public_url, requests_per_minute, console } =
            parts;
        let mut content = Content::default();
        let policies = source.read(&mut content)?;
        let clock = Clock::start();
        Ok(Self {
            faults: Faults::default(),
            recording: Recording::default(),
            accepted: AcceptedEvents::default(),
            rate_limit: requests_per_minute
                .map(|per_minute| Mutex::new(RateLimit::new(per_minute, keys.len()))),
            idempotency: Mutex::new(IdempotencyStore::new()),
            source,
            content: Mutex::new(content),
            analysis: Mutex::new(Analysis::new(policies)),
            challenges: Mutex::new(challenges),
            managed: Mutex::new(managed),
            public_url,
            usage: Mutex::new(Usage::new(keys.len(), clock.month())),
            keys,
            clock,
            console,
        })
    }

    /// Recognises a key.
    pub(crate) fn key(&self, presented: &[u8]) -> Option<KeyId> {
        self.keys.find(presented)
    }

    /// Admits a request of a key, within the key's rate limit if there is one.
    pub(crate) fn admit(&self, key: KeyId) -> Result<(), RateLimited> {
        let Some(rate_limit) = &self.rate_limit else { return Ok(()) };
        lock(rate_limit).admit(key, self.clock.now())
    }

    /// Learns from an event; from the same delivery it learns once.
    pub(crate) fn observe(&self, key: KeyId, keys: &[IdempotencyKey], attributes: &Attributes<'_>) {
        let first = lock(&self.idempotency).is_first(key, keys, self.clock.now());
        self.note_event(attributes, !first);
        if !first {
            return;
        }
        self.learn(attributes);
        // Told last, so that whoever waited for it meets what was learnt from it.
        self.accepted.one_more();
    }

    fn learn(&self, attributes: &Attributes<'_>) {
        let mut analysis = lock(&self.analysis);
        // The time is read under the lock, so that arrivals are in order.
        let begun = analysis.observe(attributes, self.clock.now());
        drop(analysis);
        if let Some(begun) = begun {
            info!(entity = %begun.entity, reason = begun.reason(), "a mitigation begins");
            self.note_begun(&begun);
            // Those that gave way to it, or were over. Of others it is told when somebody looks.
            self.note_ended();
        }
    }

    /// Decides about a request by what was learnt; to decide teaches nothing.
    pub(crate) fn decide(&self, key: KeyId, attributes: &Attributes<'_>) -> io::Result<Decision> {
        let now = self.clock.now();
        let assessment = lock(&self.analysis).assess(attributes, now);
        let challenge = self.challenge_for(attributes, &assessment, now);
        let challenge =
            challenge.inspect_err(|error| error!(%error, "no challenge can be issued"))?;
        let mut usage = lock(&self.usage);
        // The month is read under the lock, so that none is followed by the one before it.
        usage.record(key, assessment.action(), self.clock.month());
        drop(usage);
        self.note_decision(attributes, &assessment);
        Ok(Decision { assessment, challenge })
    }

    fn challenge_for(
        &self,
        attributes: &Attributes<'_>,
        assessment: &Assessment,
        now: Moment,
    ) -> io::Result<Option<(Challenge, Addressee)>> {
        let Some(ActiveMitigation { entity, action: MitigationAction::Challenge(task), .. }) =
            &assessment.mitigation
        else {
            return Ok(None);
        };
        let Some(ip) = attributes.ip else { return Ok(None) };
        let challenge = lock(&self.challenges).issue(*entity, task, now)?;
        let visitor = Entity::visitor(ip, attributes.user_agent);
        Ok(Some((challenge, Addressee { visitor, entity: *entity })))
    }

    /// Accepts the answer to a challenge, which lifts the challenges of its entity.
    pub(crate) fn redeem(&self, token: &str, response: &str) -> Result<bool, Full> {
        let mut challenges = lock(&self.challenges);
        // The time is read under the lock: an answer that was forgotten has expired for all.
        let solved = challenges.redeem(token, response, self.clock.now())?;
        drop(challenges);
        Ok(self.lift_solved(solved, "a challenge"))
    }

    /// Lifts the challenges of the entity that solved one, and tells whether there is one.
    fn lift_solved(&self, solved: Option<Entity>, challenge: &str) -> bool {
        let Some(entity) = solved else { return false };
        lock(&self.analysis).lift_challenges(entity);
        info!(%entity, "{challenge} is passed");
        self.note_ended();
        true
    }

    /// Moves the clock on.
    pub(crate) fn advance(&self, span: Duration) {
        self.clock.advance(span);
        self.note_advance();
    }

    /// The decisions that a key received in the current period, with the period's name.
    pub(crate) fn usage(&self, key: KeyId) -> (DecisionCounts, Month) {
        let mut usage = lock(&self.usage);
        let period = self.clock.month();
        (*usage.of(key, period), period)
    }
}
