//! One event on its way, and what its outcome means.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use uuid::Uuid;

use super::queue::Entry;
use super::schedule::Failure;
use super::shared::Shared;
use super::stats::DropReason;
use crate::call::Call;
use crate::transport::{Backoff, CallLimits, Transport};
use crate::{EsperConfig, EsperError};

/// Sends events, one attempt each: repetitions are the queue's.
#[derive(Debug)]
pub(super) struct Sender {
    transport: Arc<Transport>,
    limits: CallLimits,
}

/// An event that was taken out of the queue. It never gets lost without being counted.
#[derive(Debug)]
pub(super) struct Delivery {
    shared: Arc<Shared>,
    /// Gone only when it was given back.
    entry: Option<Entry>,
    pub(super) probe: bool,
}

/// A delivery with its result.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) delivery: Delivery,
    pub(super) result: Result<(), EsperError>,
}

/// Whose fault a failed delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No repetition will deliver this event; the next one is not affected.
    Event(DropReason),
    /// Later, perhaps.
    Service(Failure),
}

impl Sender {
    pub(super) fn new(config: &EsperConfig) -> Result<Self, EsperError> {
        // Connections belong to the runtime that made them, so the queue has its own.
        let transport = Arc::new(Transport::new(config)?);
        let limits = CallLimits {
            timeout: config.timeout.min(config.attempt_timeout),
            backoff: Backoff::new(Duration::ZERO, Duration::ZERO, 0),
            ..transport.limits
        };
        Ok(Self { transport, limits })
    }

    pub(super) async fn send(self: Arc<Self>, delivery: Delivery) -> Finished {
        let result = match &delivery.entry {
            Some(Entry { job, .. }) => {
                let id = job.id.map(|id| id.to_string());
                let call = Call::start_with(&self.transport, self.limits);
                call.finish(call.api().send_beacon_event(id.as_deref(), &job.event).await).await
            }
            None => Ok(()),
        };
        Finished { delivery, result }
    }
}

impl Delivery {
    pub(super) fn new(shared: &Arc<Shared>, entry: Entry, probe: bool) -> Self {
        Self { shared: Arc::clone(shared), entry: Some(entry), probe }
    }

    /// Checks an event before its first attempt, and gives it the key that it keeps.
    pub(super) fn prepare(&mut self) -> Result<(), EsperError> {
        match &mut self.entry {
            Some(Entry { job, .. }) if job.id.is_none() => {
                job.id = Some(Uuid::now_v7());
                job.event.check()
            }
            _ => Ok(()),
        }
    }

    pub(super) fn failures(&self) -> u32 {
        self.entry.as_ref().map_or(0, |entry| entry.job.failures)
    }

    /// Counts a failure that may be the event's own.
    pub(super) fn fail(&mut self) -> u32 {
        self.entry.iter_mut().for_each(|entry| entry.job.failures += 1);
        self.failures()
    }

    pub(super) fn delivered(mut self) {
        if let Some(entry) = self.entry.take() {
            self.shared.lock().queue.delivered(&entry);
        }
    }

    pub(super) fn put_back(mut self, due: Instant) {
        if let Some(entry) = self.entry.take() {
            self.shared.lock().queue.put_back(entry, due);
        }
    }

    pub(super) fn dropped(mut self, reason: DropReason) {
        self.give_up(reason);
    }

    fn give_up(&mut self, reason: DropReason) {
        if let Some(entry) = self.entry.take() {
            self.shared.lock().queue.dropped(&entry, reason);
        }
    }
}

impl Drop for Delivery {
    /// A delivery that was cut off, by a shutdown or a panic.
    fn drop(&mut self) {
        self.give_up(DropReason::Abandoned);
    }
}

impl Fault {
    pub(super) fn of(error: &EsperError) -> Self {
        match error {
            EsperError::Api { status, retry_after, .. } => Self::of_status(*status, *retry_after),
            EsperError::Validation { .. } => Self::Event(DropReason::Invalid),
            EsperError::Decode { .. } => Self::Service(Failure::BadAnswer),
            EsperError::Connection { .. } | EsperError::Timeout { .. } => {
                Self::Service(Failure::Unreachable)
            }
        }
    }

    fn of_status(status: StatusCode, asked: Option<Duration>) -> Self {
        Self::Service(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::KeyRejected,
            StatusCode::TOO_MANY_REQUESTS => Failure::Busy(asked),
            StatusCode::REQUEST_TIMEOUT => Failure::BadAnswer,
            status if status.is_client_error() => {
                return Self::Event(DropReason::Refused);
            }
            status if status.is_server_error() && asked.is_some() => Failure::Busy(asked),
            status if status.is_server_error() => Failure::BadAnswer,
            // A redirect is nobody's answer to an event: the URL is wrong, for all of them.
            _ => Failure::Unreachable,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, asked: Option<u64>) -> Fault {
        let status = StatusCode::from_u16(status).unwrap();
        Fault::of_status(status, asked.map(Duration::from_secs))
    }

    #[test]
    fn only_what_the_event_is_to_blame_for_costs_the_event() {
        for poison in [400, 404, 413, 415, 422] {
            assert_eq!(fault(poison, None), Fault::Event(DropReason::Refused), "{poison}");
        }
        for key in [401, 403] {
            assert_eq!(fault(key, None), Fault::Service(Failure::KeyRejected), "{key}");
        }
        for failing in [408, 500, 501, 502, 503, 504] {
            assert_eq!(fault(failing, None), Fault::Service(Failure::BadAnswer), "{failing}");
        }
        for elsewhere in [301, 302, 307, 600] {
            let expected = Fault::Service(Failure::Unreachable);
            assert_eq!(fault(elsewhere, None), expected, "{elsewhere}");
        }
    }

    #[test]
    fn a_request_to_wait_is_for_the_whole_queue() {
        let wait = Some(Duration::from_secs(7));
        assert_eq!(fault(429, Some(7)), Fault::Service(Failure::Busy(wait)));
        assert_eq!(fault(503, Some(7)), Fault::Service(Failure::Busy(wait)));
        assert_eq!(fault(429, None), Fault::Service(Failure::Busy(None)));
    }
}
