//! What a handler of axum gets to know.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;

use super::request::client_ip::ClientIp;
use crate::Decision;

/// The decision about a request, for a handler behind an [`EnforceLayer`](super::EnforceLayer).
///
/// Without the layer, the answer is status 500, and the log says why.
impl<S: Sync> FromRequestParts<S> for Decision {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        extension(parts, "Decision")
    }
}

/// The address of a request's client, for a handler behind an
/// [`EnforceLayer`](super::EnforceLayer).
///
/// Without the layer, the answer is status 500, and the log says why.
impl<S: Sync> FromRequestParts<S> for ClientIp {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        extension(parts, "ClientIp")
    }
}

fn extension<T: Clone + Send + Sync + 'static>(parts: &Parts, name: &str) -> Result<T, StatusCode> {
    parts.extensions.get().cloned().ok_or_else(|| {
        tracing::error!(
            "a handler asks for {name}, and no EnforceLayer is in front of it; add \
             .layer(EnforceLayer::new(client)) after its route"
        );
        StatusCode::INTERNAL_SERVER_ERROR
    })
}
