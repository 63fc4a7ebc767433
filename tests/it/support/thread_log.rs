//! What the thread of one test logs, down to the last detail.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::format::FmtSpan;

use super::logs;

/// A log that is written while its guard is there.
#[derive(Clone, Default)]
pub(crate) struct ThreadLog(Arc<Mutex<Vec<u8>>>);

impl ThreadLog {
    pub(crate) fn start() -> (Self, DefaultGuard) {
        Self::start_at(Level::TRACE)
    }

    pub(crate) fn start_at(level: Level) -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(level)
            .with_span_events(FmtSpan::CLOSE)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).expect("text")
    }

    /// The number of lines of a level.
    pub(crate) fn lines(&self, level: &str) -> usize {
        self.text().lines().filter(|line| line.contains(&format!(" {level} "))).count()
    }
}

impl io::Write for ThreadLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // It stands in the place of the log that is looked at for all tests.
        logs::check(bytes);
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
