//! Refuse who calls the console by a name that is not its own.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::http::error::ApiError;
use crate::http::host::{cannot_be_rebound, is_sent_to};
use crate::service::Service;

/// Lets requests pass that were sent to an address, this machine or the public URL, as a
/// middleware.
pub(crate) async fn own_host(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    if !is_sent_to(&request, |host| cannot_be_rebound(host) || service.public_url.has_host(host)) {
        return ApiError::wrong_host().into_response();
    }
    next.run(request).await
}
