//! A request as it is kept: little more than its bytes, as most are never looked at.

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method};

use super::RecordedRequest;
use crate::body;
use crate::faults::Operation;

#[derive(Clone, Debug)]
pub(super) struct Raw {
    operation: Option<Operation>,
    method: Method,
    path: Box<str>,
    /// A line `name: value` for each header.
    headers: Box<str>,
    /// Nothing of a body that is too long or never arrived.
    body: Option<Bytes>,
    pub(super) status: Option<u16>,
}

impl Raw {
    pub(super) fn of(request: &Request) -> Self {
        let (method, path) = (request.method().clone(), request.uri().path());
        let body = body::whole(request.extensions());
        Self {
            operation: Operation::of(&method, path),
            method,
            path: path.chars().take(LONGEST_PATH).collect::<String>().into(),
            headers: lines(request.headers()).into(),
            body: body.filter(|body| body.len() <= LONGEST_BODY).cloned(),
            status: None,
        }
    }

    pub(super) fn read(&self, number: u64) -> RecordedRequest {
        let headers = self.headers.lines().filter_map(|line| line.split_once(": "));
        RecordedRequest {
            number,
            operation: self.operation,
            method: self.method.to_string(),
            path: self.path.to_string(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: self.body.as_ref().and_then(|body| serde_json::from_slice(body).ok()),
            status: self.status,
        }
    }
}

/// The headers without keys, as many as fit.
fn lines(headers: &HeaderMap) -> String {
    let mut lines = String::new();
    for (name, value) in headers {
        if KEYS.contains(&name.as_str()) {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        if lines.len() + name.as_str().len() + value.len() > LONGEST_HEADERS {
            break;
        }
        for part in [name.as_str(), ": ", &value, "\n"] {
            lines.push_str(part);
        }
    }
    lines
}

/// The headers that carry keys.
const KEYS: [&str; 3] = ["authorization", "x-esper-key", "x-esper-api-key"];

/// The most characters of a path that are kept.
const LONGEST_PATH: usize = 1024;

/// The most bytes of headers that are kept.
const LONGEST_HEADERS: usize = 8 * 1024;

/// The longest body that is kept, in bytes.
const LONGEST_BODY: usize = 16 * 1024;
