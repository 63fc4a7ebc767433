//! `POST /v1/mitigate`: what to do with a request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::auth::Bearer;
use crate::body::JsonBody;
use crate::challenge::Challenge;
use crate::crawlers::CRAWLER_POLICY;
use crate::error::ApiError;
use crate::managed::NotAllowed;
use crate::member;
use crate::policy::Effect;
use crate::service::{Decision, NoPage, Service};
use crate::wire::{Action, ChallengeData, MitigationRequest, MitigationResponse};

pub(super) async fn check_mitigation(
    State(service): State<Arc<Service>>,
    Bearer(key): Bearer,
    JsonBody(request): JsonBody<MitigationRequest>,
) -> Result<Json<MitigationResponse>, ApiError> {
    let ip = member::ip("ip", &member::required("ip", request.ip)?)?;
    let return_url =
        request.return_url.map(|url| member::web_url("return_url", &url)).transpose()?;
    let decision = service.decide(key, ip, request.user_agent.as_deref());
    let decision = decision.map_err(|_| ApiError::unavailable())?;
    let page = match return_url {
        Some(url) => service.page(&decision, &url),
        None => Ok(None),
    };
    let mut response = MitigationResponse::from(decision);
    match page {
        Ok(page) => response.redirect_url = page,
        Err(NoPage::NotAllowed(why)) => response.advise(why),
        Err(NoPage::Failed) => return Err(ApiError::unavailable()),
    }
    Ok(Json(response))
}

impl MitigationResponse {
    /// Says why there is no page. A request that fits the API is refused for no URL in it.
    fn advise(&mut self, why: NotAllowed) {
        self.metadata.insert("managed_challenge".to_owned(), why.advice().into());
    }
}

impl From<Decision> for MitigationResponse {
    fn from(Decision { standing, challenge, crawler, .. }: Decision) -> Self {
        let mut metadata = Map::new();
        if let Some(mitigation) = standing.mitigation {
            metadata.insert("policy".to_owned(), mitigation.policy.name.into());
        }
        if let Some(crawler) = crawler {
            let monitor = json!({ "policy": CRAWLER_POLICY, "crawler": crawler });
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
            redirect_url: None,
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
