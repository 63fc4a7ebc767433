//! The ways to read one path: its variants.

use percent_encoding::percent_decode_str;

/// All ways to read a path.
#[derive(Debug)]
pub(super) enum PathVariants<'a> {
    /// There is one.
    Plain(&'a str),
    /// There are several, the path as it is among them.
    Several(Vec<String>),
    /// There are more than are worth trying, or one that is malformed.
    Endless,
}

/// A variant on the way to others.
#[derive(PartialEq, Eq)]
struct Variant {
    path: String,
    decoded: u8,
}

impl<'a> PathVariants<'a> {
    /// The steps are applied to every variant, until they lead to no other one.
    pub(super) fn of(path: &'a str) -> Self {
        if is_plain(path) {
            return Self::Plain(path);
        }
        if path.len() > LONGEST {
            return Self::Endless;
        }
        let mut variants = vec![Variant { path: path.to_owned(), decoded: 0 }];
        let mut next = 0;
        while let Some(variant) = variants.get(next) {
            next += 1;
            let Some(others) = steps(variant) else { return Self::Endless };
            for other in others {
                if !variants.contains(&other) {
                    variants.push(other);
                }
            }
            if variants.len() > MOST {
                return Self::Endless;
            }
        }
        let mut variants: Vec<_> = variants.into_iter().map(|variant| variant.path).collect();
        variants.sort_unstable();
        variants.dedup();
        Self::Several(variants)
    }
}

/// Whether a path, beginning with a slash, is the same for every server.
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    let is_odd = |byte: &u8| matches!(byte, b'%' | b';' | b'\\') || byte.is_ascii_control();
    let is_odd_pair = |pair: &[u8]| matches!(pair, b"//" | b"/.");
    path.starts_with('/')
        && (path == "/" || !path.ends_with('/'))
        && !bytes.iter().any(is_odd)
        && !bytes.windows(2).any(is_odd_pair)
}

/// The variants that one step leads to; `None` if that is no text that a path can have.
fn steps(from: &Variant) -> Option<Vec<Variant>> {
    let path = &from.path;
    if path.contains(char::is_control) {
        return None;
    }
    let mut to = Vec::new();
    let mut add = |path: String, decoded| {
        if path != from.path {
            to.push(Variant { path, decoded });
        }
    };
    if from.decoded < DECODED && path.contains('%') {
        let decoded = percent_decode_str(path).decode_utf8().ok()?;
        add(decoded.into_owned(), from.decoded + 1);
    }
    if path.contains('\\') {
        add(path.replace('\\', "/"), from.decoded);
    }
    if path.contains(';') {
        let bare = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
        add(bare.collect::<Vec<_>>().join("/"), from.decoded);
    }
    if let Some((before, _)) = path.split_once(['?', '#']) {
        add(before.to_owned(), from.decoded);
    }
    if path.contains("//") {
        add(merged(path), from.decoded);
    }
    if path.contains('.') {
        add(resolved(path), from.decoded);
    }
    if let Some(shorter) = path.strip_suffix('/').filter(|shorter| !shorter.is_empty()) {
        add(shorter.to_owned(), from.decoded);
    }
    Some(to)
}

/// A path in which no slashes stand in a row.
fn merged(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for char in path.chars() {
        if char != '/' || !merged.ends_with('/') {
            merged.push(char);
        }
    }
    merged
}

/// A path without `.` and `..`, as RFC 3986 resolves them.
fn resolved(path: &str) -> String {
    let absolute = path.strip_prefix('/').unwrap_or(path);
    let mut segments = Vec::new();
    for segment in absolute.split('/') {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let ends_with_dots =
        absolute.rsplit('/').next().is_some_and(|last| [".", ".."].contains(&last));
    if ends_with_dots {
        segments.push("");
    }
    format!("/{}", segments.join("/"))
}

/// How often a path is decoded, at the most: a proxy may do it before the application does.
const DECODED: u8 = 2;
/// The longest path with more than one variant, in bytes.
const LONGEST: usize = 2048;
/// The most variants of a path. One with an odd thing of each kind in it has some twenty.
const MOST: usize = 64;
