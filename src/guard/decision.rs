//! What a guard says.

use std::sync::Arc;
use std::time::Duration;

use super::FallbackReason;
use crate::{ChallengeData, EsperError, MitigationAction, MitigationResponse};

/// What to do with a request, and who says so.
#[derive(Clone, Debug)]
#[must_use = "a decision does nothing by itself; act on its action"]
#[non_exhaustive]
pub struct Decision {
    /// What to do.
    pub action: MitigationAction,
    /// Who decided.
    pub source: DecisionSource,
    response: Option<MitigationResponse>,
    error: Option<Arc<EsperError>>,
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecisionSource {
    /// The service, just now.
    Service,
    /// Not the service.
    #[non_exhaustive]
    Fallback {
        /// Why not.
        reason: FallbackReason,
        /// Whether this is what the service last said of the visitor, a block or a challenge that
        /// still holds. Otherwise it is what the failure policy says.
        held: bool,
    },
    /// The service, a moment ago; its decision was kept. This source and the following are those of
    /// the enforcement layer (feature `tower`).
    Cache,
    /// The service asks for a challenge, and the visitor has solved one lately.
    Clearance,
    /// A rule of the application, by which nobody was asked about this request.
    Exempt,
    /// Nobody could be asked, because the request has no address, and by the application's settings
    /// it passes all the same.
    NoAddress,
}

impl DecisionSource {
    /// Returns the name for logs and metrics: `service`, `fallback`, `cache`, `clearance`,
    /// `exempt` or `no_address`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Fallback { .. } => "fallback",
            Self::Cache => "cache",
            Self::Clearance => "clearance",
            Self::Exempt => "exempt",
            Self::NoAddress => "no_address",
        }
    }
}

impl Decision {
    pub(crate) fn fallback(
        action: MitigationAction,
        reason: FallbackReason,
        held: Option<MitigationResponse>,
        error: Option<EsperError>,
    ) -> Self {
        let source = DecisionSource::Fallback { reason, held: held.is_some() };
        Self { action, source, response: held, error: error.map(Arc::new) }
    }

    /// Returns true if the request may go on to its handler.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.action == MitigationAction::Allow
    }

    /// Returns why the service did not decide, where it did not.
    #[must_use]
    pub fn fallback_reason(&self) -> Option<FallbackReason> {
        match self.source {
            DecisionSource::Fallback { reason, .. } => Some(reason),
            DecisionSource::Service
            | DecisionSource::Cache
            | DecisionSource::Clearance
            | DecisionSource::Exempt
            | DecisionSource::NoAddress => None,
        }
    }

    /// Returns the service's own words: its reason, its score, the page of a managed challenge.
    ///
    /// In a fallback there are some only where the visitor's last block or challenge holds; these
    /// are without `metadata`. A decision that was kept in a cache has none.
    #[must_use]
    pub fn response(&self) -> Option<&MitigationResponse> {
        self.response.as_ref()
    }

    /// Returns the challenge that the visitor has to solve, where the action asks for one.
    #[must_use]
    pub fn open_challenge(&self) -> Option<&ChallengeData> {
        match self.action {
            MitigationAction::Challenge => self.response.as_ref()?.challenge.as_ref(),
            // The response of a challenge that was solved before still has it.
            MitigationAction::Allow | MitigationAction::Block => None,
        }
    }

    /// Returns what went wrong, where a call did.
    ///
    /// A fallback without a call (an open breaker, an overload) has none; nor has a call that the
    /// deadline cut off.
    #[must_use]
    pub fn error(&self) -> Option<&EsperError> {
        self.error.as_deref()
    }

    /// Returns how long the service asks to wait, where it does so, as with
    /// [`FallbackReason::RateLimited`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.error().and_then(EsperError::retry_after)
    }
}

/// A decision as the service would make it, for tests of what acts on one:
///
/// ```
/// use esper_rs_client::{Decision, MitigationResponse};
///
/// # fn main() -> Result<(), serde_json::Error> {
/// let response: MitigationResponse = serde_json::from_str(r#"{"action": "block"}"#)?;
/// let decision = Decision::from(response);
/// assert!(!decision.is_allowed());
/// # Ok(())
/// # }
/// ```
impl From<MitigationResponse> for Decision {
    fn from(response: MitigationResponse) -> Self {
        let action = response.action;
        Self { action, source: DecisionSource::Service, response: Some(response), error: None }
    }
}

/// Decisions of the enforcement layer.
#[cfg(feature = "tower")]
impl Decision {
    /// A decision of which the action was kept.
    pub(crate) fn kept(action: MitigationAction) -> Self {
        Self { action, source: DecisionSource::Cache, response: None, error: None }
    }

    /// A challenge that was solved before.
    pub(crate) fn cleared(mut self) -> Self {
        self.action = MitigationAction::Allow;
        self.source = DecisionSource::Clearance;
        self
    }

    /// Nobody was asked, for one of the reasons for which nobody has to be.
    pub(crate) fn passed(source: DecisionSource) -> Self {
        Self { action: MitigationAction::Allow, source, response: None, error: None }
    }
}

#[cfg(all(test, feature = "tower"))]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_that_was_solved_before_is_open_no_more() {
        let response = serde_json::json!({
            "action": "challenge",
            "challenge": { "type": "proof_of_work", "token": "t" },
        });
        let response: MitigationResponse = serde_json::from_value(response).unwrap();
        let decision = Decision::from(response);
        assert_eq!(decision.open_challenge().unwrap().token, "t");
        let decision = decision.cleared();
        assert!(decision.is_allowed() && decision.response().is_some());
        assert_eq!(decision.open_challenge(), None);
    }
}
