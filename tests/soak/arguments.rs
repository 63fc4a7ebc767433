//! How long to soak, and with which seed.

use std::fmt;
use std::time::{Duration, SystemTime};

pub(crate) struct Arguments {
    pub(crate) events: u64,
    pub(crate) decisions: u64,
    pub(crate) seed: u64,
    pub(crate) limit: Duration,
}

impl Arguments {
    /// Reads `--events`, `--decisions`, `--seed` and `--limit` (in seconds), each with a number.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut read = Self { events: 50_000, decisions: 10_000, seed: any(), limit: LIMIT };
        while let Some(name) = words.next() {
            let number = words.next().and_then(|text| text.parse().ok());
            let Some(number) = number else { return Err(format!("{name} needs a number")) };
            match name.as_str() {
                "--events" => read.events = number,
                "--decisions" => read.decisions = number,
                "--seed" => read.seed = number,
                "--limit" => read.limit = Duration::from_secs(number),
                _ => {
                    let known = "--events, --decisions, --seed and --limit";
                    return Err(format!("{name} is not an option; there are {known}"));
                }
            }
        }
        Ok(read)
    }
}

/// The command that does the same again.
impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, decisions, seed, limit } = self;
        let limit = limit.as_secs();
        write!(f, "soak: --events {events} --decisions {decisions} --seed {seed} --limit {limit}")
    }
}

fn any() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::from(now.unwrap_or_default().subsec_nanos())
}

/// Enough for the short one on a slow machine.
const LIMIT: Duration = Duration::from_secs(120);
