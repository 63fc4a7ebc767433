//! What the queue for events costs those who send, and how fast it delivers.
//!
//! ```sh
//! cargo bench --bench beacons
//! ```
//!
//! Senders: as many threads as there are cores send prebuilt events, each call timed alone; once
//! while the queue is drained, with a pause where it would fill up, and once while it is full
//! because the endpoint is silent. Delivery: the queue and bare reqwest send the same events in turns, with as many
//! calls in flight, to an endpoint in a process of its own; medians of the turns are compared.

use std::net::TcpListener;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, BeaconOptions, Beacons, DropReason, EsperConfig,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use uuid::Uuid;

use self::support::{Endpoint, KEY, Outcome, median, percentile, serves};

mod support;

const EVENTS: usize = 2_000;
const TURNS: usize = 15;
const IN_FLIGHT: usize = 16;
const LATENCIES: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(5)];
const ROUNDS: usize = 9;
/// What a thread builds before it sends it.
const BATCH: usize = 256;
const BATCHES: usize = 60;
/// With so many events in the queue, there is room for a batch of many threads.
const ROOM: u64 = 2_000;

fn main() -> Outcome<()> {
    if serves()? {
        return Ok(());
    }
    let threads = thread::available_parallelism()?.get();
    let clock = quantiles((0..100_000).map(|_| timed(|| ())).collect());
    println!("{threads} threads; `send` of a prebuilt event. An empty measurement: {clock:?}");
    println!("\n| queue | p50 and p99 of `send`, in the median of {ROUNDS} rounds |\n|---|---|");
    let endpoint = Endpoint::start(Duration::ZERO)?;
    senders(Queue::Draining, &endpoint.url, threads)?;
    drop(endpoint);
    // It accepts connections, and answers none.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    senders(Queue::Full, &format!("http://{}", silent.local_addr()?), threads)?;
    drop(silent);

    println!("\n{TURNS} turns of {EVENTS} events each, {IN_FLIGHT} in flight; medians");
    println!("| answers after | the queue | bare reqwest | ratio |\n|---|---|---|---|");
    LATENCIES.into_iter().try_for_each(delivery)
}

/// In what state a queue is while its senders are timed.
#[derive(Clone, Copy, PartialEq)]
enum Queue {
    Draining,
    Full,
}

/// Times every `send` of all threads, in several rounds.
fn senders(queue: Queue, url: &str, threads: usize) -> Outcome<()> {
    let client = client(url, BeaconOptions::new())?;
    let beacons = client.beacons();
    if queue == Queue::Full {
        (0..20_000).for_each(|number| beacons.send(event(number)));
    }
    let before = beacons.stats();
    let round = |_| {
        let start = Arc::new(Barrier::new(threads));
        let senders = (0..threads).map(|_| {
            let (beacons, start) = (beacons.clone(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                (0..BATCHES).flat_map(|_| batch(&beacons, queue)).collect::<Vec<_>>()
            })
        });
        let senders: Vec<_> = senders.collect();
        let times = senders.into_iter().flat_map(|sender| sender.join().expect("a sender"));
        quantiles(times.collect())
    };
    let rounds: Vec<_> = (0..ROUNDS).map(round).collect();
    let after = beacons.stats();
    let evicted = after.dropped.of(DropReason::Full) - before.dropped.of(DropReason::Full);
    let sent = (ROUNDS * threads * BATCHES * BATCH) as u64;
    assert_eq!(after.accepted - before.accepted, sent);
    assert_eq!(evicted, if queue == Queue::Full { sent } else { 0 }, "{after:?}");
    let p50 = median(rounds.iter().map(|(p50, _)| p50.as_secs_f64())) * 1e9;
    let p99 = median(rounds.iter().map(|(_, p99)| p99.as_secs_f64())) * 1e9;
    let name = if queue == Queue::Full { "full" } else { "draining" };
    println!("| {name} | {p50:.0} ns, {p99:.0} ns |");
    beacons.shutdown_blocking(Duration::ZERO);
    Ok(())
}

/// Builds some events, and times what it takes to send each.
fn batch(beacons: &Beacons, queue: Queue) -> Vec<Duration> {
    while queue == Queue::Draining && beacons.stats().queued > ROOM {
        thread::sleep(Duration::from_millis(1));
    }
    let events: Vec<_> = (0..BATCH).map(event).collect();
    events.into_iter().map(|event| timed(|| beacons.send(event))).collect()
}

fn timed(act: impl FnOnce()) -> Duration {
    let started = Instant::now();
    act();
    started.elapsed()
}

/// The median, and what 99 of 100 stay below.
fn quantiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (percentile(&times, 0.5), percentile(&times, 0.99))
}

/// Sends the same number of events in both ways, in turns.
fn delivery(latency: Duration) -> Outcome<()> {
    let endpoint = Endpoint::start(latency)?;
    let options = BeaconOptions::new().with_deliveries_in_flight(IN_FLIGHT);
    let client = client(&endpoint.url, options)?;
    let beacons = client.beacons();
    let bare = Bare::new(&endpoint.url)?;
    let (mut of_queue, mut of_bare) = (Vec::new(), Vec::new());
    // The first turn of each opens its connections, and is not counted.
    for turn in 0..=TURNS {
        let events: Vec<_> = (0..EVENTS).map(event).collect();
        let prepared = events.clone();
        let queued = timed(|| {
            prepared.into_iter().for_each(|event| beacons.send(event));
            let report = beacons.flush_blocking(Duration::from_secs(60));
            assert!(report.is_complete(), "{report:?}");
        });
        let started = Instant::now();
        bare.send_all(events)?;
        if turn > 0 {
            of_queue.push(queued);
            of_bare.push(started.elapsed());
        }
    }
    let per_second =
        |times: Vec<Duration>| EVENTS as f64 / median(times.iter().map(Duration::as_secs_f64));
    let (queue, bare) = (per_second(of_queue), per_second(of_bare));
    let ratio = queue / bare;
    println!("| {latency:?} | {queue:.0} events/s | {bare:.0} events/s | {ratio:.3} |");
    Ok(())
}

fn client(url: &str, options: BeaconOptions) -> Outcome<AsyncEsperClient> {
    let config = EsperConfig::new(KEY).with_api_url(url).with_beacon_url(url);
    Ok(AsyncEsperClient::new(config.with_beacons(options))?)
}

fn event(number: usize) -> BeaconEvent {
    BeaconEvent::new("http_request")
        .with_ip("203.0.113.7")
        .with_user_agent("Mozilla/5.0 (X11; Linux x86_64)")
        .with_path("/checkout")
        .with_method("POST")
        .with_timestamp(1_700_000_000_000 + number as i64)
}

/// What somebody would write who has reqwest alone, with a thread and a runtime for it as well.
struct Bare {
    runtime: Runtime,
    client: reqwest::Client,
    endpoint: String,
}

impl Bare {
    fn new(url: &str) -> Outcome<Self> {
        Ok(Self {
            runtime: Builder::new_current_thread().enable_all().build()?,
            // Without compression, as the queue: what the tests turn on is no part of the comparison.
            client: reqwest::Client::builder().no_proxy().no_gzip().build()?,
            endpoint: format!("{url}/v1/events"),
        })
    }

    fn send_all(&self, events: Vec<BeaconEvent>) -> Outcome<()> {
        self.runtime.block_on(async {
            let mut calls = JoinSet::new();
            for event in events {
                if calls.len() == IN_FLIGHT {
                    calls.join_next().await.transpose()?.transpose()?;
                }
                let request = self
                    .client
                    .post(&self.endpoint)
                    .header("X-Esper-Key", KEY)
                    .header("Idempotency-Key", Uuid::now_v7().to_string())
                    .json(&event);
                calls.spawn(async { request.send().await?.error_for_status()?.bytes().await });
            }
            calls.join_all().await.into_iter().try_for_each(|sent| sent.map(drop))?;
            Ok(())
        })
    }
}
