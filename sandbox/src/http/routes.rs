//! Route requests, and answer unknown paths and methods.

mod challenge;
mod console;
mod events;
mod mitigate;
mod proof;
mod usage;
mod verify;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use crate::faults::inject;
use crate::http::body;
use crate::http::body::budget::BodyBudget;
use crate::http::error::ApiError;
use crate::http::log::{CHALLENGE, log};
use crate::http::methods::only;
use crate::limits::Limits;
use crate::operation::Operation;
use crate::recording::record;
use crate::service::Service;

/// Every operation of both hosts, on one address.
pub(crate) fn router(service: Arc<Service>, limits: &Limits) -> Router {
    operations()
        .fallback(async || ApiError::not_found())
        .layer(from_fn_with_state(Arc::clone(&service), inject))
        .layer(from_fn_with_state(Arc::clone(&service), record))
        // What follows is part of no operation, so that it is neither recorded nor hit.
        .merge(pages())
        .merge(console::routes(&service))
        .route("/healthz", only("GET", get(async || "ok")))
        .layer(from_fn_with_state(BodyBudget::new(limits), body::receive))
        .layer(from_fn(log))
        .with_state(service)
}

fn operations() -> Router<Arc<Service>> {
    Operation::ALL.into_iter().fold(Router::new(), |router, operation| {
        let handler = match operation {
            Operation::CheckMitigation => post(mitigate::check_mitigation),
            Operation::VerifyChallenge => post(verify::verify_challenge),
            Operation::VerifyChallengeProof => post(proof::verify_challenge_proof),
            Operation::GetUsage => get(usage::get_usage),
            Operation::SendBeaconEvent => post(events::send_beacon_event),
        };
        router.route(operation.path(), only(operation.method(), handler))
    })
}

/// The pages of managed challenges. They are part of no operation.
fn pages() -> Router<Arc<Service>> {
    let page = get(challenge::show).post(challenge::answer);
    Router::new()
        .route(&format!("{CHALLENGE}{{token}}"), only("GET, POST", page))
        .route("/assets/{name}", only("GET", get(challenge::load)))
}
