//! What a decision costs: by hyper, by reqwest, by the parts of this crate, by the published client.
//!
//! ```sh
//! cargo bench --bench compare --features tower
//! ```
//!
//! All ask one server in a process of its own, in turns, so that a noisy neighbour of the machine
//! hurts them alike; medians of the turns are compared. The calls that are made one after the other
//! share one processor with the server. The tables go to `benches/RESULTS.md`, the picture to
//! `benches/decision.svg`. Linux only: the time of the processor is read from `/proc`.
//!
//! With `-- --only Guard` (or another [`Kind`]), one client makes calls for a profiler, and that is
//! all.

use std::process::Command;
use std::sync::Arc;
use std::{env, fs};

use self::clients::{Kind, Payloads};
use self::concurrent::{Concurrency, Seen, Start};
use self::generated::call;
use self::processor::Pinned;
use self::published::Published;
use self::report::{Report, Row};
use self::sequential::{Caller, Cost, Queue};
use self::server::{Protocol, Server, is_server};
use self::support::Outcome;

mod bare;
mod clients;
mod concurrent;
mod generated;
mod plot;
mod processor;
mod published;
mod report;
mod sequential;
mod server;
#[path = "../support/mod.rs"]
mod support;

const TURNS: usize = 41;
const CONCURRENT_TURNS: usize = 5;

fn main() -> Outcome<()> {
    if is_server()? {
        return Ok(());
    }
    let machine = processor::shape()?;
    let server = Server::start()?;
    let mut arguments = env::args().skip_while(|argument| argument != ONLY).skip(1);
    if let Some(name) = arguments.next() {
        return only(&name, &server);
    }
    let mut published = match Published::start(&server) {
        Ok(published) => Some(published),
        Err(error) => {
            println!("skipped: the published Python client, which cannot be had here ({error})");
            None
        }
    };
    let payloads = Arc::new(Payloads::new()?);
    let (costs, queued) = one_by_one(&server, &payloads, published.as_mut())?;
    let concurrent = all_at_once(&server, &payloads, published.as_mut())?;

    let names = Kind::ALL.map(Kind::name).into_iter().chain(published.is_some().then_some(PYTHON));
    let rows = names.zip(costs).zip(concurrent);
    let report = Report {
        machine,
        date: today()?,
        published: published.map(|published| published.versions),
        rows: rows.map(|((name, cost), concurrent)| Row { name, cost, concurrent }).collect(),
        queued,
        cold: cold_connections(&server, &payloads)?,
    };
    let text = report.to_string();
    println!("\n{text}");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches");
    fs::write(format!("{folder}/RESULTS.md"), text)?;
    fs::write(format!("{folder}/decision.svg"), plot::draw(&report.rows))?;
    Ok(())
}

/// Lets one client make calls for a profiler, and prints nothing.
fn only(name: &str, server: &Server) -> Outcome<()> {
    let kind = Kind::ALL.into_iter().find(|kind| format!("{kind:?}") == name);
    let kind = kind.ok_or_else(|| format!("no such client: {name}; there are {:?}", Kind::ALL))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let payloads = Payloads::new()?;
    let mut caller = Caller::new(kind, server, &runtime, &payloads)?;
    (0..TURNS).try_for_each(|_| caller.turn(true))
}

/// Each client makes one call after the other, in turns.
fn one_by_one(
    server: &Server,
    payloads: &Payloads,
    mut published: Option<&mut Published>,
) -> Outcome<(Vec<Cost>, f64)> {
    let _pinned = pinned([server.id()].into_iter().chain(published.as_ref().map(|it| it.id())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let callers = Kind::ALL.map(|kind| Caller::new(kind, server, &runtime, payloads));
    let mut callers = callers.into_iter().collect::<Outcome<Vec<_>>>()?;
    let mut queue = Queue::new(server)?;
    // The first turn of each opens its connection, and is not counted.
    for turn in 0..=TURNS {
        callers.iter_mut().try_for_each(|caller| caller.turn(turn == 0))?;
        if let Some(published) = &mut published {
            published.turn(turn == 0)?;
        }
        queue.turn(turn == 0, payloads);
    }
    let mut costs = callers.into_iter().map(Caller::end).collect::<Outcome<Vec<_>>>()?;
    costs.extend(published.map(Published::cost));
    Ok((costs, queue.cost()))
}

/// Each client has many calls in flight, in turns.
fn all_at_once(
    server: &Server,
    payloads: &Arc<Payloads>,
    mut published: Option<&mut Published>,
) -> Outcome<Vec<Vec<Option<Seen>>>> {
    let clients = Kind::ALL.len() + usize::from(published.is_some());
    let mut all = vec![Vec::new(); clients];
    for concurrency in Concurrency::ALL {
        let mut turns = vec![Vec::new(); clients];
        for _ in 0..CONCURRENT_TURNS {
            for (kind, turns) in Kind::ALL.into_iter().zip(&mut turns) {
                turns.push(concurrency.turn(kind, Start::Warm, server, payloads)?);
            }
        }
        if let (Some(published), Protocol::Http1) = (&mut published, concurrency.protocol) {
            turns[Kind::ALL.len()].push(published.run(concurrency)?);
        }
        for (all, turns) in all.iter_mut().zip(turns) {
            all.push((!turns.is_empty()).then(|| Seen::middle(&turns)));
        }
    }
    Ok(all)
}

/// The connections that 512 calls open over HTTP/2 when they are the first.
fn cold_connections(
    server: &Server,
    payloads: &Arc<Payloads>,
) -> Outcome<Vec<(&'static str, usize)>> {
    let concurrency = Concurrency { protocol: Protocol::Http2, callers: 512 };
    let count = |kind: Kind| {
        Ok((kind.name(), concurrency.turn(kind, Start::Cold, server, payloads)?.connections))
    };
    [Kind::Reqwest, Kind::Async, Kind::Guard].into_iter().map(count).collect()
}

/// Without `taskset`, all processors are used, which is noisier and no error.
fn pinned(others: impl Iterator<Item = u32>) -> Option<Pinned> {
    Pinned::with(others).inspect_err(|error| println!("not on one processor: {error}")).ok()
}

fn today() -> Outcome<String> {
    Ok(String::from_utf8(Command::new("date").arg("+%F").output()?.stdout)?.trim().to_owned())
}

const ONLY: &str = "--only";
const PYTHON: &str = "`esper-py-client`";
