//! The origin under which the world knows an application.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use super::request::return_to::ReturnTo;
use crate::EsperError;
use crate::server_url::is_loopback;

/// An origin, such as `https://shop.example`.
///
/// It comes from your configuration: what a request says about its host is up to whoever sent it.
///
/// ```
/// use esper_rs_client::enforce::PublicOrigin;
///
/// # fn main() -> Result<(), esper_rs_client::EsperError> {
/// let origin: PublicOrigin = "https://Shop.example:443/".parse()?;
/// assert_eq!(origin.as_str(), "https://shop.example");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicOrigin(String);

impl PublicOrigin {
    /// Reads an origin: a scheme, a host and, unless it is the scheme's own, a port.
    ///
    /// # Errors
    ///
    /// Fails when it is none, when there is more in it (a path, a query, a user name), and when it
    /// is plain http to another host than this machine.
    pub fn parse(text: &str) -> Result<Self, EsperError> {
        let refuse = |what: &str| {
            Err(EsperError::validation("public_origin", format!("public_origin {what}")))
        };
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        // A parser of URLs mends these; a configuration that has them is wrong.
        let is_odd = |char: char| char.is_whitespace() || char.is_control() || char == '\\';
        let (url, rest) = match (Url::parse(text), rest) {
            (Ok(url), Some(rest)) if !rest.starts_with('/') && !text.contains(is_odd) => {
                (url, rest)
            }
            _ => return refuse("is no origin; it looks like https://shop.example"),
        };
        if text.contains('@') {
            return refuse("has a user name in it; it is a scheme, a host and perhaps a port");
        }
        if rest.strip_suffix('/').unwrap_or(rest).contains(['/', '?', '#']) {
            return refuse("has a path or a query in it; it ends with its host or port");
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return refuse("is plain http, which browsers send no secure cookie to; use https");
        }
        Ok(Self(url.origin().ascii_serialization()))
    }

    /// Returns the origin as browsers write it, without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, and the port where it is not the scheme's own.
    pub(super) fn authority(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, authority)| authority)
    }

    /// The absolute URL of a path on this site.
    pub(super) fn join(&self, to: &ReturnTo) -> String {
        format!("{}{to}", self.0)
    }
}

impl FromStr for PublicOrigin {
    type Err = EsperError;

    fn from_str(text: &str) -> Result<Self, EsperError> {
        Self::parse(text)
    }
}

impl fmt::Display for PublicOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for (text, origin) in [
            ("https://shop.example", "https://shop.example"),
            ("https://shop.example/", "https://shop.example"),
            ("https://SHOP.example:443", "https://shop.example"),
            ("https://shop.example:8443", "https://shop.example:8443"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://[2001:db8::1]:1", "https://[2001:db8::1]:1"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://[::1]", "http://[::1]"),
        ] {
            let parsed: PublicOrigin = text.parse().unwrap();
            assert_eq!((parsed.as_str(), parsed.to_string().as_str()), (origin, origin));
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused_with_the_next_step() {
        for (text, reason) in [
            ("", "is no origin"),
            ("shop.example", "is no origin"),
            ("//shop.example", "is no origin"),
            ("https:shop.example", "is no origin"),
            ("https:/\\shop.example", "is no origin"),
            ("https://", "is no origin"),
            ("https:///shop.example", "is no origin"),
            ("https://shop.example\\x", "is no origin"),
            (" https://shop.example", "is no origin"),
            ("https://shop.example ", "is no origin"),
            ("https://shop.exa\tmple", "is no origin"),
            ("https://shop.example\n", "is no origin"),
            ("ftp://shop.example", "is no origin"),
            ("javascript://shop.example", "is no origin"),
            ("null", "is no origin"),
            ("https://user:secret@shop.example", "has a user name"),
            ("https://@shop.example", "has a user name"),
            ("https://shop.example/x", "has a path or a query"),
            ("https://shop.example//", "has a path or a query"),
            ("https://shop.example/..", "has a path or a query"),
            ("https://shop.example?", "has a path or a query"),
            ("https://shop.example/#x", "has a path or a query"),
            ("http://shop.example", "is plain http"),
            ("http://localhost.example", "is plain http"),
            ("http://10.0.0.1", "is plain http"),
        ] {
            let error = PublicOrigin::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("public_origin {reason}")), "{text:?}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
