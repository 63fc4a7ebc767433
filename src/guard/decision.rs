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
}

impl Decision {
    pub(super) fn of_service(response: MitigationResponse) -> Self {
        let action = response.action;
        Self { action, source: DecisionSource::Service, response: Some(response), error: None }
    }

    pub(super) fn fallback(
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
            DecisionSource::Service => None,
        }
    }

    /// Returns the service's own words: its reason, its score, the page of a managed challenge.
    ///
    /// In a fallback there are some only where the visitor's last block or challenge holds; these
    /// are without `metadata`.
    #[must_use]
    pub fn response(&self) -> Option<&MitigationResponse> {
        self.response.as_ref()
    }

    /// Returns the challenge that the visitor has to solve, where the action asks for one.
    #[must_use]
    pub fn open_challenge(&self) -> Option<&ChallengeData> {
        self.response.as_ref().and_then(MitigationResponse::open_challenge)
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
