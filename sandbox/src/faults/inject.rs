//! Fault-injection middleware.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::debug;

use super::{Injection, Kind};
use crate::http::connections::ResponseFault;
use crate::operation::Operation;
use crate::service::Service;
use crate::wire::ErrorBody;

/// Lets a call go wrong if it is a fault's turn, as a middleware.
pub(crate) async fn inject(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let operation = Operation::of(request.method(), request.uri().path());
    let injection = operation.and_then(|operation| service.faults.select(operation));
    let Some(injection) = injection else { return next.run(request).await };
    debug!(fault = %injection.fault, "a fault is injected");
    let (kind, delay) = (injection.fault.kind, injection.fault.delay);
    let answer = if kind.is_processed() {
        next.run(request).await
    } else {
        // Its body takes room from others, which it need not for the delay.
        drop(request);
        Response::default()
    };
    let response = match kind {
        Kind::Delay => answer,
        Kind::Status => injection.refusal(),
        Kind::Html => injection.page(),
        Kind::Truncated => ResponseFault::Truncated.mark(answer),
        Kind::ResetInBody => ResponseFault::ResetInBody.mark(answer),
        Kind::Reset | Kind::LostAnswer => ResponseFault::Reset.mark(answer),
        Kind::Silence => ResponseFault::Silence.mark(answer),
    };
    tokio::time::sleep(delay).await;
    response
}

impl Injection {
    fn refusal(self) -> Response {
        let message = "injected fault".to_owned();
        let body = Json(ErrorBody { message, code: "fault", details: None });
        self.answer(body.into_response())
    }

    fn page(self) -> Response {
        let status = self.status();
        let reason = status.canonical_reason().unwrap_or("Unknown");
        let title = format!("{} {reason}", status.as_u16());
        let page = format!(
            "<!doctype html>\n<html>\n<head><title>{title}</title></head>\n\
             <body><center><h1>{title}</h1></center></body>\n</html>\n"
        );
        let kind = [(CONTENT_TYPE, "text/html; charset=utf-8")];
        self.answer((kind, page).into_response())
    }

    /// Sends the fault's own headers, in the place of others of their names.
    fn answer(self, mut response: Response) -> Response {
        let status = self.status();
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            // HTTP gives them no body.
            response = Response::default();
        }
        *response.status_mut() = status;
        response.headers_mut().extend(self.headers);
        response
    }

    fn status(&self) -> StatusCode {
        let status = self.fault.status.and_then(|status| StatusCode::from_u16(status).ok());
        // A fault without one, or with another, was not added.
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}
