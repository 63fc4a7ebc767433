//! The limits that the spec can put on a member of a request, one function for each.
//!
//! `build.rs` emits the calls. A limit of a new kind takes a function here and an arm in
//! `build/requests.rs`; until then it stops the build.

#![allow(dead_code, reason = "which of them the spec uses is the spec's affair")]

use std::net::IpAddr;

use reqwest::Url;

use crate::EsperError;

pub(crate) fn ip(member: &'static str, value: &str) -> Result<(), EsperError> {
    let what = "is not an IP address; pass an IPv4 or IPv6 address without a port";
    require(value.parse::<IpAddr>().is_ok(), member, what)
}

pub(crate) fn uri(member: &'static str, value: &str) -> Result<(), EsperError> {
    // A parser mends these, and who gets the URL need not.
    let is_stray = |char: char| char.is_whitespace() || char.is_control() || char == '\\';
    let fits = Url::parse(value).is_ok() && !value.contains(is_stray);
    require(fits, member, "is not an absolute URL")
}

pub(crate) fn http(member: &'static str, value: &str) -> Result<(), EsperError> {
    let fits = value.starts_with("http://") || value.starts_with("https://");
    require(fits, member, "does not begin with http:// or https://")
}

pub(crate) fn not_blank(member: &'static str, value: &str) -> Result<(), EsperError> {
    require(!value.trim().is_empty(), member, "is blank")
}

pub(crate) fn min_length(
    member: &'static str,
    value: &str,
    limit: usize,
) -> Result<(), EsperError> {
    let what = if limit == 1 { "is empty".into() } else { format!("is shorter than {limit}") };
    require(value.chars().count() >= limit, member, &what)
}

pub(crate) fn max_length(
    member: &'static str,
    value: &str,
    limit: usize,
) -> Result<(), EsperError> {
    require(value.chars().count() <= limit, member, &format!("is longer than {limit}"))
}

pub(crate) fn minimum(member: &'static str, value: f64, limit: f64) -> Result<(), EsperError> {
    require(value >= limit, member, &format!("is below {limit}"))
}

pub(crate) fn maximum(member: &'static str, value: f64, limit: f64) -> Result<(), EsperError> {
    require(value <= limit, member, &format!("is above {limit}"))
}

fn require(fits: bool, member: &'static str, what: &str) -> Result<(), EsperError> {
    if fits { Ok(()) } else { Err(EsperError::validation(member, format!("{member} {what}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
