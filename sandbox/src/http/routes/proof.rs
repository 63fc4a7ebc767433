//! `POST /api/v1/challenge/proof/verify`: whether the proof of a managed challenge is genuine.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::http::auth::Bearer;
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::service::Service;
use crate::wire::{ChallengeProof, VerificationResult, member};

pub(super) async fn verify_challenge_proof(
    State(service): State<Arc<Service>>,
    _: Bearer,
    JsonBody(visitor): JsonBody<ChallengeProof>,
) -> Result<Json<VerificationResult>, ApiError> {
    let proof = member::not_empty("proof", visitor.proof)?;
    let ip = member::ip("ip", &member::required("ip", visitor.ip)?)?;
    let valid = service.redeem_proof(&proof, ip, visitor.user_agent.as_deref())?;
    Ok(Json(VerificationResult { valid }))
}
