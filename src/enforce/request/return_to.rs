//! Where a visitor goes back to: on this site, and nowhere else.

use std::borrow::Cow;
use std::fmt;

use http::Uri;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// A path and a query of this site, as a reference that no browser takes for anything else.
///
/// It begins with one slash and is visible ASCII of at most 2 KiB, so that a signed token with it
/// fits into a form and into a URL. It fits into a `Location` header as it is; in HTML, `&` has to
/// be escaped as ever, and quotes and angle brackets are percent-encoded in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::enforce) struct ReturnTo(String);

impl ReturnTo {
    /// The return path to what was asked for, without the proof of a managed challenge; `/` where
    /// that is no path of this site to every browser, or longer than 2 KiB.
    pub(in crate::enforce) fn of(uri: &Uri) -> Self {
        let query = uri.query().map(without_proof).unwrap_or_default();
        let reference = format!("{}{query}", uri.path());
        Self::parse(&reference).unwrap_or_default()
    }

    /// Reads a return path that somebody else may have written; `None` unless it is one.
    pub(in crate::enforce) fn parse(untrusted: &str) -> Option<Self> {
        if untrusted.len() > LONGEST || untrusted.contains(is_never_in_a_reference) {
            return None;
        }
        let path = untrusted.split('?').next()?;
        // A browser takes a backslash in a path for a slash, and one in a query as it is.
        if path.contains('\\') || !stays_here(path) {
            return None;
        }
        let reference = utf8_percent_encode(untrusted, ENCODED).to_string();
        (reference.len() <= LONGEST).then_some(Self(reference))
    }

    /// The path alone.
    pub(in crate::enforce) fn without_query(mut self) -> Self {
        self.0.truncate(self.0.find('?').unwrap_or(self.0.len()));
        self
    }

    pub(in crate::enforce) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ReturnTo {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The proof of a managed challenge in a query, as it stands there; it may be empty.
pub(in crate::enforce) fn proof(uri: &Uri) -> Option<&str> {
    let pair = uri.query()?.split('&').find(|pair| is_proof(pair))?;
    Some(pair.split_once('=').map_or("", |(_, value)| value))
}

/// A query, from its question mark, without a proof. Nothing is left of it if that was all.
fn without_proof(query: &str) -> String {
    let others: Vec<_> = query.split('&').filter(|pair| !is_proof(pair)).collect();
    if others.is_empty() { String::new() } else { format!("?{}", others.join("&")) }
}

fn is_proof(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    percent_decode_str(name).eq(PROOF.bytes())
}

/// Whether a path is one of this site for every browser, and stays it when a proxy decodes it
/// first: one slash, then no other one and no dots that could bring one there.
fn stays_here(path: &str) -> bool {
    let mut path = Cow::Borrowed(path);
    for _ in 0..=DECODED {
        let Some(rest) = path.strip_prefix('/') else { return false };
        let begins_with_host = rest.starts_with(['/', '\\']);
        let has_dots = rest.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."));
        if begins_with_host || has_dots || path.contains(char::is_control) {
            return false;
        }
        // What is not UTF-8 has no meaning here, but must not hide what stands beside it.
        let decoded = percent_decode_str(&path).decode_utf8_lossy().into_owned();
        path = Cow::Owned(decoded);
    }
    true
}

/// A browser leaves tabs and line breaks out, and would not send the others.
fn is_never_in_a_reference(char: char) -> bool {
    char.is_control() || char.is_whitespace() || char == '#'
}

/// The parameter with which the page of a managed challenge sends a visitor back.
const PROOF: &str = "esper_challenge_proof";
/// What would have a meaning in HTML, and what no header should carry.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b'"')
    .add(b'\'')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'|')
    .add(b'\\');
/// The longest reference, in bytes.
const LONGEST: usize = 2048;
/// How often something on the way may decode a path.
const DECODED: usize = 2;

#[cfg(test)]
mod tests;
