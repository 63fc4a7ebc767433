//! What Esper is told of a request: what is listed here, and nothing else of it.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use http::HeaderName;
use http::header::{HOST, USER_AGENT};
use http::request::Parts;

use super::session::Session;
use super::visit::{original, raw_host};
use crate::{BeaconEvent, EsperError, FailurePolicy, MitigationRequest};

/// Which parts of a request Esper is told of, beside address, user agent, method and path.
#[derive(Clone, Debug)]
pub(in crate::enforce) struct Disclosure {
    headers: Vec<HeaderName>,
    pub(in crate::enforce) query: bool,
    pub(in crate::enforce) session: Option<Session>,
}

/// What Esper is told of one request.
#[derive(Debug)]
pub(in crate::enforce) struct RequestFacts {
    pub(in crate::enforce) address: IpAddr,
    pub(in crate::enforce) user_agent: Option<String>,
    method: String,
    path: String,
    headers: Vec<(HeaderName, String)>,
    session: Option<String>,
    /// Not a part of what makes two requests equal.
    request_id: Option<String>,
}

/// Finds equal requests. Two hashes under keys of their own make 128 bits that nobody outside can
/// aim at.
#[derive(Clone, Debug)]
pub(in crate::enforce) struct CacheKeyHasher([RandomState; 2]);

/// What equal requests have in common, in little memory.
pub(in crate::enforce) type CacheKey = [u64; 2];

impl Disclosure {
    /// Names the headers that Esper is told of.
    ///
    /// # Errors
    ///
    /// Fails with a name that is none, and with one whose value is a secret.
    pub(in crate::enforce) fn set_headers<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), EsperError> {
        let named = |name: &str| {
            let name: HeaderName = name.parse().map_err(|_| {
                let message =
                    format!("{name:?} is not the name of a header; it looks like accept-language");
                EsperError::validation("headers", message)
            })?;
            if SECRET.iter().any(|word| name.as_str().contains(word)) {
                let message = format!(
                    "the header {name} holds a secret by its name; leave it out, it is never forwarded"
                );
                return Err(EsperError::validation("headers", message));
            }
            Ok(name)
        };
        self.headers = names.into_iter().map(named).collect::<Result<_, _>>()?;
        Ok(())
    }
}

impl Default for Disclosure {
    fn default() -> Self {
        let headers = HEADERS.iter().map(|name| HeaderName::from_static(name)).collect();
        Self { headers, query: false, session: None }
    }
}

impl RequestFacts {
    pub(in crate::enforce) fn of(parts: &Parts, address: IpAddr, disclosure: &Disclosure) -> Self {
        let uri = original(parts);
        let path = match uri.path_and_query() {
            Some(whole) if disclosure.query => whole.as_str(),
            _ => uri.path(),
        };
        let disclosed = disclosure.headers.iter().filter_map(|name| {
            let value =
                if name == HOST { raw_host(parts)? } else { parts.headers.get(name)?.as_bytes() };
            Some((name.clone(), readable(value, LONGEST_HEADER)))
        });
        let session = disclosure.session.as_ref().and_then(|session| session.of(parts));
        let request_id =
            parts.headers.get(REQUEST_ID).map(|id| readable(id.as_bytes(), LONGEST_ID));
        Self {
            address,
            user_agent: parts
                .headers
                .get(USER_AGENT)
                .map(|value| readable(value.as_bytes(), LONGEST_USER_AGENT)),
            method: cut(parts.method.as_str(), LONGEST_ID).to_owned(),
            path: cut(path, LONGEST_PATH).to_owned(),
            headers: disclosed.collect(),
            session: session.map(|session| cut(&session, LONGEST_ID).to_owned()),
            request_id,
        }
    }

    pub(in crate::enforce) fn request(&self) -> MitigationRequest {
        let mut request = MitigationRequest::new(self.address.to_string())
            .with_method(&self.method)
            .with_path(&self.path);
        request.user_agent.clone_from(&self.user_agent);
        for (name, value) in &self.headers {
            request = request.with_headers(name.as_str(), value);
        }
        for (name, value) in [("session_id", &self.session), ("request_id", &self.request_id)] {
            if let Some(value) = value {
                request = request.with_metadata(name, value.as_str());
            }
        }
        request
    }

    /// The event that tells of the request, without what became of it.
    pub(in crate::enforce) fn event(self) -> BeaconEvent {
        let mut event = BeaconEvent::new("http_request")
            .with_ip(self.address.to_string())
            .with_method(self.method)
            .with_path(self.path);
        event.user_agent = self.user_agent;
        event.session_id = self.session;
        match self.request_id {
            Some(id) => event.with_data("request_id", id),
            None => event,
        }
    }
}

impl CacheKeyHasher {
    pub(in crate::enforce) fn new() -> Self {
        Self([RandomState::new(), RandomState::new()])
    }

    /// What a request has in common with others that are asked about under the same policy.
    pub(in crate::enforce) fn key(
        &self,
        facts: &RequestFacts,
        policy: Option<FailurePolicy>,
    ) -> CacheKey {
        let RequestFacts { address, user_agent, method, path, headers, session, request_id: _ } =
            facts;
        // The hashes of texts and lists say where each ends, so that none runs into the next.
        let common = (address, user_agent, method, path, headers, session, policy);
        self.0.each_ref().map(|hasher| hasher.hash_one(common))
    }
}

/// A header's value as text, whatever it holds, up to a length.
fn readable(value: &[u8], longest: usize) -> String {
    let text = String::from_utf8_lossy(&value[..value.len().min(longest)]);
    match text {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => cut(&text, longest).to_owned(),
    }
}

/// The beginning of a text, of at most so many bytes.
pub(in crate::enforce) fn cut(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Says what a client is; nothing in it is a secret, or where somebody was before.
const HEADERS: [&str; 12] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "content-type",
    "host",
    "origin",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
];
/// What is in the names of headers that are never forwarded.
const SECRET: [&str; 8] =
    ["authorization", "cookie", "credential", "-key", "apikey", "password", "secret", "token"];
pub(in crate::enforce) const REQUEST_ID: &str = "x-request-id";
const LONGEST_USER_AGENT: usize = 1024;
const LONGEST_PATH: usize = 2048;
pub(in crate::enforce) const LONGEST_HEADER: usize = 512;
pub(in crate::enforce) const LONGEST_ID: usize = 128;

#[cfg(test)]
mod tests;
