//! Answer what cannot be served, always in the documented error body.

use axum::Json;
use axum::http::header::{ALLOW, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::challenge::single_use::Full;
use crate::clock::whole_seconds;
use crate::faults::FaultError;
use crate::service::rate_limit::RateLimited;
use crate::wire::{ErrorBody, InvalidRequest};

/// A refusal: a status, an error body and what else the status asks for.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: Box<ErrorBody>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// A header that does not fit.
    pub(crate) fn header(name: &str, why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", format!("{name}: {why}"))
            .with_details(json!({ "header": name }))
    }

    /// A key that belongs into `Authorization`.
    pub(crate) fn no_bearer_key() -> Self {
        Self::unauthorized("Authorization: Bearer KEY", "Bearer")
    }

    /// A key that belongs into `X-Esper-Key`.
    pub(crate) fn no_beacon_key() -> Self {
        // HTTP asks for a challenge with every 401, and has no scheme for a header of one's own.
        Self::unauthorized("X-Esper-Key: KEY", "ApiKey header=\"X-Esper-Key\"")
    }

    fn unauthorized(header: &str, challenge: &'static str) -> Self {
        let message = format!("the API key is missing or wrong; send one as {header}");
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    pub(crate) fn not_found() -> Self {
        let message = "no operation of this API has this path";
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn no_such_fault() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "no fault has this id; see GET /faults")
    }

    pub(crate) fn too_many_faults(error: &FaultError) -> Self {
        Self::new(StatusCode::CONFLICT, "too_many_faults", error.to_string())
    }

    pub(crate) fn no_such_mitigation() -> Self {
        let message = "no mitigation has this id; see the page of the console";
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// A token that another sandbox issued, or nobody.
    pub(crate) fn unknown_challenge() -> Self {
        let message = "this challenge was not issued by this sandbox, perhaps before a restart; \
                       ask for a new decision";
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// A correct answer whose use cannot be remembered.
    pub(crate) fn too_many_answers() -> Self {
        let message = "too many challenges were answered lately; wait until some expire, or give \
                       them a shorter lifetime";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// A name that may be another site's, which has it lead here.
    pub(crate) fn unknown_host() -> Self {
        let message = "the Host is neither an address nor localhost; call the admin interface by \
                       address or as localhost, or send Host: localhost";
        Self::new(StatusCode::FORBIDDEN, "unknown_host", message)
    }

    /// What was there and is over.
    pub(crate) fn gone(message: &str) -> Self {
        Self::new(StatusCode::GONE, "gone", message)
    }

    /// A browser sends this on behalf of another site's page.
    pub(crate) fn cross_site() -> Self {
        let message = "this comes from a page of another site";
        Self::new(StatusCode::FORBIDDEN, "cross_site", message)
    }

    /// The console was called by a name that is not its own.
    pub(crate) fn wrong_host() -> Self {
        let message = "the console is not at this host; open it by address or at localhost, or \
                       give the host with --public-url or SandboxBuilder::public_url";
        Self::new(StatusCode::FORBIDDEN, "wrong_host", message)
    }

    /// As many follow the console as may.
    pub(crate) fn viewer_limit() -> Self {
        let message = "too many pages follow the console; close one";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    pub(crate) fn method_not_allowed(allowed: &'static str) -> Self {
        let message = format!("allowed methods: {allowed}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
            .with_header(ALLOW, HeaderValue::from_static(allowed))
    }

    pub(crate) fn content_too_large(limit: usize) -> Self {
        let message = format!("the request body has more than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "content_too_large", message)
    }

    /// The body did not arrive in time.
    pub(crate) fn too_slow() -> Self {
        let message = "the request body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    }

    /// There are more bodies under way than there is room for.
    pub(crate) fn too_much_at_once() -> Self {
        let message = "too many bytes arrive at once; send fewer bodies at a time, or raise \
                       Limits::bodies";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    pub(crate) fn unsupported_media_type() -> Self {
        let message = "the request body is not declared as application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    /// The sandbox itself failed.
    pub(crate) fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "temporarily unavailable")
    }

    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let body = ErrorBody { message: message.into(), code, details: None };
        Self { status, body: Box::new(body), header: None }
    }

    fn with_details(mut self, details: Value) -> Self {
        self.body.details = Some(details);
        self
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl From<InvalidRequest> for ApiError {
    fn from(invalid: InvalidRequest) -> Self {
        let refusal = Self::new(StatusCode::BAD_REQUEST, "invalid_request", invalid.to_string());
        match invalid.member() {
            Some(member) => refusal.with_details(json!({ "member": member })),
            None => refusal,
        }
    }
}

impl From<RateLimited> for ApiError {
    fn from(RateLimited { per_minute, wait }: RateLimited) -> Self {
        let message = "the rate limit of this key is used up";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
            .with_header(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)))
            .with_details(json!({ "limit_per_minute": per_minute }))
    }
}

impl From<Full> for ApiError {
    fn from(_: Full) -> Self {
        Self::too_many_answers()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        response.headers_mut().extend(self.header);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wait_is_rounded_up_to_seconds() {
        for (wait, expected) in [(1, "1"), (1000, "1"), (1001, "2"), (60_000, "60")] {
            let wait = Duration::from_millis(wait);
            let error = ApiError::from(RateLimited { per_minute: 1, wait });
            let response = error.into_response();
            assert_eq!(response.headers()[RETRY_AFTER], expected, "{wait:?}");
        }
    }
}
