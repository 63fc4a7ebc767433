//! Count events as they are accepted, and wait until there are enough.

use std::error::Error;
use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

/// How many events were accepted.
#[derive(Debug, Default)]
pub(crate) struct AcceptedEvents {
    count: watch::Sender<u64>,
}

/// Fewer events came in time than were waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFewEvents {
    came: u64,
    wanted: u64,
    limit: Duration,
}

impl AcceptedEvents {
    pub(crate) fn one_more(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    /// Waits until `wanted` events were accepted. The time is kept by the given runtime.
    pub(crate) async fn wait(
        &self,
        runtime: &Handle,
        wanted: u64,
        limit: Duration,
    ) -> Result<(), TooFewEvents> {
        let _ = runtime.spawn(self.enough(wanted, limit)).await;
        self.judge(wanted, limit)
    }

    pub(crate) fn wait_blocking(
        &self,
        runtime: &Handle,
        wanted: u64,
        limit: Duration,
    ) -> Result<(), TooFewEvents> {
        let (enough, told) = mpsc::channel::<()>();
        let waiting = self.enough(wanted, limit);
        runtime.spawn(async move {
            waiting.await;
            drop(enough);
        });
        // An error is the news that was waited for.
        let _ = told.recv();
        self.judge(wanted, limit)
    }

    fn enough(&self, wanted: u64, limit: Duration) -> impl Future<Output = ()> + Send + use<> {
        let mut count = self.count.subscribe();
        async move {
            let _ = timeout(limit, count.wait_for(|count| *count >= wanted)).await;
        }
    }

    fn judge(&self, wanted: u64, limit: Duration) -> Result<(), TooFewEvents> {
        let came = *self.count.borrow();
        if came >= wanted { Ok(()) } else { Err(TooFewEvents { came, wanted, limit }) }
    }
}

impl TooFewEvents {
    /// How many events there were since the start.
    #[must_use]
    pub fn came(&self) -> u64 {
        self.came
    }
}

impl fmt::Display for TooFewEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { came, wanted, limit } = self;
        write!(f, "{came} of {wanted} events were accepted within {limit:?}")
    }
}

impl Error for TooFewEvents {}
