//! `POST /v1/mitigate`: what to do with a request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::auth::Bearer;
use crate::body::JsonBody;
use crate::challenge::Challenge;
use crate::error::ApiError;
use crate::member;
use crate::policy::Effect;
use crate::service::{Decision, Service};
use crate::wire::{Action, ChallengeData, MitigationRequest, MitigationResponse};

pub(super) async fn check_mitigation(
    State(service): State<Arc<Service>>,
    Bearer(key): Bearer,
    JsonBody(request): JsonBody<MitigationRequest>,
) -> Result<Json<MitigationResponse>, ApiError> {
    let ip = member::ip("ip", &member::required("ip", request.ip)?)?;
    if let Some(url) = &request.return_url {
        member::web_url("return_url", url)?;
    }
    let decision = service.decide(key, ip, request.user_agent.as_deref());
    decision.map(|decision| Json(decision.into())).map_err(|_| ApiError::unavailable())
}

impl From<Decision> for MitigationResponse {
    fn from(Decision { standing, challenge, crawler }: Decision) -> Self {
        let mut metadata = Map::new();
        if let Some(mitigation) = standing.mitigation {
            metadata.insert("policy".to_owned(), mitigation.policy.name.into());
        }
        if let Some(crawler) = crawler {
            let monitor = json!({ "policy": "known_crawler", "crawler": crawler });
            metadata.insert("monitor".to_owned(), monitor);
        }
        Self {
            action: match standing.mitigation.map(|mitigation| mitigation.policy.effect) {
                None => Action::Allow,
                Some(Effect::Challenge) => Action::Challenge,
                Some(Effect::Block) => Action::Block,
            },
            reason: standing.mitigation.map(|mitigation| mitigation.reason()),
            score: standing.score(),
            challenge: challenge.map(ChallengeData::from),
            metadata,
        }
    }
}

impl From<Challenge> for ChallengeData {
    fn from(Challenge { token, salt, difficulty }: Challenge) -> Self {
        let params: Value =
            json!({ "algorithm": "sha256", "salt": salt, "difficulty": difficulty });
        Self { kind: "proof_of_work", token, params }
    }
}
