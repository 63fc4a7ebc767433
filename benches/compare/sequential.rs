//! One call after the other, over one kept-alive connection: time, processor, allocations.

use std::time::{Duration, Instant};

use esper_rs_client::{AsyncEsperClient, Beacons, EsperConfig};
use tokio::runtime::Runtime;

use super::clients::{Client, Kind, Payloads};
use super::processor::cpu_time;
use super::server::{Protocol, Server};
use crate::support::{KEY, Outcome, median};

/// What turns took, for each decision and event.
#[derive(Default)]
pub(crate) struct Turns {
    walls: Vec<Duration>,
    cpus: Vec<Duration>,
    events: Vec<Duration>,
}

/// What one call took, in the median of the turns; in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    /// Of an event that is sent and waited for.
    pub(crate) event: Option<f64>,
    /// Of the calling thread.
    pub(crate) allocations: Option<f64>,
}

impl Turns {
    pub(crate) fn decided(&mut self, wall: Duration, cpu: Duration, calls: u32) {
        self.walls.push(wall / calls);
        self.cpus.push(cpu / calls);
    }

    pub(crate) fn told(&mut self, wall: Duration, events: u32) {
        self.events.push(wall / events);
    }

    pub(crate) fn cost(self, allocations: Option<f64>) -> Cost {
        let median = |times: &[Duration]| median(times.iter().map(Duration::as_secs_f64));
        let event = (!self.events.is_empty()).then(|| median(&self.events));
        Cost { wall: median(&self.walls), cpu: median(&self.cpus), event, allocations }
    }
}

/// A client with its connection, for one call at a time.
pub(crate) struct Caller<'a> {
    client: Client,
    runtime: &'a Runtime,
    payloads: &'a Payloads,
    turns: Turns,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(
        kind: Kind,
        server: &Server,
        runtime: &'a Runtime,
        payloads: &'a Payloads,
    ) -> Outcome<Self> {
        let client = runtime.block_on(kind.client(server, Protocol::Http1))?;
        Ok(Self { client, runtime, payloads, turns: Turns::default() })
    }

    /// A turn that counts, unless it `warms` up.
    pub(crate) fn turn(&mut self, warms: bool) -> Outcome<()> {
        let cpu = cpu_time()?;
        let started = Instant::now();
        self.decide(DECISIONS)?;
        let wall = started.elapsed();
        // The processor also pays for the events that are on their way by now.
        self.client.settle();
        let cpu = cpu_time()? - cpu;
        let started = Instant::now();
        let tells = self.tell(EVENTS)?;
        if !warms {
            self.turns.decided(wall, cpu, DECISIONS);
            if tells {
                self.turns.told(started.elapsed(), EVENTS);
            }
        }
        Ok(())
    }

    /// What the turns took, and what a decision allocates.
    pub(crate) fn end(mut self) -> Outcome<Cost> {
        let mut decided: Outcome<()> = Ok(());
        let counted = allocation_counter::measure(|| {
            decided = block(&mut self.client, self.runtime, self.payloads, DECISIONS);
        });
        decided?;
        let allocations = counted.count_total as f64 / f64::from(DECISIONS);
        Ok(self.turns.cost(Some(allocations)))
    }

    fn decide(&mut self, calls: u32) -> Outcome<()> {
        let mut decided: Outcome<()> = Ok(());
        // Counting takes its time as well.
        allocation_counter::opt_out(|| {
            decided = block(&mut self.client, self.runtime, self.payloads, calls);
        });
        decided
    }

    fn tell(&mut self, events: u32) -> Outcome<bool> {
        self.runtime.block_on(async {
            for _ in 0..events {
                if !self.client.tell(self.payloads).await? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }
}

/// The queue, of which a caller knows no more than how long it takes to send.
pub(crate) struct Queue {
    beacons: Beacons,
    turns: Vec<Duration>,
}

impl Queue {
    pub(crate) fn new(server: &Server) -> Outcome<Self> {
        let url = server.url(Protocol::Http1);
        let config = EsperConfig::new(KEY).with_api_url(&url).with_beacon_url(url);
        Ok(Self { beacons: AsyncEsperClient::new(config)?.beacons(), turns: Vec::new() })
    }

    /// A turn that counts, unless it `warms` up.
    pub(crate) fn turn(&mut self, warms: bool, payloads: &Payloads) {
        let mut events = vec![payloads.event.clone(); QUEUED as usize].into_iter();
        let started = Instant::now();
        allocation_counter::opt_out(|| {
            events.by_ref().for_each(|event| self.beacons.send(event));
        });
        let elapsed = started.elapsed();
        if !warms {
            self.turns.push(elapsed / QUEUED);
        }
        let report = self.beacons.flush_blocking(Duration::from_secs(30));
        assert!(report.is_complete(), "{report:?}");
    }

    /// In seconds.
    pub(crate) fn cost(self) -> f64 {
        median(self.turns.iter().map(Duration::as_secs_f64))
    }
}

fn block(client: &mut Client, runtime: &Runtime, payloads: &Payloads, calls: u32) -> Outcome<()> {
    runtime.block_on(async {
        for _ in 0..calls {
            client.decide(payloads).await?;
        }
        Ok(())
    })
}

const DECISIONS: u32 = 400;
const EVENTS: u32 = 50;
const QUEUED: u32 = 200;
