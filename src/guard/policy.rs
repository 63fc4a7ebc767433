//! What a failure means for the visitor.

use super::reason::{FallbackReason, REASONS};
use crate::MitigationAction;

/// What to do with a request when there is no decision of the service, by the kind of failure.
///
/// Everything fails open unless set otherwise: Esper being down must not take the site down.
///
/// ```
/// use esper_rs_client::{FailurePolicy, FallbackReason, OnFailure};
///
/// let payments = FailurePolicy::closed().with(FallbackReason::Overload, OnFailure::Open);
/// assert_eq!(payments.on(FallbackReason::Timeout), OnFailure::Closed);
/// ```
///
/// Four kinds of failure can be brought about by visitors. [`FallbackReason::Refused`] and
/// [`FallbackReason::InvalidRequest`] may be due to a member that was copied from their request,
/// and a flood can reach [`FallbackReason::Overload`] and [`FallbackReason::RateLimited`].
/// Where that matters, let them fail closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a policy does nothing until a guard has it"]
pub struct FailurePolicy {
    on: [OnFailure; REASONS],
}

/// What to do with a request when a failure leaves the decision to the application.
///
/// There is no challenge here: without the service there is nothing to challenge with, and nobody
/// to tell whether it was solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnFailure {
    /// Allow it.
    Open,
    /// Block it.
    Closed,
}

impl FailurePolicy {
    /// Allows whatever the service does not decide about.
    pub const fn open() -> Self {
        Self { on: [OnFailure::Open; REASONS] }
    }

    /// Blocks whatever the service does not decide about.
    pub const fn closed() -> Self {
        Self { on: [OnFailure::Closed; REASONS] }
    }

    /// Sets what to do after one kind of failure.
    pub fn with(mut self, reason: FallbackReason, on: OnFailure) -> Self {
        self.on[reason as usize] = on;
        self
    }

    /// Returns what to do after a kind of failure.
    #[must_use]
    pub fn on(&self, reason: FallbackReason) -> OnFailure {
        self.on[reason as usize]
    }
}

#[cfg(feature = "tower")]
impl FailurePolicy {
    /// Blocks after the kinds of failure after which either of the two does.
    pub(crate) fn or_closed_by(mut self, other: Self) -> Self {
        for (on, other) in self.on.iter_mut().zip(other.on) {
            if other == OnFailure::Closed {
                *on = OnFailure::Closed;
            }
        }
        self
    }
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self::open()
    }
}

impl OnFailure {
    pub(super) fn action(self) -> MitigationAction {
        match self {
            Self::Open => MitigationAction::Allow,
            Self::Closed => MitigationAction::Block,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_open_and_changes_by_the_kind_of_failure() {
        assert_eq!(FailurePolicy::default(), FailurePolicy::open());
        let policy = FailurePolicy::open().with(FallbackReason::Refused, OnFailure::Closed);
        for reason in FallbackReason::ALL {
            let closed = *reason == FallbackReason::Refused;
            assert_eq!(policy.on(*reason) == OnFailure::Closed, closed, "{reason}");
            assert_eq!(FailurePolicy::closed().on(*reason).action(), MitigationAction::Block);
        }
    }
}
