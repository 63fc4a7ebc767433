//! `POST /v1/mitigate`: what to do with a request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::challenge::managed::NotAllowed;
use crate::challenge::{Challenge, Puzzle};
use crate::engine::attributes::Attributes;
use crate::engine::policy::MitigationAction;
use crate::engine::{ActiveMitigation, Assessment, Monitored};
use crate::http::auth::Bearer;
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::http::member;
use crate::http::wire::{Action, ChallengeData, MitigationRequest, MitigationResponse};
use crate::service::{Decision, NoPage, Service};

pub(super) async fn check_mitigation(
    State(service): State<Arc<Service>>,
    Bearer(key): Bearer,
    JsonBody(request): JsonBody<MitigationRequest>,
) -> Result<Json<MitigationResponse>, ApiError> {
    let attributes = Attributes::of_request(&request)?;
    let return_url = request.return_url.as_deref();
    let return_url = return_url.map(|url| member::web_url("return_url", url)).transpose()?;
    let decision = service.decide(key, &attributes);
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
    fn from(Decision { assessment, challenge, .. }: Decision) -> Self {
        Self { challenge: challenge.map(ChallengeData::from), ..Self::from(assessment) }
    }
}

impl From<Assessment> for MitigationResponse {
    fn from(assessment: Assessment) -> Self {
        let mut metadata = Map::new();
        if let Some(policy) =
            assessment.mitigation.as_ref().and_then(|mitigation| mitigation.policy.as_deref())
        {
            metadata.insert("policy".to_owned(), policy.into());
        }
        if let Some(monitored) = assessment.monitored {
            metadata.insert("monitor".to_owned(), monitored.into());
        }
        Self {
            action: match &assessment.mitigation {
                Some(ActiveMitigation { action: MitigationAction::Block, .. }) => Action::Block,
                Some(ActiveMitigation { action: MitigationAction::Challenge(_), .. }) => {
                    Action::Challenge
                }
                Some(ActiveMitigation { action: MitigationAction::Monitor, .. }) | None => {
                    Action::Allow
                }
            },
            reason: assessment.mitigation.map(|mitigation| mitigation.reason),
            score: assessment.score,
            challenge: None,
            redirect_url: None,
            metadata,
        }
    }
}

impl From<Monitored> for Value {
    fn from(Monitored { policy, word, reason }: Monitored) -> Self {
        let mut monitor = Map::new();
        monitor.insert("policy".to_owned(), policy.into());
        let further = [("word", word), ("reason", reason)];
        for (name, value) in further {
            monitor.extend(value.map(|value| (name.to_owned(), value.into())));
        }
        monitor.into()
    }
}

impl From<Challenge> for ChallengeData {
    fn from(Challenge { token, puzzle }: Challenge) -> Self {
        let (kind, params) = match puzzle {
            Puzzle::ProofOfWork { salt, difficulty } => {
                let params =
                    json!({ "algorithm": "sha256", "salt": salt, "difficulty": difficulty });
                ("proof_of_work", params)
            }
            Puzzle::Turnstile { site_key } => ("turnstile", json!({ "site_key": site_key })),
        };
        Self { kind, token, params }
    }
}
