//! The limits that the spec can put on a member of a request, one function for each.
//!
//! `build.rs` emits the calls. A limit of a new kind takes a function here and an arm in
//! `build/limits.rs`; until then it stops the build.

#![allow(dead_code, reason = "which of them the spec uses is the spec's affair")]

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;
use serde_json::Value;

use crate::EsperError;

pub(crate) fn ip(member: &'static str, value: &str) -> Result<(), EsperError> {
    let what = format_args!("is not an IP address; pass an IPv4 or IPv6 address without a port");
    require(value.parse::<IpAddr>().is_ok(), member, what)
}

pub(crate) fn uri(member: &'static str, value: &str) -> Result<(), EsperError> {
    // A parser mends these, and who gets the URL need not.
    let is_stray = |char: char| char.is_whitespace() || char.is_control() || char == '\\';
    let fits = Url::parse(value).is_ok() && !value.contains(is_stray);
    require(fits, member, format_args!("is not an absolute URL"))
}

pub(crate) fn http(member: &'static str, value: &str) -> Result<(), EsperError> {
    let fits = value.starts_with("http://") || value.starts_with("https://");
    require(fits, member, format_args!("does not begin with http:// or https://"))
}

pub(crate) fn not_blank(member: &'static str, value: &str) -> Result<(), EsperError> {
    require(!value.trim().is_empty(), member, format_args!("is blank"))
}

pub(crate) fn min_length(
    member: &'static str,
    value: &str,
    limit: usize,
) -> Result<(), EsperError> {
    let fits = value.chars().count() >= limit;
    if limit == 1 {
        require(fits, member, format_args!("is empty"))
    } else {
        require(fits, member, format_args!("is shorter than {limit}"))
    }
}

pub(crate) fn max_length(
    member: &'static str,
    value: &str,
    limit: usize,
) -> Result<(), EsperError> {
    require(value.chars().count() <= limit, member, format_args!("is longer than {limit}"))
}

pub(crate) fn minimum(member: &'static str, value: f64, limit: f64) -> Result<(), EsperError> {
    require(value >= limit, member, format_args!("is below {limit}"))
}

pub(crate) fn maximum(member: &'static str, value: f64, limit: f64) -> Result<(), EsperError> {
    require(value <= limit, member, format_args!("is above {limit}"))
}

/// Values that are nested so deep that no service reads them. Whoever walks down to their end may run
/// out of stack, which ends the process.
pub(crate) fn json<'a>(
    member: &'static str,
    values: impl IntoIterator<Item = &'a Value>,
) -> Result<(), EsperError> {
    let fits = values.into_iter().all(|value| is_within(value, DEEPEST));
    require(fits, member, format_args!("is nested more than {DEEPEST} levels deep"))
}

/// Looks no deeper than so many levels.
fn is_within(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(values) => levels > 0 && values.iter().all(|one| is_within(one, levels - 1)),
        Value::Object(values) => {
            levels > 0 && values.values().all(|one| is_within(one, levels - 1))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn require(fits: bool, member: &'static str, what: fmt::Arguments<'_>) -> Result<(), EsperError> {
    if fits { Ok(()) } else { Err(EsperError::validation(member, format!("{member} {what}"))) }
}

/// How many arrays and objects serde_json reads one within the other, but for what is around them in a
/// request: its own object, and that of the member.
pub(crate) const DEEPEST: usize = 125;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_names_the_member_and_not_the_value() {
        let error = ip("ip", "10.0.0.1:80").unwrap_err();
        assert!(error.to_string().starts_with("ip is not an IP address"), "{error}");
        assert!(!error.to_string().contains("10.0.0.1"), "{error}");
    }

    #[test]
    fn each_limit_holds_at_its_edge() {
        assert!(ip("ip", "::1").is_ok() && ip("ip", "").is_err() && ip("ip", "[::1]").is_err());
        assert!(uri("u", "https://a.example/x").is_ok() && uri("u", "/x").is_err());
        assert!(
            uri("u", "https://a.example/x\\").is_err() && uri("u", "https://a.example/ ").is_err()
        );
        assert!(http("u", "http://a").is_ok() && http("u", "javascript:x").is_err());
        assert!(not_blank("t", " x ").is_ok() && not_blank("t", " \t\n").is_err());
        assert!(min_length("t", "ä", 1).is_ok() && min_length("t", "", 1).is_err());
        assert!(max_length("t", "ää", 2).is_ok() && max_length("t", "äää", 2).is_err());
        assert!(minimum("n", 0.0, 0.0).is_ok() && minimum("n", -1.0, 0.0).is_err());
        assert!(maximum("n", 100.0, 100.0).is_ok() && maximum("n", 101.0, 100.0).is_err());
    }
    #[test]
    fn values_are_nested_as_deep_as_a_service_reads_them() {
        let nested = |levels| {
            let arrays = (0..levels).fold(json!(1), |value, _| Value::Array(vec![value]));
            let object = |value| Value::Object([("k".to_owned(), value)].into_iter().collect());
            let objects = (0..levels).fold(json!(1), |value, _| object(value));
            [arrays, objects]
        };
        for levels in 0..200 {
            for value in nested(levels) {
                let request = serde_json::to_vec(&json!({ "data": { "k": value } })).unwrap();
                let read = serde_json::from_slice::<Value>(&request);
                assert_eq!(json("data", [&value]).is_ok(), read.is_ok(), "{levels}");
            }
        }
    }
}
