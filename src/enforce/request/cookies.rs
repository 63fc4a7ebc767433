//! The cookies of a request.

use http::HeaderMap;
use http::header::COOKIE;

/// The values of all cookies of a name, which may be any bytes.
///
/// Browsers may send cookies in several headers and several of one name. What is no cookie is
/// passed over, and spoils none beside it.
pub(in crate::enforce) fn named<'a>(
    headers: &'a HeaderMap,
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> + 'a {
    headers.get_all(COOKIE).iter().flat_map(move |line| {
        line.as_bytes().split(|byte| *byte == b';').filter_map(move |cookie| {
            let equals = cookie.iter().position(|byte| *byte == b'=')?;
            let (given, value) = cookie.split_at(equals);
            (given.trim_ascii() == name.as_bytes()).then(|| unquoted(value[1..].trim_ascii()))
        })
    })
}

/// A value without its quotes. One with an escape in it means nothing to us, and stays as it is.
pub(super) fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let values = lines.iter().map(|line| HeaderValue::from_bytes(line).unwrap());
        values.map(|value| (COOKIE, value)).collect()
    }

    fn values(lines: &[&[u8]]) -> Vec<String> {
        let headers = headers(lines);
        named(&headers, "pass").map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    #[test]
    fn a_cookie_is_found_wherever_it_stands() {
        let table: [(&[&[u8]], &[&str]); 16] = [
            (&[b"pass=1"], &["1"]),
            (&[b"a=b; pass=1; c=d"], &["1"]),
            (&[b"a=b;pass=1;c=d"], &["1"]),
            (&[b" \tpass = 1 ;"], &["1"]),
            (&[b"pass=\"1\""], &["1"]),
            (&[b"pass=\"1"], &["\"1"]),
            (&[b"pass=\""], &["\""]),
            (&[b"pass="], &[""]),
            (&[b"pass=a=b=="], &["a=b=="]),
            (&[b"a=b", b"pass=1"], &["1"]),
            (&[b"pass=1; pass=2", b"pass=3"], &["1", "2", "3"]),
            (&[b";;=;=x; ;\xff\xfe=\xff;pass=1"], &["1"]),
            (&[b"pass=\xff"], &["\u{fffd}"]),
            (&[b"pass", b"PASS=1", b"xpass=1", b"passx=1", b"a=pass=1", b"pass:1"], &[]),
            (&[b"", b"  ", b"a=\"pass=1\""], &[]),
            (&[], &[]),
        ];
        for (lines, expected) in table {
            assert_eq!(values(lines), expected, "{lines:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn garbage_beside_a_cookie_hides_it_from_nobody(
            before in "[a-z=\" ,\\t]{0,20}",
            after in "[a-z=;\" ,\\t]{0,20}",
        ) {
            let line = format!("{before};pass=1;{after}");
            prop_assert!(values(&[line.as_bytes()]).contains(&"1".to_owned()));
        }
    }
}
