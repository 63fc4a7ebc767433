//! `POST /api/v1/challenge/proof/verify`: whether the proof of a managed challenge is genuine.
//!
//! The sandbox has no pages for managed challenges yet. It issues no proof, so whatever proof is
//! presented was not issued by it.

use axum::Json;

use crate::auth::Bearer;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::member;
use crate::wire::{ChallengeProof, VerificationResult};

pub(super) async fn verify_challenge_proof(
    _: Bearer,
    JsonBody(visitor): JsonBody<ChallengeProof>,
) -> Result<Json<VerificationResult>, ApiError> {
    member::not_empty("proof", visitor.proof)?;
    member::ip("ip", &member::required("ip", visitor.ip)?)?;
    Ok(Json(VerificationResult { valid: false }))
}
