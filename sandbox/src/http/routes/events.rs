//! `POST /v1/events`: something that happened at the application.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use uuid::fmt::Hyphenated;
use uuid::{Uuid, Variant};

use crate::engine::attributes::{Attributes, scalar};
use crate::http::auth::BeaconKey;
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::service::Service;
use crate::service::idempotency::IdempotencyKey;
use crate::wire::BeaconEvent;

pub(super) async fn send_beacon_event(
    State(service): State<Arc<Service>>,
    BeaconKey(key): BeaconKey,
    headers: HeaderMap,
    JsonBody(event): JsonBody<BeaconEvent>,
) -> Result<StatusCode, ApiError> {
    let by_key = idempotency_key(&headers)?.map(IdempotencyKey::Header);
    let attributes = Attributes::of_event(&event)?;
    let by_id = event.id.as_deref().and_then(scalar).filter(|id| !id.is_empty());
    let by_id = by_id.map(|id| IdempotencyKey::of_event_id(&id));
    let keys: Vec<_> = by_key.into_iter().chain(by_id).collect();
    service.observe(key, &keys, &attributes);
    Ok(StatusCode::ACCEPTED)
}

/// The name under which an event may be delivered more than once.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<Uuid>, ApiError> {
    const NAME: &str = "Idempotency-Key";
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ApiError::header(NAME, "given more than once"));
    }
    // As strict as the API's description: a client with another kind of UUID is to be noticed.
    let is_version_7 =
        |uuid: &Uuid| uuid.get_variant() == Variant::RFC4122 && uuid.get_version_num() == 7;
    let uuid = Uuid::try_parse_ascii(value.as_bytes())
        .ok()
        .filter(|uuid| value.len() == Hyphenated::LENGTH && is_version_7(uuid));
    let why = "not a UUID of version 7 with hyphens";
    uuid.map(Some).ok_or_else(|| ApiError::header(NAME, why))
}
