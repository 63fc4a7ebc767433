//! The layer's own endpoint: it takes the answers to challenges, and has what the pages load.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use tower::BoxError;
use tracing::debug;

use super::answer::{json_answer, plain_problem};
use super::client_ip::ClientIp;
use super::judge::with_cookie;
use super::pages;
use super::public_origin::PublicOrigin;
use super::question::Question;
use super::return_to::ReturnTo;
use super::settings::Settings;
use super::visit::{Visit, host, original};
use crate::EsperError;
use crate::metrics::{self, Stage};

/// What a page or a program hands in.
#[derive(Deserialize)]
struct Solution {
    envelope: String,
    response: String,
}

/// Why Esper did not verify something.
#[derive(Debug)]
pub(super) struct Unverified;

impl Settings {
    /// What a request wants of the endpoint: nothing behind its path, or the name of a file. Others
    /// are not the endpoint's.
    pub(super) fn own_path<'a>(&self, parts: &'a Parts) -> Option<&'a str> {
        let rest = original(parts).path().strip_prefix(self.endpoint.as_str())?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
    }

    /// Waits for the outcome of a verification, for a while, and with not too many others.
    pub(super) async fn verify(
        &self,
        verification: impl Future<Output = Result<bool, EsperError>>,
    ) -> Result<bool, Unverified> {
        let _permit = self.verifications.try_acquire().map_err(|_| Unverified)?;
        match timeout(VERIFICATION, verification).await {
            Ok(Ok(valid)) => Ok(valid),
            // What cannot be asked about cannot be right, and will not be later on.
            Ok(Err(EsperError::Validation { .. })) => Ok(false),
            Ok(Err(error)) => {
                debug!(%error, "esper did not verify an answer");
                Err(Unverified)
            }
            Err(_) => Err(Unverified),
        }
    }

    /// Has the answer to a challenge verified, and gives its visitor a clearance.
    async fn redeem(
        &self,
        parts: &Parts,
        client: &ClientIp,
        solution: &Solution,
    ) -> Response<Bytes> {
        let visit = Visit::of(parts, client.address(), self.origin.as_ref());
        let Some(signers) = self.secrets.signers() else { return unavailable() };
        let now = SystemTime::now();
        let content = match signers.envelopes.open(&solution.envelope, &visit.binding, now) {
            Ok(content) => content,
            Err(refusal) => {
                debug!(reason = refusal.as_str(), "an answer to a challenge is refused");
                metrics::refusal(refusal.as_str());
                return wrong();
            }
        };
        metrics::stage(Stage::Solved);
        let verification = self.guard.client().verify_challenge(&content.token, &solution.response);
        match self.verify(verification).await {
            Ok(true) => {
                metrics::stage(Stage::Redeemed);
                signers.envelopes.spend(&content, now);
                if let Some(address) = client.address() {
                    let question = Question::of(parts, address, &self.disclosure);
                    self.guard.forget_challenge(&question.request());
                }
                let location = ReturnTo::parse(&content.return_to).unwrap_or_default();
                let answer = json_answer(StatusCode::OK, &json!({ "location": location.as_str() }));
                with_cookie(answer, signers.clearances.issue(&visit.binding, now))
            }
            Ok(false) => {
                metrics::refusal("wrong");
                wrong()
            }
            Err(Unverified) => unavailable(),
        }
    }
}

/// Answers a request to the endpoint.
pub(super) async fn answer<B>(
    settings: &Settings,
    parts: &Parts,
    name: &str,
    body: B,
    client: &ClientIp,
) -> Response<Bytes>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    match (&parts.method, name) {
        (&Method::POST, "") => match solution(settings, parts, body).await {
            Ok(solution) => settings.redeem(parts, client, &solution).await,
            Err(refused) => refused,
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

/// Reads what is handed in: a small JSON body of a page of this site, or of no browser.
async fn solution<B>(
    settings: &Settings,
    parts: &Parts,
    body: B,
) -> Result<Solution, Response<Bytes>>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    if !is_same_origin(parts, settings.origin.as_ref()) {
        let detail = "another site's page cannot solve this challenge";
        return Err(refused(StatusCode::FORBIDDEN, "cross_site", detail));
    }
    // A form of another site cannot send JSON without being asked about.
    let kind = parts.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes()).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !kind.eq_ignore_ascii_case(b"application/json") {
        let detail = "the answer is a JSON object";
        return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail));
    }
    let too_large = || {
        let detail = "the answer is too large, or did not arrive whole and in time";
        refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    };
    let body = timeout(PATIENCE, Limited::new(pin!(body), LARGEST).collect()).await;
    let body = body.map_err(|_| too_large())?.map_err(|_| too_large())?.to_bytes();
    serde_json::from_slice(&body).map_err(|_| {
        let detail = "the answer has the members envelope and response, both texts";
        refused(StatusCode::BAD_REQUEST, "malformed", detail)
    })
}

/// Whether no browser says that another site is behind a request.
fn is_same_origin(parts: &Parts, public: Option<&PublicOrigin>) -> bool {
    let headers = &parts.headers;
    let site = headers.get_all(SEC_FETCH_SITE).iter().all(|site| site == "same-origin");
    let origin = headers.get_all(ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        // A proxy may put its own host in place of the one that the browser asked for.
        public.is_some_and(|public| origin == public.as_str())
            || authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host(parts)))
    });
    site && origin
}

/// Refuses what is no answer to a challenge.
fn refused(status: StatusCode, error: &'static str, detail: &str) -> Response<Bytes> {
    metrics::refusal(error);
    plain_problem(status, error, detail)
}

/// The visitor learns no more than that.
fn wrong() -> Response<Bytes> {
    plain_problem(StatusCode::FORBIDDEN, "refused", "the answer does not solve the challenge")
}

fn unavailable() -> Response<Bytes> {
    metrics::refusal("unavailable");
    let detail = "the answer cannot be verified now; hand it in again";
    plain_problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
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
/// How long Esper may take to verify an answer.
const VERIFICATION: Duration = Duration::from_secs(10);
