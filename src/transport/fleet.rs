//! A fleet through an outage, with and without what keeps it from making the outage worse.
//!
//! ```sh
//! cargo test --release --lib fleet -- --ignored --nocapture
//! ```
//!
//! Every replica asks through a guard or a client of its own, which are the real ones down to the
//! retries. Below stands a service in the place of the network. The clock is paused and all draws
//! have one seed, so every run prints the table that the guide to scale shows.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, Middleware, Next, Result};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, sleep_until};
use tower::retry::budget::TpsBudget;

use super::Transport;
use super::retry::{self, Retry};
use crate::{AsyncEsperClient, EsperConfig, Guard, MitigationRequest};

/// What is asked, how often, and with what in place.
#[derive(Clone, Copy)]
struct Fleet {
    replicas: u32,
    asks: Asks,
    budget: bool,
    jitter: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// With the defaults: 300 ms, one retry, a breaker.
    Guard,
    GuardWithBreaker(u32, Duration),
    /// `check_mitigation` with the defaults: 30 s, three retries.
    Client,
}

/// What was seen, in tenths of a second since the start.
#[derive(Default)]
struct Seen {
    requests: Vec<u32>,
    decisions: Vec<Decisions>,
}

#[derive(Clone, Copy, Default)]
struct Decisions {
    asked_for: u32,
    by_service: u32,
    took: Duration,
}

const RATE: u32 = 10;
const OUTAGE_BEGINS: Duration = Duration::from_secs(5);
const OUTAGE_ENDS: Duration = Duration::from_secs(65);
const END: Duration = Duration::from_secs(105);
/// How late an answer is, a failure as well.
const LATENCY: Duration = Duration::from_millis(5);
const SEED: u64 = 7;
const SLOT: Duration = Duration::from_millis(100);

const NO_BREAKER: Asks = Asks::GuardWithBreaker(u32::MAX, Duration::ZERO);
const SHORT_BREAKER: Asks = Asks::GuardWithBreaker(5, Duration::from_millis(250));
const FULL: Fleet = Fleet { replicas: 1_000, asks: Asks::Guard, budget: true, jitter: true };

#[test]
#[ignore = "takes minutes; a small fleet is always tested"]
fn a_thousand_replicas_do_what_the_guide_says() {
    let rows = [
        ("guard", FULL),
        ("guard, breaker of 250 ms", Fleet { asks: SHORT_BREAKER, ..FULL }),
        ("guard, no jitter", Fleet { jitter: false, ..FULL }),
        ("guard, no breaker", Fleet { asks: NO_BREAKER, ..FULL }),
        ("guard, neither breaker nor budget", Fleet { asks: NO_BREAKER, budget: false, ..FULL }),
        ("`check_mitigation`", Fleet { asks: Asks::Client, ..FULL }),
        ("`check_mitigation`, no budget", Fleet { asks: Asks::Client, budget: false, ..FULL }),
        (
            "`check_mitigation`, neither budget nor jitter",
            Fleet { asks: Asks::Client, budget: false, jitter: false, ..FULL },
        ),
    ];
    let page = include_str!("../guide/scale.md");
    let mut others = Vec::new();
    for (name, fleet) in rows {
        let row = fleet.run().row(name, fleet.replicas);
        println!("{row}");
        if !page.lines().any(|line| says_as_much(line, &row)) {
            others.push(row);
        }
    }
    assert!(others.is_empty(), "src/guide/scale.md says otherwise: {others:#?}");
}

/// Whether two rows have the same name, and figures that differ by 5 % at most: the waits are
/// differences of wall-clock times, and what falls into a tenth of a second is a matter of nanoseconds.
fn says_as_much(line: &str, row: &str) -> bool {
    let (ours, theirs) = (line.split('|'), row.split('|'));
    let number = |cell: &str| cell.split_whitespace().next().and_then(|text| text.parse().ok());
    ours.clone().count() == theirs.clone().count()
        && ours.zip(theirs).all(|(one, other)| match (number(one), number(other)) {
            (Some(one), Some(other)) => f64::abs(one - other) <= 0.05 * f64::max(one, other),
            _ => one.trim() == other.trim(),
        })
}

#[test]
fn a_fleet_leaves_a_service_in_trouble_alone_and_comes_back() {
    const SMALL: Fleet = Fleet { replicas: 4, ..FULL };
    let guarded = SMALL.run();
    assert!(guarded.load(SMALL.replicas) < 0.05, "{}", guarded.load(SMALL.replicas));
    assert!(guarded.recovery(0.99) <= Duration::from_secs(31), "{:?}", guarded.recovery(0.99));

    // One retry for ten calls, and one a second.
    let budgeted = Fleet { asks: NO_BREAKER, ..SMALL }.run();
    assert!((1.1..=1.25).contains(&budgeted.load(SMALL.replicas)));
    let bare = Fleet { asks: NO_BREAKER, budget: false, ..SMALL }.run();
    assert!((1.95..=2.0).contains(&bare.load(SMALL.replicas)));
}

impl Fleet {
    fn run(self) -> Seen {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
        fastrand::seed(SEED);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let service = Arc::new(Service { began: runtime.block_on(now()), seen: Arc::clone(&seen) });
        runtime.block_on(async {
            let replicas = (0..self.replicas).map(|number| {
                let phase = Duration::from_secs(1) / RATE * number / self.replicas;
                tokio::spawn(replica(self, self.client(&service), Arc::clone(&service), phase))
            });
            for replica in replicas.collect::<Vec<_>>() {
                replica.await.expect("a replica");
            }
        });
        drop((runtime, service));
        Arc::into_inner(seen).expect("everybody has gone").into_inner().expect("no panic")
    }

    fn client(self, service: &Arc<Service>) -> AsyncEsperClient {
        let config = EsperConfig::new("key").with_api_url("http://127.0.0.1:1");
        let config = config.with_beacon_url("http://127.0.0.1:1");
        let transport = Transport::with_stack(&config, |client| {
            let retry = if self.budget {
                Retry::new()
            } else {
                Retry::within(TpsBudget::new(retry::BUDGET_WINDOW, 1_000_000, 1.0))
            };
            ClientBuilder::new(client).with(retry).with_arc(Arc::clone(service) as _)
        });
        AsyncEsperClient::over(transport.expect("a transport"), config).expect("a client")
    }
}

/// Decides at a steady rate, however long each decision takes.
async fn replica(fleet: Fleet, client: AsyncEsperClient, service: Arc<Service>, phase: Duration) {
    let guard = Guard::new(client.clone());
    let guard = match fleet.asks {
        Asks::GuardWithBreaker(failures, wait) => guard.with_breaker(failures, wait),
        Asks::Guard | Asks::Client => guard,
    };
    let mut due = service.began + phase;
    let mut decisions = Vec::new();
    while due < service.began + END {
        sleep_until(due).await;
        let (guard, client, service) = (guard.clone(), client.clone(), Arc::clone(&service));
        let decision = async move {
            let request = MitigationRequest::new("203.0.113.7");
            let started = Instant::now();
            let by_service = match fleet.asks {
                Asks::Client => client.check_mitigation(&request).await.is_ok(),
                _ => guard.decide(&request).await.fallback_reason().is_none(),
            };
            service.note(started, by_service);
        };
        decisions.push(if fleet.jitter {
            tokio::spawn(decision)
        } else {
            tokio::spawn(alike(decision))
        });
        due += Duration::from_secs(1) / RATE;
    }
    for decision in decisions {
        decision.await.expect("a decision");
    }
}

/// Lets a future draw what all others draw, in the middle of what it may.
async fn alike<T>(future: impl Future<Output = T>) -> T {
    let from_middle =
        |seed: &u64| ((fastrand::Rng::with_seed(*seed).f64() - 0.5) * 1e9).abs() as u64;
    let seed = (0..100).min_by_key(from_middle).expect("one of a hundred");
    let mut future = pin!(future);
    poll_fn(|context| {
        fastrand::seed(seed);
        future.as_mut().poll(context)
    })
    .await
}

/// Esper and the network before it: an allow, or a 503 during the outage.
struct Service {
    began: Instant,
    seen: Arc<Mutex<Seen>>,
}

impl Service {
    fn note(&self, started: Instant, by_service: bool) {
        let mut seen = self.seen.lock().expect("no panic");
        let slot = place(&mut seen.decisions, started - self.began);
        slot.asked_for += 1;
        slot.by_service += u32::from(by_service);
        slot.took += started.elapsed();
    }
}

#[async_trait::async_trait]
impl Middleware for Service {
    async fn handle(&self, _: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        let since = self.began.elapsed();
        *place(&mut self.seen.lock().expect("no panic").requests, since) += 1;
        sleep(LATENCY).await;
        let down = (OUTAGE_BEGINS..OUTAGE_ENDS).contains(&since);
        let answer = http::Response::builder().status(if down { 503 } else { 200 });
        let answer = answer.header("content-type", "application/json");
        Ok(answer.body(r#"{"action":"allow","message":"x"}"#).expect("an answer").into())
    }
}

impl Seen {
    fn row(&self, name: &str, replicas: u32) -> String {
        let busiest = self.in_outage(&self.requests).iter().max().expect("an outage");
        let decisions = self.in_outage(&self.decisions);
        let took: Duration = decisions.iter().map(|slot| slot.took).sum();
        let asked_for: u32 = decisions.iter().map(|slot| slot.asked_for).sum();
        format!(
            "| {name} | {:.3} | {busiest} | {:.0} ms | {:.1} s | {:.1} s |",
            self.load(replicas),
            (took / asked_for).as_secs_f64() * 1e3,
            self.recovery(0.5).as_secs_f64(),
            self.recovery(0.99).as_secs_f64(),
        )
    }

    /// Requests for each decision, while the outage lasts.
    fn load(&self, replicas: u32) -> f64 {
        let slots = self.in_outage(&self.requests);
        let decisions = f64::from(replicas * RATE) * SLOT.as_secs_f64() * slots.len() as f64;
        f64::from(slots.iter().sum::<u32>()) / decisions
    }

    /// How long after the outage this share of the decisions is the service's.
    fn recovery(&self, share: f64) -> Duration {
        let after = &self.decisions[slot(OUTAGE_ENDS)..];
        let whole =
            |slot: &Decisions| f64::from(slot.by_service) >= share * f64::from(slot.asked_for);
        SLOT * after.iter().position(whole).expect("an end of it") as u32
    }

    /// From ten seconds into the outage, when what was left of the good times is used up.
    fn in_outage<'a, T>(&self, slots: &'a [T]) -> &'a [T] {
        &slots[slot(OUTAGE_BEGINS) + 100..slot(OUTAGE_ENDS)]
    }
}

fn slot(since: Duration) -> usize {
    (since.as_millis() / SLOT.as_millis()) as usize
}

fn place<T: Clone + Default>(slots: &mut Vec<T>, since: Duration) -> &mut T {
    let slot = slot(since);
    slots.resize(slots.len().max(slot + 1), T::default());
    &mut slots[slot]
}

async fn now() -> Instant {
    Instant::now()
}
