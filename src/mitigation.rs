//! A request to be judged, and the decision about it.

use reqwest::StatusCode;

pub use crate::generated::types::{MitigationAction, MitigationRequest, MitigationResponse};

use crate::ChallengeData;

impl MitigationAction {
    /// Returns the name in the API, for logs and metrics: `allow`, `challenge` or `block`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Challenge => "challenge",
            Self::Block => "block",
        }
    }

    /// Returns the status with which the family answers a visitor: 403 for a block, 429 for a
    /// challenge, and nothing for an allow, which goes on to the handler.
    #[must_use]
    pub fn http_status(self) -> Option<StatusCode> {
        match self {
            Self::Allow => None,
            Self::Challenge => Some(StatusCode::TOO_MANY_REQUESTS),
            Self::Block => Some(StatusCode::FORBIDDEN),
        }
    }
}

impl MitigationResponse {
    /// Returns true if the request may go on to its handler.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.action == MitigationAction::Allow
    }

    /// Returns the challenge that the visitor has to solve, where the action asks for one.
    ///
    /// A decision that challenges without saying how gives nothing here; so does a managed
    /// challenge, whose page is in `redirect_url`.
    #[must_use]
    pub fn open_challenge(&self) -> Option<&ChallengeData> {
        match self.action {
            MitigationAction::Challenge => self.challenge.as_ref(),
            MitigationAction::Allow | MitigationAction::Block => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(action: &str) -> MitigationResponse {
        let challenge = serde_json::json!({ "type": "proof_of_work", "token": "t" });
        serde_json::from_value(serde_json::json!({ "action": action, "challenge": challenge }))
            .unwrap()
    }

    #[test]
    fn an_action_has_the_status_that_the_family_uses_and_one_name() {
        for action in
            [MitigationAction::Allow, MitigationAction::Challenge, MitigationAction::Block]
        {
            assert_eq!(action.as_str(), action.to_string());
        }
        let status = |action: MitigationAction| action.http_status().map(|s| s.as_u16());
        assert_eq!(status(MitigationAction::Allow), None);
        assert_eq!(status(MitigationAction::Challenge), Some(429));
        assert_eq!(status(MitigationAction::Block), Some(403));
    }

    #[test]
    fn only_an_allow_is_allowed_and_only_a_challenge_is_open() {
        assert!(response("allow").is_allowed() && response("allow").open_challenge().is_none());
        assert!(!response("block").is_allowed() && response("block").open_challenge().is_none());
        assert!(!response("challenge").is_allowed());
        assert_eq!(response("challenge").open_challenge().unwrap().token, "t");
    }
}
