//! `/challenge/{token}`: the page of a managed challenge, and `/assets/{name}`: what it loads.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;

use crate::challenge::managed::{Closed, Unproven, asset, challenge_page, closed_page};
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::http::same_origin::SameOrigin;
use crate::service::Service;
use crate::wire::{InvalidRequest, ManagedAnswer, ManagedPassed, member};

/// A path's segment. One that is no text is no token and no name.
type Segment = Result<Path<String>, PathRejection>;

pub(super) async fn show(State(service): State<Arc<Service>>, token: Segment) -> Response {
    let task = token.map_err(|_| Closed::Unknown).and_then(|Path(token)| service.task(&token));
    match task {
        Ok(task) => challenge_page(&task),
        Err(closed) => closed_page(&closed),
    }
}

pub(super) async fn answer(
    State(service): State<Arc<Service>>,
    _: SameOrigin,
    token: Segment,
    JsonBody(answer): JsonBody<ManagedAnswer>,
) -> Result<Json<ManagedPassed>, ApiError> {
    let response = member::not_empty("response", answer.response)?;
    let Path(token) = token.map_err(|_| ApiError::unknown_challenge())?;
    match service.answer(&token, &response) {
        Ok(location) => Ok(Json(ManagedPassed { location: location.into() })),
        Err(unproven) => Err(refusal(unproven)),
    }
}

pub(super) async fn load(name: Segment) -> Result<Response, ApiError> {
    name.ok().and_then(|Path(name)| asset(&name)).ok_or_else(ApiError::not_found)
}

fn refusal(unproven: Unproven) -> ApiError {
    match unproven {
        Unproven::Closed(Closed::Unknown) => ApiError::unknown_challenge(),
        Unproven::Closed(Closed::Expired(_)) => ApiError::gone("this challenge has expired"),
        Unproven::Closed(Closed::Solved(_)) => ApiError::gone("this challenge was solved already"),
        Unproven::WrongAnswer => {
            InvalidRequest::of_member("response", "does not solve the challenge").into()
        }
        Unproven::Full => ApiError::too_many_answers(),
        Unproven::Failed => ApiError::unavailable(),
    }
}
