//! Whether a request is checked at all, and what follows.

use std::cmp::Ordering;

use http::request::Parts;
use http::{Method, Version, header};

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

    /// Asks, says what would have been done (in the log at debug level, in the beacon and in the extension
    /// [`Decision`](crate::Decision)), and lets the request through as if there were no layer. The
    /// layer's own endpoint stays, and headers `x-esper-…` of a visitor are taken out.
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

    /// The rule that lets through only what both let through. A rule without a failure policy has
    /// that of the guard.
    pub(super) fn joined(self, other: Self, of_guard: FailurePolicy) -> Self {
        match self.mode.cmp(&other.mode) {
            Ordering::Greater => self,
            Ordering::Less => other,
            Ordering::Equal if self.failure_policy == other.failure_policy => self,
            Ordering::Equal => {
                let policy = |rule: Self| rule.failure_policy.unwrap_or(of_guard);
                self.with_failure_policy(policy(self).or_closed_by(policy(other)))
            }
        }
    }

    const fn of(mode: Mode) -> Self {
        Self { mode, failure_policy: None }
    }
}

/// Whether this is the preflight that a browser sends before a request to another origin.
///
/// It has neither credentials nor a body, and so no clearance. What has more is no preflight: a
/// handler of any method could act on it, open a WebSocket or take it for a call of gRPC, and some
/// applications take the method from a header.
pub(super) fn is_preflight(parts: &Parts, body_is_empty: bool) -> bool {
    let has = |name| parts.headers.contains_key(name);
    parts.method == Method::OPTIONS
        && has(header::ORIGIN)
        && has(header::ACCESS_CONTROL_REQUEST_METHOD)
        && !has(header::COOKIE)
        && !has(header::AUTHORIZATION)
        && !has(header::UPGRADE)
        && !has(header::CONTENT_TYPE)
        && !has(header::TRANSFER_ENCODING)
        && !METHODS.iter().any(|name| parts.headers.contains_key(*name))
        && parts.headers.get_all(header::CONTENT_LENGTH).iter().all(|length| length == "0")
        // From HTTP/2 on, a body needs no header. Before, it does, and some types of bodies do not
        // know that they are empty.
        && (body_is_empty || parts.version < Version::HTTP_2)
}

/// Headers by which applications take a request for one of another method.
const METHODS: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FallbackReason, OnFailure};
    use http::Request;

    fn closed_on(reasons: &[FallbackReason]) -> FailurePolicy {
        reasons
            .iter()
            .fold(FailurePolicy::open(), |policy, reason| policy.with(*reason, OnFailure::Closed))
    }

    /// Both ways round.
    fn joined(one: Rule, other: Rule, of_guard: FailurePolicy) -> Rule {
        let joined = one.joined(other, of_guard);
        assert_eq!(joined, other.joined(one, of_guard), "{one:?} {other:?}");
        joined
    }

    #[test]
    fn of_two_rules_the_stricter_mode_holds_whatever_their_failure_policies() {
        let closed = |rule: Rule| rule.with_failure_policy(FailurePolicy::closed());
        let rules = [Rule::exempt(), Rule::monitor(), Rule::enforce()];
        for (number, milder) in rules.iter().enumerate() {
            for stricter in &rules[number..] {
                for milder in [*milder, closed(*milder)] {
                    let rule = joined(milder, *stricter, FailurePolicy::closed());
                    assert_eq!(rule.mode, stricter.mode);
                }
            }
        }
        let watched = closed(Rule::monitor());
        assert_eq!(joined(watched, Rule::enforce(), FailurePolicy::open()), Rule::enforce());
    }

    #[test]
    fn of_two_failure_policies_whatever_fails_closed_by_one_fails_closed() {
        use FallbackReason::{Overload, RateLimited, Timeout};
        let rule = |policy| Rule::enforce().with_failure_policy(policy);
        let (two, one) = (closed_on(&[Overload, RateLimited]), closed_on(&[Timeout]));
        let both = joined(rule(two), rule(one), FailurePolicy::open());
        assert_eq!(both, rule(closed_on(&[Overload, RateLimited, Timeout])));
    }

    #[test]
    fn a_rule_without_a_failure_policy_counts_as_closed_as_the_guard() {
        let open = Rule::enforce().with_failure_policy(FailurePolicy::open());
        let guarded = joined(open, Rule::enforce(), FailurePolicy::closed());
        assert_eq!(guarded, Rule::enforce().with_failure_policy(FailurePolicy::closed()));
        let same = joined(Rule::enforce(), Rule::enforce(), FailurePolicy::closed());
        assert_eq!(same, Rule::enforce(), "it stays the guard's");
    }

    #[test]
    fn a_preflight_has_both_of_its_headers_and_neither_credentials_nor_a_body() {
        const BOTH: &[(&str, &str)] = &[("origin", "x"), ("access-control-request-method", "PUT")];
        let with = |name, value| [BOTH, &[(name, value)]].concat();
        for (method, headers, expected) in [
            ("OPTIONS", BOTH.to_vec(), true),
            ("OPTIONS", with("content-length", "0"), true),
            ("OPTIONS", BOTH[..1].to_vec(), false),
            ("OPTIONS", BOTH[1..].to_vec(), false),
            ("OPTIONS", with("cookie", "a=b"), false),
            ("OPTIONS", with("authorization", "Basic eDp5"), false),
            ("OPTIONS", with("content-length", "1"), false),
            ("OPTIONS", with("transfer-encoding", "chunked"), false),
            ("OPTIONS", with("x-http-method-override", "POST"), false),
            ("OPTIONS", with("upgrade", "websocket"), false),
            ("OPTIONS", with("content-type", "application/grpc"), false),
            ("options", BOTH.to_vec(), false),
            ("GET", BOTH.to_vec(), false),
            ("POST", BOTH.to_vec(), false),
        ] {
            let request =
                headers.iter().fold(Request::builder().method(method), |request, (name, value)| {
                    request.header(*name, *value)
                });
            let mut parts = request.body(()).unwrap().into_parts().0;
            assert_eq!(is_preflight(&parts, false), expected, "{method} {headers:?}");
            parts.version = Version::HTTP_2;
            assert_eq!(is_preflight(&parts, true), expected, "{method} {headers:?}");
            assert!(!is_preflight(&parts, false), "a body without a header");
        }
    }
}
