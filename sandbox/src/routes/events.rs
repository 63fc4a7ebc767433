//! `POST /v1/events`: something that happened at the application.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use uuid::Uuid;

use crate::auth::BeaconKey;
use crate::body::JsonBody;
use crate::error::ApiError;
use crate::journal::Sighting;
use crate::member;
use crate::service::Service;
use crate::wire::BeaconEvent;

pub(super) async fn send_beacon_event(
    State(service): State<Arc<Service>>,
    BeaconKey(key): BeaconKey,
    headers: HeaderMap,
    JsonBody(event): JsonBody<BeaconEvent>,
) -> Result<StatusCode, ApiError> {
    let delivery = delivery(&headers)?;
    let kind = member::not_blank("type", event.kind)?;
    event.timestamp.map_or(Ok(()), |time| member::not_negative("timestamp", time))?;
    let ip = event.ip.map(|ip| member::ip("ip", &ip)).transpose()?;
    let (user_agent, path) = (event.user_agent.as_deref(), event.path.as_deref());
    service.observe(key, delivery, &kind, Sighting { ip, user_agent, path });
    Ok(StatusCode::ACCEPTED)
}

/// The name under which an event may be delivered more than once.
fn delivery(headers: &HeaderMap) -> Result<Option<Uuid>, ApiError> {
    const NAME: &str = "Idempotency-Key";
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ApiError::header(NAME, "given more than once"));
    }
    let uuid = Uuid::try_parse_ascii(value.as_bytes());
    uuid.map(Some).map_err(|_| ApiError::header(NAME, "not a UUID"))
}
