//! `POST /v1/verify`: whether a visitor's answer solves the challenge of a token.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::http::auth::Bearer;
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::service::Service;
use crate::wire::{ChallengeVerification, VerificationResult, member};

pub(super) async fn verify_challenge(
    State(service): State<Arc<Service>>,
    _: Bearer,
    JsonBody(answer): JsonBody<ChallengeVerification>,
) -> Result<Json<VerificationResult>, ApiError> {
    let token = member::not_empty("token", answer.token)?;
    let response = member::not_empty("response", answer.response)?;
    Ok(Json(VerificationResult { valid: service.redeem(&token, &response)? }))
}
