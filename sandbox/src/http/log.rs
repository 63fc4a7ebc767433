//! Log every request, at the level `debug`.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tracing::debug;

/// Logs what a request is answered with, as a middleware.
pub(crate) async fn log(request: Request, next: Next) -> Response {
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
pub(crate) const CHALLENGE: &str = "/challenge/";
