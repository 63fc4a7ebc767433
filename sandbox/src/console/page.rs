//! Write the page, from the same view that its stream brings.

use axum::http::header::REFERRER_POLICY;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value};

use super::View;
use crate::http::html::{asset_of, escape, fill_with, html, shared};

/// The page that shows a view.
pub(crate) fn page(view: &View) -> serde_json::Result<Response> {
    let page = fill(include_str!("page.html"), &serde_json::to_value(view)?);
    let mut response = html(StatusCode::OK, page);
    // Without a referrer a form would be sent with an origin of "null", and be refused.
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    Ok(response)
}

pub(crate) fn style() -> Response {
    asset_of("text/css; charset=utf-8", concat!(shared!("colours.css"), include_str!("style.css")))
}

pub(crate) fn script() -> Response {
    asset_of("text/javascript; charset=utf-8", include_str!("script.js"))
}

/// Puts a view's members in their places. A list is an item after the other, each on the markup
/// that has its name; `{{name.blank}}` is that markup itself, for the script.
fn fill(template: &str, members: &Value) -> String {
    fill_with(template, |name, filled| match members.get(name) {
        Some(Value::String(text)) => filled.push_str(&escape(text)),
        Some(Value::Array(items)) => {
            items.iter().for_each(|item| filled.push_str(&fill(markup(name), item)));
        }
        _ => {
            let list = name.strip_suffix(".blank").unwrap_or_default();
            filled.push_str(&fill(markup(list), &Value::Object(Map::new())));
        }
    })
}

/// The markup of an item, without white space around it: an empty list has to be empty.
fn markup(list: &str) -> &'static str {
    match list {
        "rows" => include_str!("row.html"),
        "mitigations" => include_str!("mitigation.html"),
        "policies" => include_str!("policy.html"),
        "faults" => include_str!("fault.html"),
        "minutes" => include_str!("minute.html"),
        _ => "",
    }
    .trim_ascii()
}
