//! Find the operation of a request, and refuse what is none.

mod challenge;
mod console;
mod events;
mod mitigate;
mod proof;
mod usage;
mod verify;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use tracing::debug;

use crate::bodies::Bodies;
use crate::body;
use crate::error::ApiError;
use crate::faults::inflict;
use crate::limits::Limits;
use crate::recording::record;
use crate::service::Service;

/// Every operation of both hosts, on one address.
pub(crate) fn router(service: Arc<Service>, limits: &Limits) -> Router {
    Router::new()
        .route("/v1/mitigate", only_post(mitigate::check_mitigation))
        .route("/v1/verify", only_post(verify::verify_challenge))
        .route("/v1/usage", only_get(usage::get_usage))
        .route("/v1/events", only_post(events::send_beacon_event))
        .route("/api/v1/challenge/proof/verify", only_post(proof::verify_challenge_proof))
        .fallback(async || ApiError::not_found())
        .layer(from_fn_with_state(Arc::clone(&service), inflict))
        .layer(from_fn_with_state(Arc::clone(&service), record))
        // What follows is part of no operation, so that it is neither recorded nor struck.
        .merge(pages())
        .merge(console::routes(&service))
        .route("/healthz", only_get(async || "ok"))
        .layer(from_fn_with_state(Bodies::new(limits), body::receive))
        .layer(from_fn(log))
        .with_state(service)
}

/// The pages of managed challenges. They are part of no operation.
fn pages() -> Router<Arc<Service>> {
    let refuse = async || ApiError::method_not_allowed("GET, POST");
    let page = get(challenge::show).post(challenge::answer).head(refuse).fallback(refuse);
    Router::new()
        .route(&format!("{CHALLENGE}{{token}}"), page)
        .route("/assets/{name}", only_get(challenge::load))
}

fn only_post<H, T>(operation: H) -> MethodRouter<Arc<Service>>
where
    H: Handler<T, Arc<Service>>,
    T: 'static,
{
    post(operation).fallback(async || ApiError::method_not_allowed("POST"))
}

/// GET alone. HEAD would be served along with it if it were not refused by name.
fn only_get<H, T>(operation: H) -> MethodRouter<Arc<Service>>
where
    H: Handler<T, Arc<Service>>,
    T: 'static,
{
    let refuse = async || ApiError::method_not_allowed("GET");
    get(operation).head(refuse).fallback(refuse)
}

async fn log(request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let path = loggable(uri.path());
    debug!(%method, path, status = response.status().as_u16(), "answered");
    response
}

/// A path without the token that is in it.
fn loggable(path: &str) -> &str {
    if path.starts_with(CHALLENGE) { CHALLENGE } else { path }
}

/// What the paths of managed challenges begin with.
const CHALLENGE: &str = "/challenge/";
