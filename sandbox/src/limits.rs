//! Say how much of the sandbox its callers may take.

use std::io;
use std::time::Duration;

/// How many connections there may be, how long they may take, and how much they may hold.
///
/// ```
/// use std::time::Duration;
/// use esper_sandbox::{Limits, Sandbox};
///
/// let limits = Limits::default().connections(100).body_time(Duration::from_secs(5));
/// let sandbox = Sandbox::builder().limits(limits).start_blocking()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "limits do nothing until a builder has them"]
pub struct Limits {
    pub(crate) connections: usize,
    pub(crate) idle_time: Duration,
    pub(crate) body_time: Duration,
    pub(crate) bodies: usize,
}

impl Limits {
    /// How many connections are kept at a time. Default: 1,000.
    ///
    /// For one more, the connection that has been idle, or sending a request, for longest is
    /// closed. If all of them wait for an answer, the new one waits until one has it; after a
    /// second the oldest is closed.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Closes a connection on which no request has come in whole (up to its body) for this time,
    /// instead of for a minute.
    pub fn idle_time(mut self, time: Duration) -> Self {
        self.idle_time = time;
        self
    }

    /// Gives a request this time for its body, instead of 30 seconds, and then answers it with
    /// status 408.
    pub fn body_time(mut self, time: Duration) -> Self {
        self.body_time = time;
        self
    }

    /// How many bytes of bodies are kept at a time, by their lengths. Default: 64 MiB. When more
    /// come, the request whose body has been under way for longest is answered with status 503.
    pub fn bodies(mut self, bytes: usize) -> Self {
        self.bodies = bytes;
        self
    }

    /// Refuses limits that let nobody in.
    pub(crate) fn check(&self) -> io::Result<()> {
        let none = self.connections == 0
            || self.bodies == 0
            || self.idle_time.is_zero()
            || self.body_time.is_zero();
        if none {
            let why = "a limit of 0 lets nobody in; leave it out or give it a higher value";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            idle_time: Duration::from_secs(60),
            body_time: Duration::from_secs(30),
            bodies: 64 * 1024 * 1024,
        }
    }
}
