//! Whether a request is checked at all, and what follows.

use http::request::Parts;
use http::{Method, header};

use crate::FailurePolicy;

/// What is done about a request.
///
/// ```
/// use esper_rs_client::FailurePolicy;
/// use esper_rs_client::enforce::Rule;
///
/// let payments = Rule::enforce().with_failure_policy(FailurePolicy::closed());
/// # let _ = payments;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a rule does nothing until a layer has it"]
pub struct Rule {
    pub(super) mode: Mode,
    pub(super) failure_policy: Option<FailurePolicy>,
}

/// How far a rule goes, the strictest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    Exempt,
    Monitor,
    Enforce,
}

impl Mode {
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "for the labels of metrics"))]
    pub(crate) const ALL: [Self; 3] = [Self::Exempt, Self::Monitor, Self::Enforce];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Exempt => "exempt",
            Self::Monitor => "monitor",
            Self::Enforce => "enforce",
        }
    }
}

impl Rule {
    /// Asks, and acts on the decision.
    pub const fn enforce() -> Self {
        Self::of(Mode::Enforce)
    }

    /// Asks, says what would have been done (in the log, in the beacon and in the extension
    /// [`Decision`](crate::Decision)), and lets the request through as if there were no layer.
    pub const fn monitor() -> Self {
        Self::of(Mode::Monitor)
    }

    /// Asks nobody.
    pub const fn exempt() -> Self {
        Self::of(Mode::Exempt)
    }

    /// Sets what to do when there is no decision of the service; unless set, what the guard does.
    pub const fn with_failure_policy(mut self, policy: FailurePolicy) -> Self {
        self.failure_policy = Some(policy);
        self
    }

    /// Greater for a rule that lets less through.
    pub(super) fn strictness(&self) -> (Mode, usize) {
        (self.mode, self.failure_policy.map_or(0, |policy| policy.closed_on()))
    }

    const fn of(mode: Mode) -> Self {
        Self { mode, failure_policy: None }
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self::enforce()
    }
}

/// Whether this is the question that a browser asks before a request to another origin. It
/// carries no cookie and changes nothing, and the request itself is checked when it comes.
pub(super) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(header::ORIGIN)
        && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FallbackReason, OnFailure};
    use http::Request;

    #[test]
    fn a_rule_that_lets_less_through_is_stricter() {
        let timeouts = FailurePolicy::open().with(FallbackReason::Timeout, OnFailure::Closed);
        let rules = [
            Rule::exempt(),
            Rule::monitor(),
            Rule::enforce(),
            Rule::enforce().with_failure_policy(timeouts),
            Rule::enforce().with_failure_policy(FailurePolicy::closed()),
        ];
        assert!(rules.is_sorted_by_key(Rule::strictness));
        for pair in rules.windows(2) {
            assert!(pair[0].strictness() < pair[1].strictness(), "{pair:?}");
        }
        assert_eq!(Rule::default(), Rule::enforce());
    }

    #[test]
    fn a_mode_counts_before_a_failure_policy() {
        let watched = Rule::monitor().with_failure_policy(FailurePolicy::closed());
        assert!(watched.strictness() < Rule::enforce().strictness());
    }

    #[test]
    fn a_preflight_is_an_options_request_with_both_of_its_headers() {
        const BOTH: &[&str] = &["origin", "access-control-request-method"];
        for (method, headers, expected) in [
            ("OPTIONS", BOTH, true),
            ("OPTIONS", &BOTH[..1], false),
            ("OPTIONS", &BOTH[1..], false),
            ("options", BOTH, false),
            ("GET", BOTH, false),
            ("POST", BOTH, false),
        ] {
            let request =
                headers.iter().fold(Request::builder().method(method), |request, name| {
                    request.header(*name, "x")
                });
            let parts = request.body(()).unwrap().into_parts().0;
            assert_eq!(is_preflight(&parts), expected, "{method} {headers:?}");
        }
    }
}
