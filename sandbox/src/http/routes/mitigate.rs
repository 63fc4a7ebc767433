//! `POST /v1/mitigate`: what to do with a request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::challenge::managed::NotAllowed;
use crate::engine::attributes::Attributes;
use crate::http::auth::Bearer;
use crate::http::body::JsonBody;
use crate::http::error::ApiError;
use crate::service::{NoPage, Service};
use crate::wire::{ChallengeData, MitigationRequest, MitigationResponse, member};

pub(super) async fn check_mitigation(
    State(service): State<Arc<Service>>,
    Bearer(key): Bearer,
    JsonBody(request): JsonBody<MitigationRequest>,
) -> Result<Json<MitigationResponse>, ApiError> {
    let attributes = Attributes::of_request(&request)?;
    let return_url = request.return_url.as_deref();
    let return_url = return_url.map(|url| member::web_url("return_url", url)).transpose()?;
    let decision = service.decide(key, &attributes);
    let decision = decision.map_err(|_| ApiError::unavailable())?;
    let page = match return_url {
        Some(url) => service.page(&decision, &url),
        None => Ok(None),
    };
    let challenge = decision.challenge.map(|(challenge, _)| ChallengeData::from(challenge));
    let mut response =
        MitigationResponse { challenge, ..MitigationResponse::from(decision.assessment) };
    match page {
        Ok(page) => response.redirect_url = page,
        Err(NoPage::NotAllowed(why)) => response.advise(why),
        Err(NoPage::Failed) => return Err(ApiError::unavailable()),
    }
    Ok(Json(response))
}

impl MitigationResponse {
    /// Says why there is no page. A request that fits the API is refused for no URL in it.
    fn advise(&mut self, why: NotAllowed) {
        self.metadata.insert("managed_challenge".to_owned(), why.advice().into());
    }
}
