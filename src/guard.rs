//! Decisions for callers who cannot wait: in time, whatever happens.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tracing::warn;

#[cfg(feature = "tower")]
use crate::metrics::Stopwatch;
use crate::{AsyncEsperClient, EsperError, MitigationRequest};

mod alarm;
mod breaker;
mod decide;
mod decision;
mod last_verdicts;
mod policy;
mod reason;
mod shared_breaker;
mod stats;

pub use decision::{Decision, DecisionSource};
pub use policy::{FailurePolicy, OnFailure};
pub use reason::FallbackReason;
pub use stats::{Fallbacks, GuardStats};

use alarm::Alarm;
use last_verdicts::LastVerdicts;
use shared_breaker::SharedBreaker;
use stats::Counters;
#[cfg(feature = "tower")]
use stats::Deciding;

/// Decides about requests within a deadline, and never fails.
///
/// It is what stands between a web application and [`AsyncEsperClient::check_mitigation`], which
/// may take as long as its timeout and may fail. A guard asks the service too, but it answers
/// within its deadline, 300 ms unless set, and when there is no decision of the service by then,
/// its [`FailurePolicy`] decides. [`Decision::source`] tells which.
///
/// ```no_run
/// use esper_rs_client::{
///     AsyncEsperClient, EsperConfig, Guard, MitigationAction, MitigationRequest,
/// };
///
/// # async fn handle() -> Result<(), esper_rs_client::EsperError> {
/// // Once, at the start.
/// let guard = Guard::new(AsyncEsperClient::new(EsperConfig::from_env()?)?);
/// let _ = guard.warm().await;
///
/// // For each request.
/// let request = MitigationRequest::new("203.0.113.7").with_user_agent("a browser");
/// let decision = guard.decide(&request).await;
/// match decision.action {
///     MitigationAction::Allow => println!("on to the handler"),
///     MitigationAction::Challenge => println!("429 with {:?}", decision.open_challenge()),
///     MitigationAction::Block => println!("403"),
/// }
/// # Ok(())
/// # }
/// ```
///
/// # What is inside
///
/// - One deadline for a decision, with one retry in it. The first attempt gets 60 % of the time.
/// - A limit on the calls in flight. Beyond it, a decision falls back at once.
/// - A breaker. After five calls in a row that got no answer, or one of 500 or above, the service
///   is not asked for a second, and then by one call at a time until it answers; the waits double
///   to 30 s. Other answers, such as a 429, are answers.
/// - The service's last block or challenge of each visitor, which is an address with a user agent.
///   Within a minute it holds in every fallback, so that neither an outage nor a rate
///   limit is a free pass; the policy decides about the others. A policy that fails closed is not
///   made milder by a challenge that holds.
///
/// # Sharing
///
/// A clone is cheap and shares all of this with its original, except for options that are set
/// afterwards. A route that fails closed is therefore a clone with another policy:
///
/// ```
/// # use esper_rs_client::{FailurePolicy, Guard};
/// # fn routes(guard: Guard) {
/// let payments = guard.clone().with_failure_policy(FailurePolicy::closed());
/// # }
/// ```
///
/// The future of a decision spawns no task; dropping it cancels the call.
///
/// # Panics
///
/// The future of a decision panics when it is polled outside of a tokio runtime, or in one without
/// IO and time.
#[derive(Clone)]
#[must_use = "a guard does nothing until it is asked"]
pub struct Guard {
    client: AsyncEsperClient,
    deadline: Duration,
    policy: FailurePolicy,
    verdict_lifetime: Duration,
    max_in_flight: usize,
    in_flight: Arc<Semaphore>,
    breaker: Arc<SharedBreaker>,
    common: Arc<Common>,
}

/// What all clones share, whatever their options.
struct Common {
    counters: Counters,
    alarm: Alarm,
    last_verdicts: LastVerdicts,
}

impl Guard {
    /// Makes a guard that asks through this client.
    ///
    /// Of the client's options, the timeout, the retries and their delay are not used; an attempt
    /// timeout is, where it is shorter than what a guard would give.
    pub fn new(client: AsyncEsperClient) -> Self {
        let common = Common {
            counters: Counters::default(),
            alarm: Alarm::default(),
            last_verdicts: LastVerdicts::new(VISITORS),
        };
        Self {
            client,
            deadline: DEADLINE,
            policy: FailurePolicy::open(),
            verdict_lifetime: VERDICT_LIFETIME,
            max_in_flight: MAX_IN_FLIGHT,
            in_flight: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
            breaker: Arc::new(SharedBreaker::new(BREAKER_FAILURES, BREAKER_WAIT)),
            common: Arc::new(common),
        }
    }

    /// Sets the longest that a decision may take; 300 ms unless set. With zero, each is a fallback.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets what to do when there is no decision of the service; to allow, unless set.
    pub fn with_failure_policy(mut self, policy: FailurePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets how many calls may be under way at once; 256 unless set.
    ///
    /// 256 is a quarter of the usual limit of 1,024 open files; at 10 ms a call it allows 25,600
    /// decisions per second. With zero, each decision is an
    /// [`Overload`](FallbackReason::Overload). Clones that were made before keep their limit.
    pub fn with_max_in_flight(mut self, calls: usize) -> Self {
        self.max_in_flight = calls.min(Semaphore::MAX_PERMITS);
        self.in_flight = Arc::new(Semaphore::new(self.max_in_flight));
        self
    }

    /// Sets after how many failures in a row the service is not asked, and for how long at first;
    /// five and one second unless set. Zero failures count as one.
    ///
    /// The longest wait doubles with each probe that fails, to thirty times the first, and the wait
    /// is drawn uniformly between half of the first and the longest. No wait is longer than a year.
    /// Clones that were made before keep their breaker.
    pub fn with_breaker(mut self, failures: u32, wait: Duration) -> Self {
        self.breaker = Arc::new(SharedBreaker::new(failures, wait));
        self
    }

    /// Sets for how long a visitor's last block or challenge holds when the service does not
    /// decide; one minute unless set, and not at all if it is zero.
    ///
    /// Those of the 10,000 visitors that were last blocked or challenged are kept, for all clones;
    /// each applies its own lifetime.
    pub fn with_verdict_lifetime(mut self, lifetime: Duration) -> Self {
        self.verdict_lifetime = lifetime;
        self
    }

    /// Makes a connection before the first visitor needs it, and finds out whether the key works.
    ///
    /// It reads the key's usage, and takes at most 5 s. An idle connection is closed after 20 s;
    /// where visitors are rarer and the deadline is shorter than a handshake, call it now and then.
    ///
    /// # Errors
    ///
    /// Fails when there is no answer, and when the key is wrong. The log says so too, so the error
    /// can be left alone: decisions fall back as ever.
    pub async fn warm(&self) -> Result<(), EsperError> {
        let answer = self.client.get_usage_within(self.limits(WARM_UP, 0)).await;
        match &answer {
            Ok(_) => self.common.alarm.accept_key(),
            Err(error) => {
                let reason = self.classify(error);
                warn!(%reason, %error, "the warm-up failed; decisions fall back while esper fails");
            }
        }
        answer.map(drop)
    }

    /// Forgets a challenge that a visitor has solved, so that it does not come back in a fallback.
    ///
    /// Call it when [`AsyncEsperClient::verify_challenge`] says `true`, with the request's address
    /// and user agent. A block stays.
    pub fn forget_challenge(&self, request: &MitigationRequest) {
        let verdicts = &self.common.last_verdicts;
        if let Some(visitor) = verdicts.visitor(request) {
            verdicts.forget_challenge(&visitor);
        }
    }

    /// Learns what became of the verification of an answer to a challenge.
    #[cfg(feature = "tower")]
    pub(crate) fn note_verification(&self, error: Option<&dyn fmt::Display>) {
        match error {
            Some(error) => self.common.alarm.raise_for_verification(error),
            None => self.common.alarm.lower_for_verification(),
        }
    }

    /// Counts a fallback that was decided for another request, and is that of an equal one too.
    #[cfg(feature = "tower")]
    pub(crate) fn note_shared(&self, decision: &Decision, stopwatch: Stopwatch) {
        Deciding::begin(&self.common.counters, stopwatch).end(decision);
    }

    /// Returns the client that is asked. Its queue of events, with the feature `beacons`, is that of
    /// a layer with this guard too.
    pub fn client(&self) -> &AsyncEsperClient {
        &self.client
    }

    /// Counts what this guard and its clones have done so far.
    #[must_use]
    pub fn stats(&self) -> GuardStats {
        let in_flight = self.max_in_flight - self.in_flight.available_permits();
        self.common.counters.snapshot(in_flight)
    }
}

impl From<AsyncEsperClient> for Guard {
    fn from(client: AsyncEsperClient) -> Self {
        Self::new(client)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("client", &self.client)
            .field("deadline", &self.deadline)
            .field("max_in_flight", &self.max_in_flight)
            .finish_non_exhaustive()
    }
}

/// What a visitor hardly notices, and a call over a warm connection hardly ever needs.
const DEADLINE: Duration = Duration::from_millis(300);
const WARM_UP: Duration = Duration::from_secs(5);

/// Under HTTP/1 each is a socket; a process may usually have 1,024.
const MAX_IN_FLIGHT: usize = 256;
const BREAKER_FAILURES: u32 = 5;
const BREAKER_WAIT: Duration = Duration::from_secs(1);

const VERDICT_LIFETIME: Duration = Duration::from_secs(60);
const VISITORS: NonZeroUsize = NonZeroUsize::new(10_000).expect("more than none");
