//! Looks at the counts and the memory now and then, and says how it goes.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What is known of the memory, in bytes.
#[derive(Default)]
pub(crate) struct Watch {
    warm: AtomicBool,
    over: AtomicBool,
    /// The most before it was warm.
    before: AtomicU64,
    /// The most since.
    since: AtomicU64,
}

impl Watch {
    /// Calls `sample` many times a second while `work` runs; it checks, and counts in a line.
    pub(crate) fn during<T>(
        &self,
        sample: impl Fn() -> (u64, String) + Sync,
        work: impl FnOnce() -> T,
    ) -> T {
        thread::scope(|scope| {
            scope.spawn(|| self.look(&sample));
            let result = work();
            self.over.store(true, Ordering::SeqCst);
            result
        })
    }

    /// From now on, memory is not to grow.
    pub(crate) fn warmed_up(&self) {
        if !self.warm.swap(true, Ordering::SeqCst) {
            println!("warm, with {} KiB", self.before.load(Ordering::SeqCst) / 1024);
        }
    }

    /// Checks that memory did not grow, where it was looked at for long enough.
    pub(crate) fn is_flat(&self) {
        let (before, since) =
            (self.before.load(Ordering::SeqCst), self.since.load(Ordering::SeqCst));
        println!(
            "memory: {} KiB at most when it was warm, {} KiB since",
            before / 1024,
            since / 1024
        );
        assert!(before > 0 && since > 0, "nobody looked at the memory");
        assert!(since <= before + GROWTH, "it grew by {} KiB", (since - before) / 1024);
    }

    fn look(&self, sample: &impl Fn() -> (u64, String)) {
        let started = Instant::now();
        let mut said = started;
        while !self.over.load(Ordering::SeqCst) {
            let resident = resident();
            let most = if self.warm.load(Ordering::SeqCst) { &self.since } else { &self.before };
            most.fetch_max(resident, Ordering::SeqCst);
            let (done, line) = sample();
            if said.elapsed() >= SAYING {
                said = Instant::now();
                let rate = done as f64 / started.elapsed().as_secs_f64();
                println!("{done} ({rate:.0} a second), {} KiB: {line}", resident / 1024);
            }
            thread::sleep(LOOKING);
        }
    }
}

/// The memory that this process has now.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").expect("linux");
    let pages: u64 = text.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("pages");
    pages * PAGE
}

const PAGE: u64 = 4096;
/// What the allocator may still take after the warm-up: of five million events, each would have
/// leaked less than two bytes.
const GROWTH: u64 = 8 * 1024 * 1024;
const LOOKING: Duration = Duration::from_millis(20);
const SAYING: Duration = Duration::from_secs(5);
