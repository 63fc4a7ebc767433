//! Remember the requests that arrived, without their keys and within bounds.

mod raw;
mod request;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use self::raw::Raw;
pub use self::request::RecordedRequest;
use crate::http::connections::ResponseFault;
use crate::lock::lock;
use crate::service::Service;

/// The last requests, in the order in which they arrived.
#[derive(Debug, Default)]
pub(crate) struct Recording(Mutex<RingBuffer>);

#[derive(Debug, Default)]
struct RingBuffer {
    /// How many there were in all.
    count: u64,
    last: VecDeque<Raw>,
}

/// Records a request as it arrives and the status that it is answered with, as a middleware.
pub(crate) async fn record(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let number = service.recording.arrives(&request);
    let response = next.run(request).await;
    if response.extensions().get::<ResponseFault>().is_none_or(|fault| fault.shows_status()) {
        service.recording.is_answered(number, response.status().as_u16());
    }
    response
}

impl Recording {
    pub(crate) fn list(&self) -> Vec<RecordedRequest> {
        // Read outside of the lock, which every request waits for.
        let (first, raw) = {
            let buffer = self.buffer();
            (buffer.first_number(), buffer.last.clone())
        };
        (first..).zip(raw).map(|(number, raw)| raw.read(number)).collect()
    }

    pub(crate) fn count(&self) -> u64 {
        self.buffer().count
    }

    /// Notes a request, and tells its number.
    fn arrives(&self, request: &Request) -> u64 {
        let mut buffer = self.buffer();
        let oldest = if buffer.last.len() == CAPACITY { buffer.last.pop_front() } else { None };
        let mut raw = oldest.unwrap_or_default();
        raw.replace(request);
        buffer.last.push_back(raw);
        buffer.count += 1;
        buffer.count
    }

    fn is_answered(&self, number: u64, status: u16) {
        let mut buffer = self.buffer();
        // It may have left the buffer since.
        let place = number.checked_sub(buffer.first_number());
        let place = place.and_then(|place| usize::try_from(place).ok());
        if let Some(raw) = place.and_then(|place| buffer.last.get_mut(place)) {
            raw.status = Some(status);
        }
    }

    fn buffer(&self) -> MutexGuard<'_, RingBuffer> {
        lock(&self.0)
    }
}

impl RingBuffer {
    fn first_number(&self) -> u64 {
        self.count - self.last.len() as u64 + 1
    }
}

/// The most requests that are remembered.
const CAPACITY: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str) -> Request {
        Request::get(path).body(axum::body::Body::empty()).expect("a request")
    }

    #[test]
    fn the_last_thousand_requests_are_remembered_and_all_are_counted() {
        let recording = Recording::default();
        for number in 1..=1500 {
            assert_eq!(recording.arrives(&request(&format!("/{number}"))), number);
        }
        recording.is_answered(500, 200);
        recording.is_answered(501, 201);
        recording.is_answered(1500, 202);
        let list = recording.list();
        assert_eq!((list.len(), recording.count()), (1000, 1500));
        let ends = [&list[0], &list[999]].map(|it| (it.number(), it.path(), it.status()));
        assert_eq!(ends, [(501, "/501", Some(201)), (1500, "/1500", Some(202))]);
        assert!(list[1..999].iter().all(|request| request.status().is_none()));
    }
}
