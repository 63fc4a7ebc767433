//! `/` and `/console/…`: the page that shows what the sandbox sees and does.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use tracing::error;

use crate::console::{View, Viewer, own_host, page, script, style};
use crate::http::error::ApiError;
use crate::http::methods::only;
use crate::http::same_origin::SameOrigin;
use crate::service::{Service, ViewVersion};

/// The console's own paths, if it has any.
pub(super) fn routes(service: &Arc<Service>) -> Router<Arc<Service>> {
    if service.console().is_none() {
        return Router::new();
    }
    Router::new()
        .route("/", only("GET", get(show)))
        .route("/console/stream", only("GET", get(follow)))
        .route("/console/mitigations/{id}/lift", only("POST", post(lift)))
        .route("/console/style.css", only("GET", get(async || style())))
        .route("/console/script.js", only("GET", get(async || script())))
        .layer(from_fn_with_state(Arc::clone(service), own_host))
}

async fn show(State(service): State<Arc<Service>>) -> Result<Response, ApiError> {
    let (view, _) = service.look(None).ok_or_else(ApiError::not_found)?;
    page(&view).map_err(|error| {
        error!(%error, "the console cannot be written");
        ApiError::unavailable()
    })
}

/// Sends the view whenever there is a new one and the viewer took the one before.
async fn follow(
    State(service): State<Arc<Service>>,
    _: SameOrigin,
) -> Result<impl IntoResponse, ApiError> {
    let console = service.console().ok_or_else(ApiError::not_found)?;
    let viewer = console.viewers.admit().ok_or_else(ApiError::viewer_limit)?;
    let views = stream::unfold((service, viewer, None), async |(service, mut viewer, seen)| {
        let (view, version) = next(&service, &mut viewer, seen).await?;
        Some((event(&view), (service, viewer, Some(version))))
    });
    Ok(Sse::new(views).keep_alive(KeepAlive::default()))
}

/// Waits for a view that was not seen; there is none after the sandbox was told to stop.
async fn next(
    service: &Service,
    viewer: &mut Viewer,
    seen: Option<ViewVersion>,
) -> Option<(View, ViewVersion)> {
    while viewer.next_update().await {
        if let Some(news) = service.look(seen) {
            return Some(news);
        }
    }
    None
}

fn event(view: &View) -> Result<Event, Infallible> {
    let event = Event::default().retry(RETRY);
    Ok(event.json_data(view).unwrap_or_else(|error| {
        error!(%error, "the console's stream has a gap");
        Event::default().comment("a gap")
    }))
}

/// Lifts a mitigation, and leads a form back to the page.
async fn lift(
    State(service): State<Arc<Service>>,
    _: SameOrigin,
    id: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let id = id.ok().and_then(|Path(id)| id.parse().ok());
    // One that is over already is as good.
    service.lift(id.ok_or_else(ApiError::no_such_mitigation)?);
    // Relative, since a proxy may have put a path before it.
    Ok((StatusCode::SEE_OTHER, [(LOCATION, "../../..")]))
}

/// How long a page waits until it connects again.
const RETRY: Duration = Duration::from_secs(1);
