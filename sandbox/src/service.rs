//! Do what the operations ask for: learn, decide, verify, count.
//!
//! Holds all of the sandbox's state, asks the clock and hands the time on.

mod console;
mod managed;

use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{error, info};
use uuid::Uuid;

pub(crate) use self::console::Edition;
pub(crate) use self::managed::NoPage;
use crate::analysis::Analysis;
use crate::challenge::{Challenge, Challenges};
use crate::clock::Clock;
use crate::console::ConsoleState;
use crate::crawlers::crawler;
use crate::deliveries::Deliveries;
use crate::entity::Entity;
use crate::error::ApiError;
use crate::journal::{Ending, Sighting};
use crate::keys::{ApiKeys, KeyId};
use crate::managed::ManagedChallenges;
use crate::mitigation::Standing;
use crate::policy::Effect;
use crate::public_url::PublicUrl;
use crate::rate_limit::RateLimit;
use crate::usage::{Counts, Usage};

/// The stand-in for Esper, apart from its HTTP.
#[derive(Debug)]
pub(crate) struct Service {
    keys: ApiKeys,
    clock: Clock,
    rate_limit: Option<Mutex<RateLimit>>,
    deliveries: Mutex<Deliveries>,
    analysis: Mutex<Analysis>,
    challenges: Mutex<Challenges>,
    managed: Mutex<ManagedChallenges>,
    public_url: PublicUrl,
    usage: Mutex<Usage>,
    console: Option<ConsoleState>,
}

/// What is decided about a request.
#[derive(Debug)]
pub(crate) struct Decision {
    /// Whom it is about.
    pub(crate) entity: Entity,
    pub(crate) standing: Standing,
    /// There is one if the decision is to challenge.
    pub(crate) challenge: Option<Challenge>,
    /// The known crawler that the request's user agent names.
    pub(crate) crawler: Option<&'static str>,
}

impl Service {
    pub(crate) fn new(
        keys: ApiKeys,
        challenges: Challenges,
        managed: ManagedChallenges,
        public_url: PublicUrl,
        requests_per_minute: Option<u32>,
    ) -> Self {
        let clock = Clock::start();
        Self {
            rate_limit: requests_per_minute
                .map(|per_minute| Mutex::new(RateLimit::new(per_minute, keys.len()))),
            deliveries: Mutex::new(Deliveries::new()),
            analysis: Mutex::new(Analysis::new()),
            challenges: Mutex::new(challenges),
            managed: Mutex::new(managed),
            public_url,
            usage: Mutex::new(Usage::new(keys.len(), clock.month())),
            keys,
            clock,
            console: None,
        }
    }

    /// Tells a console what happens.
    pub(crate) fn with_console(mut self, console: Option<ConsoleState>) -> Self {
        self.console = console;
        self
    }

    /// Recognises a key.
    pub(crate) fn key(&self, presented: &[u8]) -> Option<KeyId> {
        self.keys.find(presented)
    }

    /// Admits a request of a key, within the key's rate limit if there is one.
    pub(crate) fn admit(&self, key: KeyId) -> Result<(), ApiError> {
        let Some(rate_limit) = &self.rate_limit else { return Ok(()) };
        let mut rate_limit = lock(rate_limit);
        let per_minute = rate_limit.per_minute;
        rate_limit
            .admit(key, self.clock.now())
            .map_err(|wait| ApiError::rate_limited(per_minute, wait))
    }

    /// Learns from an event; from the same delivery it learns once.
    pub(crate) fn observe(
        &self,
        key: KeyId,
        delivery: Option<Uuid>,
        kind: &str,
        whose: Sighting<'_>,
    ) {
        let repeated = delivery.is_some_and(|delivery| {
            !lock(&self.deliveries).is_first(key, delivery, self.clock.now())
        });
        self.note_event(whose, kind, repeated);
        let Some(ip) = whose.ip.filter(|_| !repeated) else { return };
        let entity = Entity::new(ip, whose.user_agent);
        let mut analysis = lock(&self.analysis);
        // The time is read under the lock, so that arrivals are in order.
        let begun = analysis.observe(entity, self.clock.now());
        drop(analysis);
        for mitigation in begun {
            info!(%entity, reason = mitigation.reason(), "a mitigation begins");
            self.begun(entity, whose, &mitigation);
        }
    }

    /// Decides about a request by what was learnt; to decide teaches nothing.
    pub(crate) fn decide(
        &self,
        key: KeyId,
        ip: IpAddr,
        user_agent: Option<&str>,
    ) -> io::Result<Decision> {
        let (entity, now) = (Entity::new(ip, user_agent), self.clock.now());
        let standing = lock(&self.analysis).standing(entity, now);
        let effect = standing.mitigation.map(|mitigation| mitigation.policy.effect);
        let challenge = (effect == Some(Effect::Challenge))
            .then(|| lock(&self.challenges).issue(entity, now))
            .transpose()
            .inspect_err(|error| error!(%error, "no challenge can be issued"))?;
        let mut usage = lock(&self.usage);
        // The month is read under the lock, so that none is followed by the one before it.
        usage.record(key, effect, self.clock.month());
        drop(usage);
        let decision =
            Decision { entity, standing, challenge, crawler: user_agent.and_then(crawler) };
        self.note_decision(Sighting { ip: Some(ip), user_agent, path: None }, &decision);
        Ok(decision)
    }

    /// Accepts the answer to a challenge, which lifts the challenges of its entity.
    pub(crate) fn redeem(&self, token: &str, response: &str) -> bool {
        let mut challenges = lock(&self.challenges);
        // The time is read under the lock: an answer that was forgotten has expired for all.
        let solved = challenges.redeem(token, response, self.clock.now());
        drop(challenges);
        if let Some(entity) = solved {
            lock(&self.analysis).lift_challenges(entity);
            info!(%entity, "a challenge is passed");
            self.ended(entity, Ending::Passed);
        }
        solved.is_some()
    }

    /// The decisions that a key received in the current period, with the period's name.
    pub(crate) fn usage(&self, key: KeyId) -> (Counts, String) {
        let mut usage = lock(&self.usage);
        let period = self.clock.month();
        (*usage.of(key, period.clone()), period)
    }
}

/// Goes on after a panic: a count that is off by one serves a test better than a dead sandbox.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
