//! Check the members of a body, and name the one that does not fit.

use std::net::IpAddr;

use url::Url;

use super::InvalidRequest;

/// A member that must be there.
pub(crate) fn required<T>(member: &str, value: Option<T>) -> Result<T, InvalidRequest> {
    value.ok_or_else(|| InvalidRequest::of_member(member, "is required"))
}

/// A text that must be there and have at least one character.
pub(crate) fn not_empty(member: &str, value: Option<String>) -> Result<String, InvalidRequest> {
    match required(member, value)? {
        text if text.is_empty() => Err(InvalidRequest::of_member(member, "must not be empty")),
        text => Ok(text),
    }
}

/// A text that must be there and have at least one character that is no white space.
pub(crate) fn not_blank(member: &str, value: Option<&str>) -> Result<(), InvalidRequest> {
    match required(member, value)? {
        text if text.trim().is_empty() => {
            Err(InvalidRequest::of_member(member, "must not be blank"))
        }
        _ => Ok(()),
    }
}

/// An address without a port, a zone or a prefix.
pub(crate) fn ip(member: &str, text: &str) -> Result<IpAddr, InvalidRequest> {
    text.parse().map_err(|_| InvalidRequest::of_member(member, "not an IP address"))
}

/// A number that is zero at least.
pub(crate) fn not_negative(member: &str, number: i64) -> Result<(), InvalidRequest> {
    if number < 0 {
        return Err(InvalidRequest::of_member(member, "must not be negative"));
    }
    Ok(())
}

/// An absolute URL of the web: a scheme, a host, and nothing that no URL contains.
pub(crate) fn web_url(member: &str, text: &str) -> Result<Url, InvalidRequest> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    // A parser would forgive these, each in its own way.
    let stray = text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\');
    let url = Url::parse(text).ok().filter(|_| !host.is_empty() && !stray);
    url.ok_or_else(|| InvalidRequest::of_member(member, "not an absolute http or https URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_alone() {
        for good in ["203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7"] {
            assert!(ip("ip", good).is_ok(), "{good}");
        }
        for bad in ["", " 203.0.113.7", "203.0.113.7:80", "[::1]", "fe80::1%eth0", "10.0.0.0/8"] {
            assert!(ip("ip", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_return_url_is_absolute() {
        for good in ["http://a", "https://shop.example.net/checkout?x=1#top", "http://[::1]:80/"] {
            assert!(web_url("return_url", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/checkout",
            "//shop.example.net",
            "https:shop.example.net",
            "https:/shop.example.net",
            "https://",
            "http:///x",
            "https:\\\\shop.example.net",
            "https://shop.example.net\\@localhost",
            "ftp://a",
            "javascript:1",
            "data:text/html,x",
            "http://a b",
            "http://a\r\nb",
            "http://a/\0",
            "\thttp://a",
            "http://a:65536",
            "http://[::1",
        ] {
            assert!(web_url("return_url", bad).is_err(), "{bad}");
        }
    }
}
