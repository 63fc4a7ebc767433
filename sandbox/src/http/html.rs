//! Write a page, with nothing on it that runs but its own files.

use std::borrow::Cow;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// A file that the SDK's own pages need as well.
macro_rules! shared {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../src/enforce/answers/pages/", $name))
    };
}
pub(crate) use shared;

/// Answers with a page.
pub(crate) fn html(status: StatusCode, page: String) -> Response {
    (status, headers("text/html; charset=utf-8"), page).into_response()
}

/// Answers with a file that a page loads.
pub(crate) fn asset_of(kind: &'static str, text: &'static str) -> Response {
    (headers(kind), text).into_response()
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

/// Puts values in the place of `{{name}}`, each harmless in a text and in a quoted attribute.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    fill_with(template, |name, filled| {
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            filled.push_str(&escape(value));
        }
    })
}

/// Lets `put` write what comes in the place of each `{{name}}`.
///
/// What was put is not looked at again, so that no value can bring a place of its own.
pub(crate) fn fill_with(template: &str, mut put: impl FnMut(&str, &mut String)) -> String {
    let mut filled = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        filled.push_str(before);
        put(name, &mut filled);
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// Makes a text harmless in a text and in a quoted attribute.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
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

/// The names of the places in a page, each once.
#[cfg(test)]
pub(crate) fn places(page: &str) -> Vec<&str> {
    let places = page.split("{{").skip(1);
    let mut names: Vec<_> =
        places.map(|place| place.split("}}").next().unwrap_or_default()).collect();
    names.sort_unstable();
    names.dedup();
    names
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
}
