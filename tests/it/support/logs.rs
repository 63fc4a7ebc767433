//! Looks at every line that anything in this process logs, at the most talkative level: neither the
//! key nor a visitor's secret must be in any.

use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};

use tracing_subscriber::filter::LevelFilter;

use super::{CANARY, KEY};

/// Begins to look, once for all tests.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(|| Watch);
        subscriber.init();
    });
}

/// The number of lines that were looked at so far.
pub(crate) fn seen() -> usize {
    SEEN.load(Ordering::SeqCst)
}

/// The lines of the level `INFO` and above so far that hold all of these texts. Tests tell their
/// own lines by a URL in them.
pub(crate) fn lines_with(texts: &[&str]) -> Vec<String> {
    let lines = LINES.lock().expect("no panic");
    lines.iter().filter(|line| texts.iter().all(|text| line.contains(text))).cloned().collect()
}

/// Ends the process where a line has a secret.
pub(super) fn check(line: &[u8]) {
    for secret in [KEY, CANARY] {
        if line.windows(secret.len()).any(|part| part == secret.as_bytes()) {
            // A panic would end one task, which nobody may look at; this ends all.
            eprintln!("a secret is in a log line: {}", String::from_utf8_lossy(line));
            process::abort();
        }
    }
}

/// Takes whole lines, as the formatter writes them.
struct Watch;

impl Write for Watch {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        check(line);
        SEEN.fetch_add(1, Ordering::SeqCst);
        let text = String::from_utf8_lossy(line);
        if !["TRACE", "DEBUG"].iter().any(|level| text.trim_start().starts_with(level)) {
            LINES.lock().expect("no panic").push(text.into_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static SEEN: AtomicUsize = AtomicUsize::new(0);
