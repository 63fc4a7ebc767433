//! Say what goes wrong, with which calls, and how often.

use std::fmt;
use std::time::Duration;

use axum::http::header::{CONTENT_LENGTH, RETRY_AFTER, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::{FaultError, Kind};
use crate::clock::whole_seconds;
use crate::operation::Operation;

/// Something that goes wrong with a call.
///
/// Without more words it hits every call of every operation, until it is removed:
///
/// ```
/// use std::time::Duration;
/// use esper_sandbox::{Fault, Operation, Sandbox};
///
/// let sandbox = Sandbox::start_blocking();
/// let faults = sandbox.faults();
/// // The next two decisions find the rate limit used up.
/// faults.add(Fault::status(429).retry_after(Duration::from_secs(1)).on(Operation::CheckMitigation).times(2));
/// // Every fourth event is counted, and its answer lost.
/// faults.add(Fault::lost_answer().on(Operation::SendBeaconEvent).share(0.25));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a fault does nothing until it is added"]
pub struct Fault {
    pub(super) kind: Kind,
    /// The status of a status or a page.
    pub(super) status: Option<u16>,
    pub(super) operation: Option<Operation>,
    pub(super) times: Option<u64>,
    pub(super) share: f64,
    pub(super) delay: Duration,
    pub(super) headers: Vec<(String, String)>,
}

impl Fault {
    /// The ordinary answer, late. The call is processed as it arrives, so that it counts even if
    /// the caller does not wait for the answer.
    pub fn delay(delay: Duration) -> Self {
        Self::new(Kind::Delay).after(delay)
    }

    /// A status between 200 and 599 with the documented error body, whose `code` is `fault`; 204
    /// and 304 have no body, as HTTP says. The call is not processed; not even its key is looked
    /// at.
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::new(Kind::Status) }
    }

    /// A status between 200 and 599 with a page of HTML, as a proxy sends; 204 and 304 have none.
    /// The call is not processed.
    pub fn html(status: u16) -> Self {
        Self { status: Some(status), ..Self::new(Kind::Html) }
    }

    /// The first half of the ordinary answer's body, under the length of the whole, then the end
    /// of the connection (on HTTP/2: of the stream). The call is processed. An answer without a
    /// body announces one of one byte.
    pub fn truncated() -> Self {
        Self::new(Kind::Truncated)
    }

    /// A TCP reset instead of an answer. The call is not processed.
    ///
    /// On HTTP/2 this and the other resets reset the call's stream, with `INTERNAL_ERROR`; the
    /// other calls of the connection go on.
    pub fn reset() -> Self {
        Self::new(Kind::Reset)
    }

    /// The first half of the ordinary answer's body, as [`truncated`](Self::truncated) sends it,
    /// then a TCP reset. The call is processed. On HTTP/2 the reset may overtake the body.
    pub fn reset_in_body() -> Self {
        Self::new(Kind::ResetInBody)
    }

    /// A TCP reset after the call was processed: what a caller repeats then comes twice.
    pub fn lost_answer() -> Self {
        Self::new(Kind::LostAnswer)
    }

    /// No answer at all until the caller goes away or the sandbox stops. The call is not
    /// processed.
    pub fn silence() -> Self {
        Self::new(Kind::Silence)
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            status: None,
            operation: None,
            times: None,
            share: 1.0,
            delay: Duration::ZERO,
            headers: Vec::new(),
        }
    }

    /// Hits calls of this operation alone.
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Hits the next `calls` calls, and then no more.
    pub fn times(mut self, calls: u64) -> Self {
        self.times = Some(calls);
        self
    }

    /// Hits this share of the calls, from 0.0 to 1.0, spread evenly and always in the same way:
    /// 0.25 is every fourth call, beginning with the fourth. A share is exact to a millionth.
    pub fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// Lets this time pass before anything of the fault is seen. It is measured by the machine's
    /// clock; [`Sandbox::advance`](crate::Sandbox::advance) does not shorten it.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sends this header along with a status or a page, and further ones if it is called again:
    /// 100 at most, of no more than 16 KiB in all.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Asks the caller to wait, with a `Retry-After` in seconds, rounded up.
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = whole_seconds(wait);
        self.header(RETRY_AFTER.as_str(), seconds.to_string())
    }

    /// Refuses what makes no sense, and reads the headers.
    pub(super) fn check(&self) -> Result<HeaderMap, FaultError> {
        match self.status {
            Some(status) if !(200..600).contains(&status) => {
                return Err(FaultError::invalid("status", "must be between 200 and 599"));
            }
            None if !self.headers.is_empty() => {
                return Err(FaultError::invalid("headers", "go with a status or a page alone"));
            }
            _ => {}
        }
        // Not a number is outside of every range.
        if !(0.0..=1.0).contains(&self.share) {
            return Err(FaultError::invalid("share", "must be between 0 and 1"));
        }
        let bytes: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.headers.len() > MOST_HEADERS || bytes > LONGEST_HEADERS {
            let why =
                format!("must be {MOST_HEADERS} at most, of no more than {LONGEST_HEADERS} bytes");
            return Err(FaultError::invalid("headers", why));
        }
        self.headers.iter().map(|(name, value)| header(name, value)).collect()
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share that was checked is between 0 and 1"
    )]
    pub(super) fn share_in_millionths(&self) -> u32 {
        (self.share * 1e6).round() as u32
    }
}

/// What the fault does, such as `status 429 for 25 % of the calls`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Delay => f.write_str("the ordinary answer")?,
            Kind::Status => f.write_str("status")?,
            Kind::Html => f.write_str("a page of HTML with status")?,
            Kind::Truncated => f.write_str("half of the body, then the end")?,
            Kind::Reset => f.write_str("a reset before the call is processed")?,
            Kind::ResetInBody => f.write_str("half of the body, then a reset")?,
            Kind::LostAnswer => f.write_str("a reset after the call was processed")?,
            Kind::Silence => f.write_str("silence")?,
        }
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        if self.delay > Duration::ZERO {
            write!(f, " after {:?}", self.delay)?;
        }
        if self.share < 1.0 {
            write!(f, ", for {} % of the calls", f64::from(self.share_in_millionths()) / 1e4)?;
        }
        Ok(())
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), FaultError> {
    let invalid = |why| FaultError::invalid("headers", why);
    let name = HeaderName::try_from(name).map_err(|_| invalid("invalid header name"))?;
    // They say where the answer ends, which the server knows better.
    if [CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
        return Err(invalid("Content-Length and Transfer-Encoding are the server's to set"));
    }
    let value = HeaderValue::try_from(value);
    Ok((name, value.map_err(|_| invalid("invalid header value"))?))
}

/// The most headers of a fault. A map of them panics beyond some 24,000.
const MOST_HEADERS: usize = 100;

/// The most bytes of a fault's headers.
const LONGEST_HEADERS: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        for (fault, member) in [
            (Fault::status(199), "status"),
            (Fault::html(600), "status"),
            (Fault::silence().share(1.01), "share"),
            (Fault::silence().share(-0.01), "share"),
            (Fault::silence().share(f64::NAN), "share"),
            (Fault::silence().header("a", "b"), "headers"),
            (Fault::status(500).header("a b", "c"), "headers"),
            (Fault::status(500).header("a", "b\r\nc: d"), "headers"),
            (Fault::status(500).header("content-length", "1"), "headers"),
        ] {
            let error = fault.check().expect_err(member).to_string();
            assert!(error.starts_with(&format!("{member}: ")), "{fault:?}: {error}");
        }
    }

    #[test]
    fn headers_are_many_and_long_only_up_to_a_bound() {
        let many = |count| {
            (0..count)
                .fold(Fault::status(500), |fault, number| fault.header(format!("x-{number}"), ""))
        };
        let long = |bytes: usize| Fault::status(500).header("x", "y".repeat(bytes - 1));
        assert_eq!(many(100).check().expect("headers").len(), 100);
        assert_eq!(long(16 * 1024).check().expect("headers").len(), 1);
        for fault in [many(101), many(40_000), long(16 * 1024 + 1)] {
            let error = fault.check().expect_err("a refusal").to_string();
            assert_eq!(error, "headers: must be 100 at most, of no more than 16384 bytes");
        }
    }

    #[test]
    fn a_fault_is_told_in_words() {
        let fault = Fault::status(429).after(Duration::from_millis(1500)).share(0.125);
        assert_eq!(fault.to_string(), "status 429 after 1.5s, for 12.5 % of the calls");
        let late = Fault::delay(Duration::from_secs(2));
        assert_eq!(late.to_string(), "the ordinary answer after 2s");
    }

    #[test]
    fn a_wait_is_rounded_up_to_seconds() {
        let headers = Fault::status(429).retry_after(Duration::from_millis(1001)).check();
        assert_eq!(headers.expect("headers")[RETRY_AFTER], "2");
        let headers = Fault::status(429).retry_after(Duration::MAX).check();
        assert_eq!(headers.expect("headers")[RETRY_AFTER], u64::MAX.to_string());
    }
}
