//! Decisions through the guard: every one is there, is right, and is counted.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use esper_rs_client::{
    AsyncEsperClient, Decision, DecisionSource, EsperConfig, FallbackReason, Guard, GuardStats,
    MitigationAction, MitigationRequest,
};
use tokio::time::{sleep, timeout};

use crate::arguments::Arguments;
use crate::chance::draw;
use crate::endpoint::Endpoint;
use crate::watch::Watch;

/// Who asks.
struct Callers {
    client: AsyncEsperClient,
    guard: Guard,
    seed: u64,
    next: AtomicU64,
    decisions: u64,
}

/// What came of it, as those saw it who asked.
#[derive(Debug, Default)]
struct Seen {
    by_service: u64,
    held: u64,
    fallbacks: HashMap<FallbackReason, u64>,
    cancelled: u64,
    /// By the client, without the guard.
    answered: u64,
    failed: u64,
    longest: Duration,
}

pub(crate) fn soak(arguments: &Arguments, endpoint: &Endpoint) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let watch = Watch::default();
    let callers = Arc::new(Callers::new(arguments, endpoint));
    let before = endpoint.restarts();
    let seen = watch.during(
        || {
            let stats = stats(&callers.guard);
            (callers.next.load(Ordering::SeqCst), format!("{stats:?}"))
        },
        || {
            let tasks: Vec<_> =
                (0..TASKS).map(|_| runtime.spawn(Arc::clone(&callers).ask())).collect();
            let done = |part: u64| {
                while callers.next.load(Ordering::SeqCst) < arguments.decisions * part / 10 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            };
            // An outage belongs to the warm-up: it takes other ways through the memory.
            done(1);
            endpoint.restart();
            done(3);
            watch.warmed_up();
            done(5);
            endpoint.restart();
            runtime.block_on(async {
                let mut seen = Seen::default();
                for task in tasks {
                    seen.add(task.await.expect("no panic"));
                }
                seen
            })
        },
    );
    println!("{seen:?}");
    watch.is_flat();
    assert_eq!(endpoint.restarts(), before + 2);
    callers.settle(&seen);
}

impl Callers {
    fn new(arguments: &Arguments, endpoint: &Endpoint) -> Self {
        let config = EsperConfig::new("sk_soak_0123456789")
            .with_api_url(endpoint.url())
            .with_beacon_url(endpoint.url())
            .with_timeout(Duration::from_secs(2))
            .with_max_retries(2)
            .with_retry_delay(Duration::from_millis(10));
        let client = AsyncEsperClient::new(config).expect("a client");
        let guard = Guard::new(client.clone()).with_deadline(DEADLINE);
        let guard = guard.with_breaker(5, Duration::from_millis(20));
        let (seed, decisions) = (arguments.seed, arguments.decisions);
        Self { client, guard, seed, next: AtomicU64::new(0), decisions }
    }

    /// Asks until all has been asked.
    async fn ask(self: Arc<Self>) -> Seen {
        let mut seen = Seen::default();
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.decisions {
                return seen;
            }
            let chance = draw(self.seed, "visitor", number);
            let (request, action) = visitor(chance % VISITORS);
            match (chance >> 32) % 1_000 {
                0 => match timeout(Duration::from_millis(1), self.guard.decide(&request)).await {
                    Ok(decision) => seen.note(&decision, action),
                    Err(_) => seen.cancelled += 1,
                },
                1..=99 => match self.client.check_mitigation(&request).await {
                    Ok(response) => {
                        assert_eq!(response.action, action);
                        seen.answered += 1;
                    }
                    Err(_) => seen.failed += 1,
                },
                _ => {
                    let started = Instant::now();
                    let decision = self.guard.decide(&request).await;
                    seen.longest = seen.longest.max(started.elapsed());
                    seen.note(&decision, action);
                    if decision.fallback_reason() == Some(FallbackReason::BreakerOpen) {
                        // An outage is not to use up all of the decisions.
                        sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }
    }

    /// Compares what was seen with what was counted.
    fn settle(&self, seen: &Seen) {
        let stats = stats(&self.guard);
        println!("{stats:?}\n{:?}", self.client.stats());
        assert_eq!(seen.total(), self.decisions, "every one is there");
        assert_eq!(stats.decisions + seen.answered + seen.failed, self.decisions);
        assert_eq!(stats.decisions, stats.by_service + stats.fallbacks.total() + stats.cancelled);
        assert_eq!(
            (stats.by_service, stats.held, stats.cancelled, stats.in_flight),
            (seen.by_service, seen.held, seen.cancelled, 0)
        );
        for (reason, fallbacks) in &seen.fallbacks {
            assert_eq!(stats.fallbacks.of(*reason), *fallbacks, "{reason}");
        }
        let calls = self.client.stats();
        assert_eq!(calls.calls, calls.succeeded + calls.failed + calls.cancelled, "{calls:?}");
        assert_eq!(calls.succeeded, seen.by_service + seen.answered, "{calls:?}");

        assert!(stats.by_service > stats.decisions / 2, "most are the service's");
        assert!(stats.fallbacks.of(FallbackReason::BreakerOpen) > 0, "the endpoint was gone");
        assert!(seen.longest < DEADLINE + SLACK, "one took {:?}", seen.longest);
    }
}

impl Seen {
    /// Checks a decision about a visitor of whom the service always says the same.
    fn note(&mut self, decision: &Decision, action: MitigationAction) {
        match decision.source {
            DecisionSource::Service => {
                assert_eq!(decision.action, action);
                self.by_service += 1;
            }
            DecisionSource::Fallback { reason, held, .. } => {
                let expected = if held { action } else { MitigationAction::Allow };
                assert_eq!(decision.action, expected, "{decision:?}");
                self.held += u64::from(held);
                *self.fallbacks.entry(reason).or_default() += 1;
            }
            _ => panic!("{decision:?}"),
        }
    }

    fn add(&mut self, other: Self) {
        self.by_service += other.by_service;
        self.held += other.held;
        self.cancelled += other.cancelled;
        for (reason, fallbacks) in other.fallbacks {
            *self.fallbacks.entry(reason).or_default() += fallbacks;
        }
        self.answered += other.answered;
        self.failed += other.failed;
        self.longest = self.longest.max(other.longest);
    }

    fn total(&self) -> u64 {
        let ends = self.by_service + self.cancelled + self.answered + self.failed;
        ends + self.fallbacks.values().sum::<u64>()
    }
}

/// The counts, in which nothing ends that has not begun.
fn stats(guard: &Guard) -> GuardStats {
    let stats = guard.stats();
    let ended = stats.by_service + stats.fallbacks.total() + stats.cancelled;
    assert!(ended <= stats.decisions && stats.held <= stats.fallbacks.total(), "{stats:?}");
    stats
}

/// A visitor, and what the endpoint says of them.
fn visitor(number: u64) -> (MitigationRequest, MitigationAction) {
    let [.., b, c, d] = number.to_be_bytes();
    let (path, action) = match number % 10 {
        0 => ("/block", MitigationAction::Block),
        1 => ("/challenge", MitigationAction::Challenge),
        _ => ("/allow", MitigationAction::Allow),
    };
    let request = MitigationRequest::new(format!("10.{b}.{c}.{d}")).with_user_agent("soak");
    (request.with_path(path), action)
}

const TASKS: usize = 64;
/// With more blocks and challenges than the guard keeps in mind.
const VISITORS: u64 = 100_000;
const DEADLINE: Duration = Duration::from_millis(300);
/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(5);
