//! Many calls in flight: how many a second, how long the slow ones take, over how many connections.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::clients::{Client, Kind, Payloads};
use super::server::{Protocol, Server};
use crate::support::{Outcome, median, percentile};

/// A number of callers, each with one call under way at any time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Concurrency {
    pub(crate) protocol: Protocol,
    pub(crate) callers: usize,
}

/// How a client's first calls come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// One alone, as by `Guard::warm`, then all.
    Warm,
    /// All at once.
    Cold,
}

/// What one turn showed, or the median of several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) per_second: f64,
    /// In seconds.
    pub(crate) p99: f64,
    /// Through TLS, as the server counts them.
    pub(crate) connections: usize,
}

/// What became of all callers.
struct Run {
    callers: Vec<Client>,
    elapsed: Duration,
    /// Of each call.
    times: Vec<Duration>,
}

impl Concurrency {
    pub(crate) const ALL: [Self; 4] = [
        Self { protocol: Protocol::Http1, callers: 64 },
        Self { protocol: Protocol::Http1, callers: 512 },
        Self { protocol: Protocol::Http2, callers: 64 },
        Self { protocol: Protocol::Http2, callers: 512 },
    ];

    /// A turn of a client of its own, in a runtime of its own, so that nothing is left behind.
    pub(crate) fn turn(
        self,
        kind: Kind,
        start: Start,
        server: &Server,
        payloads: &Arc<Payloads>,
    ) -> Outcome<Seen> {
        let before = server.connections()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut counted: Outcome<(Duration, Vec<Duration>)> = Err("nothing was run".into());
        allocation_counter::opt_out(|| {
            counted = runtime.block_on(async {
                let mut client = kind.client(server, self.protocol).await?;
                if start == Start::Warm {
                    client.decide(payloads).await?;
                }
                let mut callers = Vec::new();
                for _ in 0..self.callers {
                    callers.push(client.another(server, self.protocol).await?);
                }
                // The first round opens the connections, and is not counted.
                let callers = self.run(kind, callers, payloads, 1).await?.callers;
                let run = self.run(kind, callers, payloads, CALLS / self.callers).await?;
                client.settle();
                Ok((run.elapsed, run.times))
            });
        });
        let (elapsed, mut times) = counted?;
        times.sort_unstable();
        Ok(Seen {
            per_second: times.len() as f64 / elapsed.as_secs_f64(),
            p99: percentile(&times, 0.99).as_secs_f64(),
            connections: server.connections()? - before,
        })
    }

    /// Lets all callers call at once, each so often.
    async fn run(
        self,
        kind: Kind,
        callers: Vec<Client>,
        payloads: &Arc<Payloads>,
        calls: usize,
    ) -> Outcome<Run> {
        let started = Instant::now();
        let mut ended = Vec::new();
        if kind == Kind::Sync {
            let callers = callers.into_iter().map(|caller| {
                let payloads = Arc::clone(payloads);
                thread::spawn(move || pollster::block_on(call(caller, &payloads, calls)))
            });
            let callers: Vec<_> = callers.collect();
            for caller in callers {
                ended.push(caller.join().map_err(|_| "a caller panicked")?);
            }
        } else {
            let mut tasks = JoinSet::new();
            for caller in callers {
                let payloads = Arc::clone(payloads);
                tasks.spawn(async move { call(caller, &payloads, calls).await });
            }
            ended.extend(tasks.join_all().await);
        }
        let elapsed = started.elapsed();
        let (mut callers, mut times) = (Vec::new(), Vec::new());
        for one in ended {
            let (caller, took) = one?;
            callers.push(caller);
            times.extend(took);
        }
        Ok(Run { callers, elapsed, times })
    }
}

impl Seen {
    pub(crate) fn middle(turns: &[Self]) -> Self {
        Self {
            per_second: median(turns.iter().map(|seen| seen.per_second)),
            p99: median(turns.iter().map(|seen| seen.p99)),
            connections: turns.iter().map(|seen| seen.connections).max().unwrap_or_default(),
        }
    }
}

async fn call(
    mut caller: Client,
    payloads: &Payloads,
    calls: usize,
) -> Result<(Client, Vec<Duration>), String> {
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let started = Instant::now();
        caller.decide(payloads).await.map_err(|error| error.to_string())?;
        times.push(started.elapsed());
    }
    Ok((caller, times))
}

const CALLS: usize = 4096;
