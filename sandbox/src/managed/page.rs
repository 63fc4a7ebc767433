//! The page on which a browser solves a managed challenge, and what belongs to it.

use std::borrow::Cow;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use url::{Position, Url};

use super::{Closed, Task};

/// The page that solves a task and goes on to where its visitor wants to go.
pub(crate) fn challenge_page(task: &Task) -> Response {
    let page = fill(
        include_str!("challenge.html"),
        &[
            ("host", host(&task.return_url)),
            ("salt", &task.salt),
            ("difficulty", &task.difficulty.to_string()),
        ],
    );
    html(StatusCode::OK, page)
}

/// The page that tells why there is nothing to solve, and the way back if it is known.
pub(crate) fn closed_page(closed: &Closed) -> Response {
    let (status, page, return_url) = match closed {
        Closed::Unknown => {
            return html(StatusCode::NOT_FOUND, include_str!("unknown.html").to_owned());
        }
        Closed::Expired(url) => (StatusCode::GONE, include_str!("expired.html"), url),
        Closed::Solved(url) => (StatusCode::GONE, include_str!("solved.html"), url),
    };
    html(status, fill(page, &[("host", host(return_url)), ("return_url", return_url.as_str())]))
}

/// A file that the pages load.
pub(crate) fn asset(name: &str) -> Option<Response> {
    let (kind, text) = match name {
        "challenge.css" => ("text/css; charset=utf-8", include_str!("challenge.css")),
        "challenge.js" => ("text/javascript; charset=utf-8", include_str!("challenge.js")),
        "proof-of-work.js" => ("text/javascript; charset=utf-8", include_str!("proof-of-work.js")),
        "icon.svg" => ("image/svg+xml", include_str!("icon.svg")),
        _ => return None,
    };
    Some((headers(kind), text).into_response())
}

fn html(status: StatusCode, page: String) -> Response {
    (status, headers("text/html; charset=utf-8"), page).into_response()
}

/// What a browser needs to know so that nothing but the page's own files runs on it.
fn headers(kind: &'static str) -> [(HeaderName, HeaderValue); 5] {
    [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}

/// The host as a visitor knows it, with the port if it is not the usual one.
fn host(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

/// Puts values in the place of `{{name}}`, each harmless in a text and in a quoted attribute.
///
/// A value is not looked at again, so that none can bring a place of its own.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        filled.push_str(before);
        let value = values.iter().find(|(known, _)| *known == name);
        value.into_iter().for_each(|(_, value)| filled.push_str(&escape(value)));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'', '`']) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '`' => escaped.push_str("&#96;"),
            other => escaped.push(other),
        }
    }
    escaped.into()
}

const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; \
    style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_place() {
        let filled = fill("<a title=\"{{it}}\">{{it}}</a>", &[("it", "\"><script>'`&")]);
        let it = "&quot;&gt;&lt;script&gt;&#39;&#96;&amp;";
        assert_eq!(filled, format!("<a title=\"{it}\">{it}</a>"));
    }

    #[test]
    fn a_value_brings_no_place_of_its_own() {
        let values = [("a", "{{b}}"), ("b", "secret")];
        assert_eq!(fill("{{a}} and {{b}}", &values), "{{b}} and secret");
    }

    #[test]
    fn every_place_of_every_page_is_filled() {
        assert_eq!(places(include_str!("challenge.html")), ["difficulty", "host", "salt"]);
        for page in [include_str!("expired.html"), include_str!("solved.html")] {
            assert_eq!(places(page), ["host", "return_url"]);
        }
        assert_eq!(places(include_str!("unknown.html")), [""; 0]);
    }

    #[test]
    fn a_host_is_told_with_an_unusual_port() {
        for (url, expected) in [
            ("http://shop.localhost:3000/cart?a=b#c", "shop.localhost:3000"),
            ("https://shop.example:443", "shop.example"),
            ("http://[::1]:8080/", "[::1]:8080"),
        ] {
            assert_eq!(host(&Url::parse(url).expect("a URL")), expected);
        }
    }

    /// The names of the places in a page.
    fn places(page: &str) -> Vec<&str> {
        let places = page.split("{{").skip(1);
        let mut names: Vec<_> =
            places.map(|place| place.split("}}").next().unwrap_or_default()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
