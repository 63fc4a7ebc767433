//! `Forwarded` of RFC 7239, read from the right.

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap};

use super::entry;

/// The addresses of the `for` parameters from the last one to the first, over all lines; `None`
/// stands for an element without one.
///
/// Nothing is read before it is asked for. What a client wrote is on the left and cannot change
/// how the part of the proxies is read, not even with a quote that is never closed.
pub(super) fn from_the_right(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(FORWARDED).iter().rev();
    lines.flat_map(|line| Elements { rest: Some(line.as_bytes()) }).map(|element| address(element?))
}

/// The address in an element: that of its `for`, if it has one and no second.
fn address(element: &[u8]) -> Option<IpAddr> {
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

/// A value without its quotes. One with an escape in it is no address, and need not be one.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// The elements of a line, from the right. One that is too long or has half a quote is `None` and
/// the last one.
struct Elements<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let from = rest.len().saturating_sub(LONGEST);
        let Some((before, element)) = split_last(&rest[from..], b',') else { return Some(None) };
        match before {
            Some(before) => self.rest = Some(&rest[..from + before.len()]),
            None if from == 0 => {}
            None => return Some(None),
        }
        Some(Some(element))
    }
}

/// What stands before and after the last separator outside of quotes; `None` for half a quote.
///
/// From the right, a quote opens a string, and the next one that is not escaped ends it.
fn split_last(text: &[u8], separator: u8) -> Option<(Option<&[u8]>, &[u8])> {
    let mut at = text.len();
    while let Some(index) = at.checked_sub(1) {
        at = match text[index] {
            byte if byte == separator => return Some((Some(&text[..index]), &text[index + 1..])),
            b'"' => opening_quote(&text[..index])?,
            _ => index,
        };
    }
    Some((None, text))
}

/// Where the quote is that begins the string at the end of a text.
fn opening_quote(text: &[u8]) -> Option<usize> {
    let mut end = text.len();
    loop {
        let quote = text[..end].iter().rposition(|byte| *byte == b'"')?;
        let escapes = text[..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes.is_multiple_of(2) {
            return Some(quote);
        }
        // Past the escapes too, so that a row of them is counted once.
        end = quote - escapes;
    }
}

/// The longest element, in bytes. A proxy may write into its own what a client gave it for a
/// `Host`; no server takes headers this long.
const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Vec<Option<String>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, line.parse().unwrap());
        }
        from_the_right(&headers).map(|ip| ip.map(|ip| ip.to_string())).collect()
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
        assert_eq!(read(&[&format!("for=1.2.3.4;host={}", "x".repeat(LONGEST))]), [None]);
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
