//! Answers in place of the application's: to a block, and to a challenge.

use std::fmt;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, SET_COOKIE, VARY,
};
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::audience::{self, Audience};
use crate::enforce::request::facts::{LONGEST_ID, REQUEST_ID, cut};
use crate::enforce::request::return_to::ReturnTo;
use crate::{ChallengeData, Decision, DecisionSource, MitigationAction};

/// A request that does not reach the application, for a function of the application's that answers
/// in its own way: [`EnforceLayer::with_response`](crate::enforce::EnforceLayer::with_response).
///
/// Of the request, `Debug` shows the method alone.
#[derive(Clone)]
#[non_exhaustive]
pub struct Denial<'a> {
    /// The decision by which it does not.
    pub decision: &'a Decision,
    /// Its head. Everything in it is what a visitor sent: escape what the answer shows of it.
    pub request: &'a Parts,
    /// Who gets the answer.
    pub audience: Audience,
    /// What the visitor has to solve, where it can be solved here. Its token is the layer's own.
    /// The answer is posted as JSON, `{"envelope": TOKEN, "response": …}`, to `endpoint`.
    pub challenge: Option<ChallengeData>,
    /// The path of the layer's own endpoint.
    pub endpoint: &'a str,
}

impl Denial<'_> {
    /// Whether it is refused only because it cannot be checked now, by a policy that fails closed.
    pub(in crate::enforce) fn is_unchecked(&self) -> bool {
        match self.decision.source {
            DecisionSource::Fallback { reason, held: false } => !reason.may_be_the_requests(),
            _ => false,
        }
    }

    /// The answer to a program.
    pub(in crate::enforce) fn problem(&self) -> Response<Bytes> {
        if self.is_unchecked() {
            return plain_problem(StatusCode::SERVICE_UNAVAILABLE, "unchecked", self.detail());
        }
        let status = self.decision.action.http_status().unwrap_or(StatusCode::FORBIDDEN);
        let is_challenge = self.decision.action == MitigationAction::Challenge;
        let error = if is_challenge { "challenged" } else { "blocked" };
        let mut body = members(status, error, self.detail());
        if let Some(id) = self.request_id() {
            body["request_id"] = id.into();
        }
        if is_challenge {
            body["challenge"] = json!(self.challenge);
            if self.challenge.is_some() {
                body["verify"] = self.endpoint.into();
            }
        }
        problem(status, &body)
    }

    /// The answer to a gRPC client: trailers alone, which are headers then.
    pub(in crate::enforce) fn grpc(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let status = if self.is_unchecked() { UNAVAILABLE } else { PERMISSION_DENIED };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, audience::grpc_type(&self.request.headers));
        headers.insert(GRPC_STATUS, HeaderValue::from_static(status));
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static(self.detail()));
        unstored(response)
    }

    /// What finds the request in the logs of the site.
    pub(in crate::enforce) fn request_id(&self) -> Option<&str> {
        let id = self.request.headers.get(REQUEST_ID)?.to_str().ok()?;
        Some(cut(id, LONGEST_ID))
    }

    fn detail(&self) -> &'static str {
        match self.decision.action {
            _ if self.is_unchecked() => "the request cannot be checked now; send it again later",
            MitigationAction::Challenge => "the request needs a solved challenge",
            MitigationAction::Allow | MitigationAction::Block => "the request was blocked",
        }
    }
}

/// The head has the visitor's cookies and keys in it, and the challenge a token.
impl fmt::Debug for Denial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Denial")
            .field("decision", &self.decision)
            .field("method", &self.request.method)
            .field("audience", &self.audience)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// An answer of JSON.
pub(in crate::enforce) fn json_answer(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    unstored(response)
}

/// A problem of RFC 9457.
fn problem(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = json_answer(status, body);
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A problem with a name and a sentence.
pub(in crate::enforce) fn plain_problem(
    status: StatusCode,
    error: &str,
    detail: &str,
) -> Response<Bytes> {
    problem(status, &members(status, error, detail))
}

/// The members that every problem has.
fn members(status: StatusCode, error: &str, detail: &str) -> Value {
    json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "error": error,
        "detail": detail,
    })
}

/// Sends a browser elsewhere, by GET.
pub(in crate::enforce) fn redirect(location: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, location);
    unstored(response)
}

/// Sends a browser to a path of this site.
pub(in crate::enforce) fn redirect_to(place: &ReturnTo) -> Response<Bytes> {
    let root = HeaderValue::from_static("/");
    redirect(HeaderValue::from_str(place.as_str()).unwrap_or(root))
}

/// Sets the cookie of a clearance.
pub(in crate::enforce) fn with_cookie(
    mut response: Response<Bytes>,
    cookie: HeaderValue,
) -> Response<Bytes> {
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

/// Keeps an answer out of every cache, and says what it depends on.
pub(in crate::enforce) fn unstored(mut response: Response<Bytes>) -> Response<Bytes> {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static(DEPENDS_ON));
    response
}

/// Keeps an answer of the application's function out of every cache, unless it says otherwise.
/// It is for one visitor, and another one must not get it.
pub(in crate::enforce) fn unstored_unless_said(mut response: Response<Bytes>) -> Response<Bytes> {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(VARY).or_insert(HeaderValue::from_static(DEPENDS_ON));
    response
}

/// What an answer's form and being depend on.
const DEPENDS_ON: &str =
    "Accept, Content-Type, Cookie, Sec-Fetch-Dest, User-Agent, X-Requested-With";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const PERMISSION_DENIED: &str = "7";
const UNAVAILABLE: &str = "14";
