//! A request as it is kept: little more than its bytes, as most are never looked at.

use axum::extract::Request;
use axum::http::HeaderMap;
use serde_json::Value;
use serde_json::value::RawValue;

use super::RecordedRequest;
use super::request::Body;
use crate::http::body;
use crate::operation::Operation;

#[derive(Clone, Debug, Default)]
pub(super) struct Raw {
    operation: Option<Operation>,
    method: String,
    path: String,
    /// A line `name: value` for each header.
    headers: String,
    /// Nothing of a body that is too long or never arrived.
    body: Vec<u8>,
    pub(super) status: Option<u16>,
}

impl Raw {
    /// Keeps a request in the place of another.
    ///
    /// Its texts go where those of the other were: if each request left a few of its own between
    /// what others use for a moment, the allocator would have to search for room more and more.
    pub(super) fn replace(&mut self, request: &Request) {
        let path = request.uri().path();
        self.operation = Operation::of(request.method(), path);
        self.method.clear();
        self.method.extend(request.method().as_str().chars().take(LONGEST_METHOD));
        self.path.clear();
        self.path.extend(path.chars().take(LONGEST_PATH));
        self.headers.clear();
        write_lines(request.headers(), &mut self.headers);
        self.body.clear();
        let body = body::whole(request.extensions()).filter(|body| body.len() <= LONGEST_BODY);
        let body = body.map_or(&[][..], |body| body);
        // What it would be given in advance is for a body that grows.
        self.body.reserve_exact(body.len());
        self.body.extend_from_slice(body);
        self.status = None;
    }

    pub(super) fn read(self, number: u64) -> RecordedRequest {
        RecordedRequest {
            number,
            operation: self.operation,
            method: self.method,
            path: self.path,
            headers: self.headers,
            body: json(self.body).map(Body::new),
            status: self.status,
        }
    }
}

/// The text of a body that is JSON.
fn json(body: Vec<u8>) -> Option<Box<RawValue>> {
    // Not all that has the form of JSON can be read: it may be nested too deep.
    serde_json::from_slice::<Value>(&body).ok()?;
    RawValue::from_string(String::from_utf8(body).ok()?).ok()
}

/// Writes the headers without keys, except those that no longer fit.
fn write_lines(headers: &HeaderMap, lines: &mut String) {
    for (name, value) in headers {
        if KEYS.contains(&name.as_str()) {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        if lines.len() + name.as_str().len() + value.len() > LONGEST_HEADERS {
            continue;
        }
        for part in [name.as_str(), ": ", &value, "\n"] {
            lines.push_str(part);
        }
    }
}

/// The headers that carry keys.
const KEYS: [&str; 3] = ["authorization", "x-esper-key", "x-esper-api-key"];

/// The most characters of a method that are kept. No method that means anything has so many.
const LONGEST_METHOD: usize = 60;

/// The most characters of a path that are kept.
const LONGEST_PATH: usize = 1024;

/// The most bytes of headers that are kept.
const LONGEST_HEADERS: usize = 8 * 1024;

/// The longest body that is kept, in bytes.
const LONGEST_BODY: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_header_that_does_not_fit_hides_none_of_the_others() {
        let request = Request::get("/").header("long", "x".repeat(LONGEST_HEADERS));
        let request = request.header("short", "y").body(Body::empty()).expect("a request");
        let mut raw = Raw::default();
        raw.replace(&request);
        let recorded = raw.read(1);
        assert_eq!(recorded.headers().collect::<Vec<_>>(), [("short", "y")]);
    }

    #[test]
    fn a_method_of_any_length_is_kept_short() {
        let request = Request::builder().method("M".repeat(60_000).as_str());
        let mut raw = Raw::default();
        raw.replace(&request.body(Body::empty()).expect("a request"));
        assert_eq!(raw.read(1).method(), "M".repeat(60));
    }

    #[test]
    fn a_body_that_cannot_be_read_is_not_shown() {
        let nested = "[".repeat(1000) + &"]".repeat(1000);
        for text in ["", "{", "1e999", r#""\ud800""#, nested.as_str()] {
            let raw = Raw { body: text.into(), ..Raw::default() };
            let recorded = raw.read(1);
            assert_eq!(recorded.body(), None, "{text}");
            let shown = serde_json::to_value(&recorded).expect("JSON");
            assert_eq!(shown.get("body"), None, "{text}");
        }
    }
}
