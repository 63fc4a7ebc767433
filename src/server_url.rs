//! The base URL of a server.

use std::net::IpAddr;

use reqwest::Url;

/// A URL of a server and a path and nothing else, or what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Url, &'static str> {
    let Ok(url) = Url::parse(text) else {
        return Err("is not a URL; it looks like https://host or http://127.0.0.1:8787");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is not an http or https URL; it looks like https://host:port");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or a password in it; the key is all that is needed");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; a base URL ends with its path");
    }
    Ok(url)
}

/// Whether a URL stays on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
