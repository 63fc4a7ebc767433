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
use crate::recording::record;
use crate::service::Service;

/// Every operation of both hosts, on one address.
pub(crate) fn router(service: Arc<Service>, limits: &Limits) -> Router {
    Router::new()
        .route("/v1/mitigate", only("POST", post(mitigate::check_mitigation)))
        .route("/v1/verify", only("POST", post(verify::verify_challenge)))
        .route("/v1/usage", only("GET", get(usage::get_usage)))
        .route("/v1/events", only("POST", post(events::send_beacon_event)))
        .route("/api/v1/challenge/proof/verify", only("POST", post(proof::verify_challenge_proof)))
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

/// The pages of managed challenges. They are part of no operation.
fn pages() -> Router<Arc<Service>> {
    let page = get(challenge::show).post(challenge::answer);
    Router::new()
        .route(&format!("{CHALLENGE}{{token}}"), only("GET, POST", page))
        .route("/assets/{name}", only("GET", get(challenge::load)))
}
