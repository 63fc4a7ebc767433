//! Keep the pages of other sites out of the admin interface.

use std::sync::Arc;

use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::http::error::ApiError;
use crate::http::host::{cannot_be_rebound, is_sent_to};
use crate::http::same_origin::SameOrigin;
use crate::service::Service;

/// Refuses what a browser may send on behalf of another site, as a middleware.
pub(super) async fn guard(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    if !is_sent_to(&request, cannot_be_rebound) {
        return ApiError::unknown_host().into_response();
    }
    let (mut parts, body) = request.into_parts();
    // A browser shows nobody else what a GET is answered with, and it changes nothing.
    if parts.method != Method::GET
        && let Err(refusal) = SameOrigin::from_request_parts(&mut parts, &service).await
    {
        return refusal.into_response();
    }
    next.run(Request::from_parts(parts, body)).await
}
