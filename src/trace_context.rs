//! The trace that a call is a part of, sent on to Esper.

use std::future::Future;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::EsperError;

/// A place in a trace, as [W3C Trace Context](https://www.w3.org/TR/trace-context/) writes it.
///
/// Calls that are made within its [`scope`](Self::scope) carry the headers `traceparent` and
/// `tracestate`, so that Esper's side of a call is found in the trace of the request that it was
/// made for. The enforcement layer (feature `tower`) does so by itself with the `traceparent` of
/// each request, or with the `TraceContext` among the request's extensions. Events of a queue are
/// sent later, and are a part of no trace.
///
/// ```
/// # use esper_rs_client::{AsyncEsperClient, EsperError, MitigationRequest, TraceContext};
/// # use http::HeaderMap;
/// # async fn handle(client: AsyncEsperClient, headers: HeaderMap) -> Result<(), EsperError> {
/// let request = MitigationRequest::new("203.0.113.7");
/// let call = client.check_mitigation(&request);
/// let response = match TraceContext::from_headers(&headers) {
///     Some(trace) => trace.scope(call).await?,
///     None => call.await?,
/// };
/// # let _ = response;
/// # Ok(())
/// # }
/// ```
///
/// With OpenTelemetry, `TraceContext::new` takes the `traceparent` that its propagator injects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    parent: HeaderValue,
    state: Option<HeaderValue>,
}

impl TraceContext {
    /// Takes a `traceparent`, such as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
    ///
    /// # Errors
    ///
    /// Fails with what is none.
    pub fn new(traceparent: &str) -> Result<Self, EsperError> {
        let refused = || {
            let message = "not a traceparent: version-trace-parent-flags in lower-case hexadecimal";
            EsperError::validation("traceparent", message)
        };
        let fields = fields(traceparent).ok_or_else(refused)?;
        // A later version begins like this one, and what comes behind it is not ours to repeat.
        let parent = HeaderValue::try_from(format!("00{fields}")).map_err(|_| refused())?;
        Ok(Self { parent, state: None })
    }

    /// Adds a `tracestate`, which is what tracing systems note for themselves.
    ///
    /// # Errors
    ///
    /// Fails with more than 512 bytes, and with what no header can hold.
    pub fn with_state(mut self, tracestate: &str) -> Result<Self, EsperError> {
        let refused = || {
            let message = format!("a tracestate is visible ASCII of at most {LONGEST_STATE} bytes");
            EsperError::validation("tracestate", message)
        };
        let state = Some(tracestate).filter(|state| state.len() <= LONGEST_STATE);
        let state = HeaderValue::from_str(state.ok_or_else(refused)?).map_err(|_| refused())?;
        self.state = Some(state);
        Ok(self)
    }

    /// Takes the `traceparent` of a request, if it has one that is well-formed.
    ///
    /// The `tracestate` stays behind: it may hold anything, and the request may be a visitor's.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).into_iter();
        let only = values.next().filter(|_| values.next().is_none())?;
        Self::new(only.to_str().ok()?).ok()
    }

    /// Returns the `traceparent` that is sent.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        self.parent.to_str().unwrap_or_default()
    }

    /// Makes the calls within a future a part of the trace.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(Some(self), future).await
    }

    /// Makes the calls within a function a part of the trace.
    pub fn sync_scope<T>(self, function: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(Some(self), function)
    }

    /// Does so, if there is a trace.
    #[cfg(feature = "tower")]
    pub(crate) async fn scope_if<F: Future>(trace: Option<Self>, future: F) -> F::Output {
        CURRENT.scope(trace, future).await
    }

    /// The trace that the present code is a part of.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok().flatten()
    }

    pub(crate) fn put_into(self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.parent);
        if let Some(state) = self.state {
            headers.insert(TRACESTATE, state);
        }
    }
}

tokio::task_local! {
    static CURRENT: Option<TraceContext>;
}

/// What follows the version, if it is a `traceparent`.
fn fields(text: &str) -> Option<&str> {
    let known = text.get(..LENGTH)?;
    let (version, fields) = known.split_at(2);
    let mut parts = fields.strip_prefix('-')?.split('-');
    let (trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
    let well_formed = is_hex(version, 2)
        && version != "ff"
        && parts.next().is_none()
        && is_id(trace, 32)
        && is_id(parent, 16)
        && is_hex(flags, 2);
    let ends = match version {
        "00" => text.len() == LENGTH,
        _ => text.len() == LENGTH || text[LENGTH..].starts_with('-'),
    };
    (well_formed && ends).then_some(fields)
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Of version 00.
const LENGTH: usize = 55;
/// What the recommendation asks everybody to pass on.
const LONGEST_STATE: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_taken_as_the_recommendation_says() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-holds";
        for (text, taken) in [
            (PARENT, Some(PARENT)),
            (later, Some(PARENT)),
            (&format!("{PARENT}-more"), None),
            (&later[..LENGTH], Some(PARENT)),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01", None),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0é", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01", None),
            ("", None),
        ] {
            let trace = TraceContext::new(text);
            assert_eq!(trace.as_ref().ok().map(TraceContext::traceparent), taken, "{text}");
        }
    }

    #[test]
    fn a_request_with_two_traceparents_is_a_part_of_no_trace() {
        let mut headers = HeaderMap::new();
        assert_eq!(TraceContext::from_headers(&headers), None);
        headers.append(TRACEPARENT, HeaderValue::from_static(PARENT));
        headers.append(TRACESTATE, HeaderValue::from_static("vendor=1"));
        assert_eq!(TraceContext::from_headers(&headers), TraceContext::new(PARENT).ok());
        headers.append(TRACEPARENT, HeaderValue::from_static(PARENT));
        assert_eq!(TraceContext::from_headers(&headers), None);
    }

    #[test]
    fn a_tracestate_is_bounded_and_fits_a_header() {
        let trace = TraceContext::new(PARENT).unwrap();
        assert!(trace.clone().with_state(&"a".repeat(LONGEST_STATE)).is_ok());
        assert!(trace.clone().with_state(&"a".repeat(LONGEST_STATE + 1)).is_err());
        assert!(trace.with_state("vendor=1\r\nx-esper-key: sk").is_err());
    }
}
