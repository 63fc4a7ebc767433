//! What browsers get to see.
//!
//! A page is one response: its style and script are in it, so that nothing else has to get through
//! the layer. Only the worker that calculates is a file of its own, because a policy that lets text
//! become a worker would let any text.

mod markup;
mod policy;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use self::markup::{Markup, Value, fill};
use self::policy::{Nonce, Policy, hash};
use super::answer::unstored;

/// A challenge, as its page needs it.
pub(in crate::enforce) struct Challenge<'a> {
    pub(in crate::enforce) task: Task<'a>,
    /// Handed back with the answer, as it is.
    pub(in crate::enforce) envelope: &'a str,
    /// The path of the layer's own endpoint, which takes the answer and has the [assets](asset).
    pub(in crate::enforce) endpoint: &'a str,
    /// A path of this site, and one that no browser takes for anything else.
    pub(in crate::enforce) return_to: &'a str,
    /// Whether the request that was challenged had something to change, such as a form. It is lost
    /// then, unless the visitor goes back and sends it again; the page says so.
    pub(in crate::enforce) posted: bool,
}

/// What a visitor's browser has to do.
pub(in crate::enforce) enum Task<'a> {
    /// Find a decimal nonce for which the SHA-256 of `salt:nonce` begins with enough zero bits.
    ProofOfWork { salt: &'a str, difficulty: u32 },
    /// Show the widget of Cloudflare Turnstile.
    Turnstile { site_key: &'a str },
    /// Nothing, because this crate does not know the challenge. The page says so, and never passes.
    Unsupported { name: &'a str },
}

/// The page that has a challenge solved, and goes on to where its visitor wants to go.
pub(in crate::enforce) fn challenge(challenge: &Challenge<'_>) -> Response<Bytes> {
    let posted = ("unless_posted", hidden_unless(challenge.posted));
    let nonce = Nonce::of(challenge.envelope);
    match challenge.task {
        Task::Unsupported { name } => {
            let values = [posted, ("name", Value::Text(shortened(name)))];
            let content = fill(include_str!("pages/unsupported.html"), &values);
            page(StatusCode::TOO_MANY_REQUESTS, "A check is missing", &content, &Policy::Still)
        }
        Task::ProofOfWork { salt, difficulty } => {
            let difficulty = difficulty.to_string();
            let script = Markup::from_static(CALCULATION);
            let values = [
                posted,
                ("salt", Value::Text(salt)),
                ("difficulty", Value::Text(&difficulty)),
                ("worker", Value::Text(&WORKER_NAME)),
                ("nonce", Value::Text(nonce.as_str())),
                ("script", Value::Markup(&script)),
            ];
            let template = include_str!("pages/calculation.html");
            working(challenge, template, &values, &Policy::Script(&nonce))
        }
        Task::Turnstile { site_key } => {
            let script = Markup::from_static(TURNSTILE);
            let values = [
                posted,
                ("site_key", Value::Text(site_key)),
                ("nonce", Value::Text(nonce.as_str())),
                ("script", Value::Markup(&script)),
            ];
            let template = include_str!("pages/turnstile.html");
            working(challenge, template, &values, &Policy::ScriptAndHost(&nonce, TURNSTILE_HOST))
        }
    }
}

/// The page for a visitor who is blocked. A bot learns nothing from it.
///
/// The reference is what finds the request in this site's logs.
pub(in crate::enforce) fn blocked(reference: Option<&str>) -> Response<Bytes> {
    let values = [
        ("unless_reference", hidden_unless(reference.is_some())),
        ("reference", Value::Text(shortened(reference.unwrap_or_default()))),
    ];
    let content = fill(include_str!("pages/blocked.html"), &values);
    page(StatusCode::FORBIDDEN, "This request was blocked", &content, &Policy::Still)
}

/// The page for a visitor who cannot be checked now, where a policy fails closed.
pub(in crate::enforce) fn unchecked() -> Response<Bytes> {
    let content = Markup::from_static(include_str!("pages/unchecked.html"));
    let title = "This request could not be checked";
    page(StatusCode::SERVICE_UNAVAILABLE, title, &content, &Policy::Still)
}

/// The page for a visitor who comes back from a managed challenge with a proof that is not valid.
/// Trying again is another request for `return_to`.
pub(in crate::enforce) fn unproven(return_to: &str) -> Response<Bytes> {
    let values = [("return_to", Value::Text(return_to))];
    let content = fill(include_str!("pages/unproven.html"), &values);
    page(StatusCode::FORBIDDEN, "The check was not passed", &content, &Policy::Still)
}

/// The page for a visitor who comes back with a proof that cannot be verified now. Trying again is
/// the same request, with the proof.
pub(in crate::enforce) fn unverified() -> Response<Bytes> {
    let content = Markup::from_static(include_str!("pages/unverified.html"));
    page(StatusCode::SERVICE_UNAVAILABLE, "The check is not finished", &content, &Policy::Still)
}

/// A file that a page loads from the endpoint. Its name changes with it, so that it may be kept.
pub(in crate::enforce) fn asset(name: &str) -> Option<Response<Bytes>> {
    if name != *WORKER_NAME {
        return None;
    }
    let mut response = Response::new(Bytes::from_static(WORKER.as_bytes()));
    let headers = response.headers_mut();
    headers.extend([
        (CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_ROBOTS_TAG, HeaderValue::from_static("noindex")),
    ]);
    Some(response)
}

/// A page that works on a challenge, with the values of its kind.
fn working(
    challenge: &Challenge<'_>,
    template: &'static str,
    values: &[(&'static str, Value<'_>)],
    policy: &Policy<'_>,
) -> Response<Bytes> {
    let outcome = Markup::from_static(include_str!("pages/outcome.html"));
    let words = Markup::from_static(include_str!("pages/words.html"));
    let shared = [
        ("envelope", Value::Text(challenge.envelope)),
        ("endpoint", Value::Text(challenge.endpoint)),
        ("return_to", Value::Text(challenge.return_to)),
        ("posted", Value::Text(if challenge.posted { "true" } else { "false" })),
        ("outcome", Value::Markup(&outcome)),
        ("words", Value::Markup(&words)),
    ];
    let content = fill(template, &[values, &shared].concat());
    page(StatusCode::TOO_MANY_REQUESTS, CHECKING, &content, policy)
}

/// A page with everything that keeps it out of caches, frames and search results, and other things
/// out of it.
fn page(status: StatusCode, title: &str, content: &Markup, policy: &Policy<'_>) -> Response<Bytes> {
    let style = Markup::from_static(STYLE);
    let values = [
        ("title", Value::Text(title)),
        ("unless_working", hidden_unless(!matches!(policy, Policy::Still))),
        ("icon", Value::Text(&ICON)),
        ("style", Value::Markup(&style)),
        ("content", Value::Markup(content)),
    ];
    let text = fill(include_str!("pages/layout.html"), &values);
    let mut response = Response::new(Bytes::from(text.into_string()));
    *response.status_mut() = status;
    response.headers_mut().extend([
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, policy.header(&STYLE_HASH)),
        // Without any, browsers would call the origin of what the page posts "null".
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_ROBOTS_TAG, HeaderValue::from_static("noindex")),
    ]);
    unstored(response)
}

/// An attribute, for what is shown under a condition alone.
fn hidden_unless(shown: bool) -> Value<'static> {
    Value::Text(if shown { "" } else { " hidden" })
}

/// What is only shown is not longer than anybody reads.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(LONGEST_SHOWN).map_or(text, |(end, _)| &text[..end])
}

const CHECKING: &str = "Checking your browser";
const STYLE: &str = concat!(include_str!("pages/colours.css"), include_str!("pages/page.css"));
const WORKER: &str = include_str!("pages/proof-of-work.js");
const CALCULATION: &str =
    concat!(include_str!("pages/challenge.js"), "\n", include_str!("pages/calculation.js"));
const TURNSTILE: &str =
    concat!(include_str!("pages/challenge.js"), "\n", include_str!("pages/turnstile.js"));
const TURNSTILE_HOST: &str = "https://challenges.cloudflare.com";
const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");
/// In characters.
const LONGEST_SHOWN: usize = 80;

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| hash(STYLE));
static WORKER_NAME: LazyLock<String> = LazyLock::new(|| {
    let hash: String = hash(WORKER).chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("proof-of-work.{hash}.js")
});
static ICON: LazyLock<String> = LazyLock::new(|| {
    let icon = utf8_percent_encode(include_str!("pages/icon.svg"), NON_ALPHANUMERIC);
    format!("data:image/svg+xml,{icon}")
});
