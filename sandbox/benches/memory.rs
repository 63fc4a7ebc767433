//! What the sandbox's memory of entities takes: three events of each, by the starters.
//!
//! ```sh
//! cargo bench -p esper-sandbox --bench memory
//! ```
//!
//! Each size is measured in a process of its own, as the growth of its resident memory. Linux only:
//! that is read from `/proc`.

use std::error::Error;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use esper_sandbox::{Rehearsal, STARTER_POLICIES};
use serde_json::json;

const SIZES: [u32; 4] = [1_000, 100_000, 1_000_000, 1_500_000];
const EVENTS: u32 = 3;
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--entities") => fill(arguments.next().ok_or("how many?")?.parse()?),
        _ => {
            for entities in SIZES {
                let mut program = Command::new(env::current_exe()?);
                let status = program.args(["--entities", &entities.to_string()]).status()?;
                if !status.success() {
                    return Err(format!("{entities} entities: {status}").into());
                }
            }
            Ok(())
        }
    }
}

fn fill(entities: u32) -> Result<(), Box<dyn Error>> {
    let mut rehearsal = Rehearsal::of(STARTER_POLICIES)?;
    let (before, started) = (resident()?, Instant::now());
    // In turns, so that nobody's events come one after the other.
    for _ in 0..EVENTS {
        for number in 0..entities {
            let ip = Ipv4Addr::from_bits(number);
            let event = json!({
                "type": "http_request",
                "ip": ip,
                "user_agent": USER_AGENT,
                "path": "/",
                "method": "GET",
            });
            rehearsal.event(&event)?;
        }
    }
    let growth = resident()?.saturating_sub(before);
    let last = Ipv4Addr::from_bits(entities - 1);
    let score =
        rehearsal.decide(&json!({ "ip": last, "user_agent": USER_AGENT }))?["score"].clone();
    println!(
        "{entities:>9} entities: {:>6.1} MiB more, {:>4} bytes each, {:>4.1} s; the last has score {score}",
        growth as f64 / 1024.0 / 1024.0,
        growth / u64::from(entities),
        started.elapsed().as_secs_f64(),
    );
    Ok(())
}

/// The resident memory of this process, in bytes.
fn resident() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kilobytes = line.split_whitespace().nth(1).ok_or("no figure")?;
    Ok(kilobytes.parse::<u64>()? * 1024)
}
