//! Time of the processor, and on which one this runs. Linux has both in `/proc`.

use std::fs;
use std::process::{self, Command};
use std::time::Duration;

use crate::support::Outcome;

/// The time that all threads of this process have had a processor.
pub(crate) fn cpu_time() -> Outcome<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split_whitespace().next().ok_or("schedstat is empty")?;
        nanos += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Keeps this process and others on one processor, until it is dropped.
///
/// There, neither pays for waking another processor, which in a virtual machine can cost more than
/// the whole call.
pub(crate) struct Pinned {
    ids: Vec<u32>,
    before: String,
}

impl Pinned {
    pub(crate) fn with(others: impl Iterator<Item = u32>) -> Outcome<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let before = allowed.ok_or("no list of processors")?.trim().to_owned();
        let first = before.split([',', '-']).next().ok_or("an empty list")?;
        let ids = others.chain([process::id()]).collect();
        let pinned = Self { ids, before: before.clone() };
        pinned.set(first)?;
        Ok(pinned)
    }

    fn set(&self, processors: &str) -> Outcome<()> {
        for id in &self.ids {
            let mut command = Command::new("taskset");
            command.args(["--all-tasks", "--cpu-list", "--pid", processors, &id.to_string()]);
            let output = command.output()?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into());
            }
        }
        Ok(())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Err(error) = self.set(&self.before) {
            eprintln!("this process stays on one processor: {error}");
        }
    }
}

/// What machine this is, and whether it has other work.
pub(crate) fn shape() -> Outcome<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("an unknown processor");
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib = memory.split_whitespace().nth(1).ok_or("no memory")?.parse::<u64>()?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split_whitespace().next().ok_or("no load average")?.parse::<f64>()?;
    let cores = std::thread::available_parallelism()?;
    let gib = kib >> 20;
    let mut shape =
        format!("{cores} cores of {model}, {gib} GiB, load average {load} at the start");
    if load > cores.get() as f64 / 2.0 {
        shape += ".\n  **It was busy**: take the figures again on a quiet machine before relying on them";
    }
    Ok(shape)
}
