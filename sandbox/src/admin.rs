//! The admin interface: what a test in the same process can do, for other processes.

mod guard;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::info;

use self::guard::guard;
use crate::faults::{Fault, FaultError, FaultId, FaultMembers};
use crate::http::body::budget::BodyBudget;
use crate::http::body::{self, JsonBody};
use crate::http::error::ApiError;
use crate::http::log::log;
use crate::http::methods::only;
use crate::limits::Limits;
use crate::recording::RecordedRequest;
use crate::service::Service;
use crate::wire::{InvalidRequest, member};

/// The admin interface, for an address of its own.
pub(crate) fn router(service: Arc<Service>, limits: &Limits) -> Router {
    Router::new()
        .route("/healthz", only("GET", get(async || "ok")))
        .route("/faults", only("DELETE, GET, POST", get(list).post(add).delete(clear)))
        .route("/faults/{id}", only("DELETE", delete(remove)))
        .route("/requests", only("GET", get(requests)))
        .route("/clock", only("POST", post(advance)))
        .fallback(async || ApiError::not_found())
        .layer(from_fn_with_state(Arc::clone(&service), guard))
        .layer(from_fn_with_state(BodyBudget::new(limits), body::receive))
        .layer(from_fn(log))
        .with_state(service)
}

async fn list(State(service): State<Arc<Service>>) -> Json<Value> {
    Json(json!({ "faults": service.faults.list() }))
}

async fn add(
    State(service): State<Arc<Service>>,
    JsonBody(members): JsonBody<FaultMembers>,
) -> Result<Response, ApiError> {
    let fault = Fault::try_from(members)?;
    let does = fault.to_string();
    let id = service.faults.try_add(fault);
    let id = id.map_err(refusal)?;
    info!(%id, fault = does, "a fault is added");
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

fn refusal(error: FaultError) -> ApiError {
    match error {
        FaultError::Invalid { member, why } => InvalidRequest::of_member(member, &why).into(),
        FaultError::TooMany => ApiError::too_many_faults(&error),
    }
}

async fn clear(State(service): State<Arc<Service>>) -> StatusCode {
    service.faults.clear();
    info!("all faults are removed");
    StatusCode::NO_CONTENT
}

async fn remove(
    State(service): State<Arc<Service>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let id = id.ok().and_then(|Path(id)| FaultId::parse(&id));
    let id = id.filter(|id| service.faults.remove(*id)).ok_or_else(ApiError::no_such_fault)?;
    info!(%id, "a fault is removed");
    Ok(StatusCode::NO_CONTENT)
}

/// The last requests, which take too much for a copy in another form.
#[derive(Debug, Serialize)]
struct Requests {
    count: u64,
    requests: Vec<RecordedRequest>,
}

async fn requests(State(service): State<Arc<Service>>) -> Json<Requests> {
    let requests = service.recording.list();
    // Later than the list, so that it counts at least what is listed.
    Json(Requests { count: service.recording.count(), requests })
}

/// How far the clock is moved on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: Option<u64>,
}

async fn advance(
    State(service): State<Arc<Service>>,
    JsonBody(advance): JsonBody<Advance>,
) -> Result<StatusCode, ApiError> {
    let millis = member::required("advance_ms", advance.advance_ms)?;
    service.advance(Duration::from_millis(millis));
    info!(millis, "the clock is moved on");
    Ok(StatusCode::NO_CONTENT)
}
