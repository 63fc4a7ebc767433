//! Bodies of requests: received whole, within bounds, then read as JSON.

pub(crate) mod budget;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::Extensions;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::http::body::budget::{BodyBudget, BodyReservation};
use crate::http::error::ApiError;
use crate::service::Service;
use crate::wire::{InvalidRequest, read};

/// A request's body, read as JSON.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Service>> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Service>) -> Result<Self, ApiError> {
        match parts.extensions.get() {
            Some(Received::TooLarge) => Err(ApiError::content_too_large(LIMIT)),
            Some(Received::Late) => Err(ApiError::too_slow()),
            Some(Received::Evicted) => Err(ApiError::too_much_at_once()),
            Some(Received::Whole { .. }) if !is_json(parts) => {
                Err(ApiError::unsupported_media_type())
            }
            Some(Received::Whole { body, .. }) => Ok(Self(read(body)?)),
            Some(Received::Part) | None => {
                Err(InvalidRequest::whole("the body ended early").into())
            }
        }
    }
}

/// Receives the body before the request is looked at, as a middleware.
///
/// A refusal that overtakes its request's body makes the connection break while the client is
/// still sending, and the client sees the break instead of the refusal.
pub(crate) async fn receive(
    State(budget): State<BodyBudget>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let received = timeout(budget.time, Received::from(body, budget.reserve())).await;
    parts.extensions.insert(received.unwrap_or(Received::Late));
    next.run(Request::from_parts(parts, Body::empty())).await
}

/// The body of a request that has arrived in whole.
pub(crate) fn whole(extensions: &Extensions) -> Option<&Bytes> {
    match extensions.get() {
        Some(Received::Whole { body, .. }) => Some(body),
        _ => None,
    }
}

/// What arrived of a body.
#[derive(Clone, Debug)]
enum Received {
    /// All of it, and the room that it takes.
    Whole {
        body: Bytes,
        _reservation: Arc<BodyReservation>,
    },
    TooLarge,
    Part,
    /// Not all of it in time.
    Late,
    /// All of it, while there was no room for it.
    Evicted,
}

impl Received {
    async fn from(mut body: Body, mut reservation: BodyReservation) -> Self {
        let (mut whole, mut size) = (Vec::new(), 0);
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = reservation.evicted() => break,
            };
            let Some(frame) = frame else {
                if !reservation.complete() {
                    return Self::Evicted;
                }
                return Self::Whole { body: whole.into(), _reservation: Arc::new(reservation) };
            };
            let Ok(frame) = frame else { return Self::Part };
            let Ok(data) = frame.into_data() else { continue };
            size += data.len();
            if size > LIMIT || !reservation.grow(data.len()) {
                break;
            }
            whole.extend_from_slice(&data);
        }
        // It is refused. Nothing of it is kept, and no room from others.
        drop((whole, reservation));
        Self::drained(body, size).await
    }

    /// Receives the rest of a body of which nothing is kept.
    async fn drained(mut body: Body, mut size: usize) -> Self {
        while size <= DRAIN_LIMIT
            && let Some(frame) = body.frame().await
        {
            let Ok(frame) = frame else { return Self::Part };
            size += frame.data_ref().map_or(0, Bytes::len);
        }
        if size > LIMIT { Self::TooLarge } else { Self::Evicted }
    }
}

/// The most bytes that a body may have.
const LIMIT: usize = 1024 * 1024;

/// The most bytes that are received, and dropped, of a body that is too large.
const DRAIN_LIMIT: usize = 16 * LIMIT;

fn is_json(parts: &Parts) -> bool {
    let declared = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = declared.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::{StreamExt as _, stream};

    use super::*;
    use crate::limits::Limits;

    #[tokio::test]
    async fn a_body_that_is_too_large_takes_no_room_from_others_while_it_is_drained() {
        let budget = BodyBudget::new(&Limits::default().bodies(LIMIT));
        let mut other = budget.reserve();
        let parts = stream::iter([LIMIT, 1]).map(|size| Ok::<_, Infallible>(vec![b' '; size]));
        let body = Body::from_stream(parts.chain(stream::pending()));
        let mut received = pin!(Received::from(body, budget.reserve()));
        assert!(timeout(Duration::ZERO, &mut received).await.is_err(), "it goes on");
        assert!(other.grow(LIMIT));
    }
}
