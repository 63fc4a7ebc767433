//! The tables.

use std::fmt;

use super::clients::Kind;
use super::concurrent::{Concurrency, Seen};
use super::sequential::Cost;
use super::server::Protocol;
use super::{CONCURRENT_TURNS, TURNS};

/// All that was measured.
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) date: String,
    /// What was installed for it, where the published client could be had.
    pub(crate) published: Option<String>,
    /// Those of [`Kind::ALL`] in their order, and then perhaps the published client.
    pub(crate) rows: Vec<Row>,
    /// What `Beacons::send` takes, in seconds.
    pub(crate) queued: f64,
    /// The connections of a client whose first calls are 512 at once.
    pub(crate) cold: Vec<(&'static str, usize)>,
}

/// What was measured of one client.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) cost: Cost,
    /// In the order of [`Concurrency::ALL`].
    pub(crate) concurrent: Vec<Option<Seen>>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, date, published, .. } = self;
        writeln!(f, "# What a decision costs\n")?;
        writeln!(f, "Written by `cargo bench --bench compare --features tower` on {date}.\n")?;
        writeln!(f, "- Machine: {machine}")?;
        match published {
            Some(versions) => writeln!(f, "- Python's client: {versions}")?,
            None => writeln!(f, "- Python's client: not measured, as it could not be installed")?,
        }
        writeln!(f, "\n## One after the other\n")?;
        writeln!(f, "Per call, in the medians of {TURNS} turns; HTTP/1, one processor for all.\n")?;
        self.one_by_one(f)?;
        writeln!(f, "\n## Many in flight\n")?;
        writeln!(f, "Decisions in a second and the time that 99 of 100 stay below; medians of")?;
        writeln!(
            f,
            "{CONCURRENT_TURNS} turns, of Python's client the only one. The asynchronous clients have one"
        )?;
        writeln!(f, "thread.\n")?;
        self.in_flight(f)?;
        writeln!(f, "\nConnections over HTTP/2, when the first calls are 512 at once:\n")?;
        for (name, connections) in &self.cold {
            writeln!(f, "- {name}: {connections}")?;
        }
        writeln!(f, "\n## Goals\n")?;
        self.goals(f)?;
        writeln!(f, "\n[PROFILE.md](PROFILE.md) says why a goal is missed.")
    }
}

impl Report {
    fn one_by_one(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("| client | wall, µs | of hyper's | CPU, µs | of reqwest's | allocations | ")?;
        f.write_str("an event, µs |\n|---|--:|--:|--:|--:|--:|--:|\n")?;
        let (hyper, reqwest) = (self.rows[HYPER].cost, self.rows[REQWEST].cost);
        for Row { name, cost, .. } in &self.rows {
            let Cost { wall, cpu, event, allocations } = *cost;
            let (of_hyper, of_reqwest) = (wall / hyper.wall, cpu / reqwest.cpu);
            let (wall, cpu) = (wall * 1e6, cpu * 1e6);
            let allocations = allocations.map_or(NONE.to_owned(), |count| format!("{count:.0}"));
            let event = event.map_or(NONE.to_owned(), |time| format!("{:.1}", time * 1e6));
            write!(f, "| {name} | {wall:.1} | {of_hyper:.2} | {cpu:.1} | {of_reqwest:.2} | ")?;
            writeln!(f, "{allocations} | {event} |")?;
        }
        let queued = self.queued * 1e6;
        writeln!(
            f,
            "| `Beacons::send` | {NONE} | {NONE} | {NONE} | {NONE} | {NONE} | {queued:.2} |"
        )
    }

    fn in_flight(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("| client |")?;
        for Concurrency { protocol, callers } in Concurrency::ALL {
            let protocol = match protocol {
                Protocol::Http1 => "HTTP/1",
                Protocol::Http2 => "HTTP/2",
            };
            write!(f, " {protocol}, {callers} |")?;
        }
        writeln!(f, " connections of HTTP/2 |\n|---|--:|--:|--:|--:|--:|")?;
        for Row { name, concurrent, .. } in &self.rows {
            write!(f, "| {name} |")?;
            for seen in concurrent {
                match seen {
                    Some(Seen { per_second, p99, .. }) => {
                        write!(f, " {per_second:.0}/s, {:.1} ms |", p99 * 1e3)?;
                    }
                    None => write!(f, " {NONE} |")?,
                }
            }
            let connections = concurrent.iter().flatten().map(|seen| seen.connections).max();
            let connections = connections.filter(|count| *count > 0);
            writeln!(f, " {} |", connections.map_or(NONE.to_owned(), |count| count.to_string()))?;
        }
        Ok(())
    }

    fn goals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| goal | measured | met |\n|---|--:|---|")?;
        let (hyper, reqwest) = (self.rows[HYPER].cost, self.rows[REQWEST].cost);
        let mut row = |goal: &str, name: &str, measured: f64, met: bool| {
            let met = if met { "yes" } else { "**no**" };
            let digits = if measured.fract() == 0.0 { 0 } else { 2 };
            writeln!(f, "| {goal}: {name} | {measured:.digits$} | {met} |")
        };
        for index in [ASYNC, GUARD] {
            let (name, cost) = (self.rows[index].name, self.rows[index].cost);
            let cpu = cost.cpu / reqwest.cpu;
            row("at most 1.10 of bare reqwest's CPU", name, cpu, cpu <= 1.10)?;
            let wall = cost.wall / hyper.wall;
            row("at most 1.25 of bare hyper's wall time", name, wall, wall <= 1.25)?;
            if let (Some(own), Some(bare)) = (cost.allocations, reqwest.allocations) {
                let count = own / bare;
                row("at most 1.5 of bare reqwest's allocations", name, count, count <= 1.5)?;
            }
            if let Some(python) = self.rows.get(PUBLISHED) {
                let less = python.cost.cpu / cost.cpu;
                row("at least 20 times less CPU than Python's", name, less, less >= 20.0)?;
            }
            let seen = self.rows[index].concurrent.iter().flatten();
            let most = seen.map(|seen| seen.connections).max().unwrap_or_default();
            let goal = "at most 4 connections of HTTP/2 for 512 in flight, warmed up";
            row(goal, name, most as f64, (1..=4).contains(&most))?;
        }
        for (name, connections) in &self.cold {
            let goal = "at most 4 connections of HTTP/2 for 512 in flight, all at once";
            row(goal, name, *connections as f64, (1..=4).contains(connections))?;
        }
        Ok(())
    }
}

/// The places of those that others are compared with, or that have goals.
const HYPER: usize = Kind::Hyper as usize;
const REQWEST: usize = Kind::Reqwest as usize;
const ASYNC: usize = Kind::Async as usize;
const GUARD: usize = Kind::Guard as usize;
const PUBLISHED: usize = Kind::ALL.len();
const NONE: &str = "–";
