//! An element of `Forwarded` (RFC 7239).

use std::net::IpAddr;

use super::entry;
use super::list::split_last;
use crate::enforce::request::cookies::unquoted;

/// The address in an element: that of its `for`, if it has one and no second.
pub(super) fn address(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    let mut rest = Some(element);
    while let Some(text) = rest {
        let (before, parameter) = split_last(text, b';')?;
        rest = before;
        let Some(equals) = parameter.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (&parameter[..equals], &parameter[equals + 1..]);
        if name.trim_ascii().eq_ignore_ascii_case(b"for") {
            if found.is_some() {
                return None;
            }
            found = Some(entry::address(unquoted(value.trim_ascii()))?);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use http::header::{FORWARDED, HeaderMap};

    use super::super::list;
    use super::*;

    fn read(lines: &[&str]) -> Vec<Option<String>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, line.parse().unwrap());
        }
        let elements = list::from_the_right(&headers, &FORWARDED);
        elements.map(|element| Some(address(element?)?.to_string())).collect()
    }

    #[test]
    fn elements_are_read_from_the_right_over_all_lines() {
        let one = r#"for=192.0.2.1;proto=https;by=10.0.0.1, FOR="[2001:db8::1]:4711""#;
        let two = r#"proto=http; For = "192.0.2.2:80" ;host="a,b;for=6.6.6.6""#;
        let ips = ["192.0.2.2", "2001:db8::1", "192.0.2.1"].map(|ip| Some(ip.to_owned()));
        assert_eq!(read(&[one, two]), ips);
        assert_eq!(read(&[&format!("{one}, {two}")]), ips);
    }

    #[test]
    fn an_element_without_one_readable_address_is_none() {
        for element in [
            "",
            "for=",
            "for",
            "by=1.2.3.4",
            "for=unknown",
            "for=_hidden",
            "1.2.3.4",
            "=1.2.3.4",
            "for=1.2.3.4;for=6.6.6.6",
            r#"for="1.2.3.4"#,
            r#"for=1.2.3.4""#,
            r#"for="\1.2.3.4""#,
            r#"for=""1.2.3.4"""#,
            r#"xfor=1.2.3.4"#,
            r#"for=1.2.3.4;x=""""#,
        ] {
            assert_eq!(read(&[element])[0], None, "{element}");
        }
        // One that is too long is none, and the part of it that is looked at is none by itself.
        let part = "for=1.2.3.4;host=";
        let long = format!("proto=http;{part}{}", "x".repeat(list::LONGEST - part.len()));
        assert_eq!(read(&[&long]), [None]);
    }

    #[test]
    fn a_long_host_of_a_client_does_not_hide_its_address() {
        for host in ["x".repeat(32 * 1024), format!("\"{}\"", "x,".repeat(16 * 1024))] {
            let line = format!("for=6.6.6.6, for=1.2.3.4;host={host}");
            assert_eq!(read(&[&line])[0].as_deref(), Some("1.2.3.4"));
        }
    }

    #[test]
    fn what_a_client_wrote_cannot_swallow_what_a_proxy_added() {
        for forged in [r#"for=""#, r#"for="\"#, r#"""#, r#"for=6.6.6.6;host="a\"#, "\\", ",", ""] {
            let line = format!(r#"{forged}, for=192.0.2.1;host="x\", for=6.6.6.6;y=\\""#);
            assert_eq!(read(&[&line])[0].as_deref(), Some("192.0.2.1"), "{line}");
        }
    }
}
