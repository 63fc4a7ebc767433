//! The layer's own endpoint: it takes the answers to challenges, and has what the pages load.

use std::pin::pin;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tokio::time::timeout;
use tower::BoxError;
use tracing::{debug, warn};

use super::answers::answer::{json_answer, plain_problem, with_cookie};
use super::answers::pages;
use super::redemption::{Redeemed, Solution};
use super::refusal::Refusal;
use super::request::visit::{Visit, host, original};
use super::shared::Shared;
use crate::metrics::{self, Stage};

impl Shared {
    /// What a request wants of the endpoint: nothing behind its path, or the name of a file. Others
    /// are not the endpoint's.
    pub(super) fn own_path<'a>(&self, parts: &'a Parts) -> Option<&'a str> {
        let rest = original(parts).path().strip_prefix(self.endpoint.as_str())?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
    }

    /// Whether no browser says that another site is behind a request.
    fn is_same_origin(&self, visit: Visit<'_>) -> bool {
        let headers = &visit.parts.headers;
        // A browser that says it knows better than a proxy, which may put its own host in place of
        // the one that was asked for.
        if headers.contains_key(SEC_FETCH_SITE) {
            return headers.get_all(SEC_FETCH_SITE).iter().all(|site| site == "same-origin");
        }
        let is_same = headers.get_all(ORIGIN).iter().all(|origin| {
            let origin = origin.to_str().unwrap_or_default();
            let host_of =
                origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            visit.origin.is_some_and(|public| origin == public.as_str())
                || host_of.is_some_and(|name| name.eq_ignore_ascii_case(host(visit.parts)))
        });
        if !is_same && visit.origin.is_none() {
            self.origin_warning.call_once(|| {
                warn!(
                    "an answer to a challenge is refused, as its Origin is not the Host that was \
                     asked; behind a proxy, let it pass the Host header on or set \
                     EnforceLayer::with_public_origin"
                );
            });
        }
        is_same
    }
}

/// Answers a request to the endpoint.
pub(super) async fn answer<B>(
    shared: &Shared,
    visit: Visit<'_>,
    name: &str,
    body: B,
) -> Response<Bytes>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    match (&visit.parts.method, name) {
        (&Method::POST, "") => match redeemed(shared, visit, body).await {
            Ok(Redeemed { clearance, return_to }) => {
                let location = json!({ "location": return_to.as_str() });
                with_cookie(json_answer(StatusCode::OK, &location), clearance)
            }
            Err(refusal) => refused(refusal),
        },
        (&Method::POST, LOADED) => {
            metrics::stage(Stage::Loaded);
            noted()
        }
        (_, "") => {
            let detail = "the answer to a challenge is posted";
            let mut answer =
                plain_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            answer
        }
        (&Method::GET | &Method::HEAD, name) => pages::asset(name).unwrap_or_else(not_found),
        _ => not_found(),
    }
}

/// Redeems what is handed in.
async fn redeemed<B>(shared: &Shared, visit: Visit<'_>, body: B) -> Result<Redeemed, Refusal>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    if !shared.is_same_origin(visit) {
        return Err(Refusal::CrossSite);
    }
    // A form of another site cannot send JSON without being asked about.
    let kind = visit.parts.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    let kind = kind.unwrap_or_default().split(|byte| *byte == b';').next().unwrap_or_default();
    if !kind.trim_ascii().eq_ignore_ascii_case(b"application/json") {
        return Err(Refusal::NotJson);
    }
    shared.redeem(visit, &solution(body).await?).await
}

/// Reads a small JSON body.
async fn solution<B>(body: B) -> Result<Solution, Refusal>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let whole = timeout(PATIENCE, whole(body)).await;
    let whole = whole.map_err(|_| Refusal::TimedOut)?.map_err(|error| {
        if error.is::<LengthLimitError>() { Refusal::TooLarge } else { Refusal::Incomplete }
    })?;
    serde_json::from_slice(&whole).map_err(|_| Refusal::MalformedBody)
}

/// Copies a body, up to its limit: a piece of one byte may keep the whole buffer that it came in.
async fn whole<B>(body: B) -> Result<Vec<u8>, BoxError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(Limited::new(body, LARGEST));
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            whole.put(piece);
        }
    }
    Ok(whole)
}

/// Refuses what gives no clearance.
fn refused(refusal: Refusal) -> Response<Bytes> {
    debug!(reason = refusal.as_str(), "an answer to a challenge is refused");
    metrics::refusal(refusal);
    let (status, detail) = match refusal {
        Refusal::CrossSite => {
            (StatusCode::FORBIDDEN, "another site's page cannot solve this challenge")
        }
        Refusal::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "the answer is a JSON object"),
        Refusal::TooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, "the answer has more than 16 KiB, which none needs")
        }
        Refusal::TimedOut => {
            (StatusCode::REQUEST_TIMEOUT, "the answer took too long to arrive; hand it in again")
        }
        Refusal::Incomplete => {
            (StatusCode::BAD_REQUEST, "the answer did not arrive whole; hand it in again")
        }
        Refusal::MalformedBody => (
            StatusCode::BAD_REQUEST,
            "the answer has the members envelope and response, both texts",
        ),
        Refusal::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "the answer cannot be verified now; hand it in again")
        }
        // The visitor learns no more than that.
        Refusal::Malformed
        | Refusal::UnknownKey
        | Refusal::BadSignature
        | Refusal::Expired
        | Refusal::FromTheFuture
        | Refusal::OtherVisitor
        | Refusal::Spent
        | Refusal::TooManyAttempts
        | Refusal::Wrong
        | Refusal::Unproven => {
            let detail = "the answer does not solve the challenge";
            return plain_problem(StatusCode::FORBIDDEN, "refused", detail);
        }
    };
    plain_problem(status, refusal.as_str(), detail)
}

/// A page says that it runs, and wants no answer.
fn noted() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn not_found() -> Response<Bytes> {
    plain_problem(StatusCode::NOT_FOUND, "not_found", "there is no such file")
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Where a page says that it runs.
const LOADED: &str = "loaded";
/// The largest body that is read, in bytes: an envelope of 12 KiB and a response.
const LARGEST: usize = 16 * 1024;
/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
