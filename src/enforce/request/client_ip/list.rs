//! What stands between the commas of a header, read from the right.

use http::header::{HeaderMap, HeaderName};

/// The elements of a header from the last one to the first, over all of its lines. One that is too
/// long or has half a quote is `None`, and the last one of its line.
///
/// Nothing is read before it is asked for. What a client wrote is on the left and cannot change
/// how the part of the proxies is read, not even with a quote that is never closed.
pub(super) fn from_the_right<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Option<&'a [u8]>> + use<'a> {
    let lines = headers.get_all(name).iter().rev();
    lines.flat_map(|line| Elements { rest: Some(line.as_bytes()) })
}

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
pub(super) fn split_last(text: &[u8], separator: u8) -> Option<(Option<&[u8]>, &[u8])> {
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
pub(super) const LONGEST: usize = 64 * 1024;
