//! A path as a router may understand it.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use self::variants::PathVariants;
use crate::EsperError;

mod variants;

/// What holds for the requests of a path: a value for some paths, and one for all others.
///
/// Servers disagree about what a path is. `/x/../admin`, `//admin`, `/%61dmin`, `/admin;x` and
/// `/admin/` are `/admin` to some of them and something else to others, and the layer cannot know
/// which of them is behind it. So each way to read a path has its value, which is that of the
/// longest rule that matches, and what holds is all of these values, joined into one.
///
/// The ways to read a path are what comes of these steps, in any order and number: the
/// percent-encoding is decoded, at most twice; `.` and `..` are resolved; slashes in a row become
/// one; what follows a `;` in a segment is left out, and all that follows a `?` or `#` which was
/// encoded; a backslash becomes a slash; a slash at the end is left out. Letters keep their case. A
/// path with more ways than are worth trying, or one that has control characters or something else
/// than UTF-8 in it when it is decoded, gets all values, joined into one.
#[derive(Clone, Debug)]
pub(super) struct PathRules<T> {
    otherwise: T,
    rules: Vec<(PathPattern, T)>,
}

/// The paths that a rule is for.
///
/// A pattern is written as people read it (`/über uns`), and matches what browsers send for it too
/// (`/%C3%BCber%20uns`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathPattern {
    segments: Vec<Segment>,
    extent: Extent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Itself,
    AndBelow,
}

/// A segment as people and as browsers write it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    plain: String,
    encoded: String,
}

impl<T: Copy> PathRules<T> {
    /// Begins with the value of all paths.
    pub(super) fn new(otherwise: T) -> Self {
        Self { otherwise, rules: Vec::new() }
    }

    /// Sets the value of some paths.
    ///
    /// Where several patterns match, the longest counts, one for a path alone before one for what
    /// is below it too, and of equal ones the last.
    pub(super) fn with(mut self, pattern: PathPattern, value: T) -> Self {
        self.set(pattern, value);
        self
    }

    /// Does what [`with`](Self::with) does, in place.
    pub(super) fn set(&mut self, pattern: PathPattern, value: T) {
        if pattern.is_for_all() {
            self.otherwise = value;
            return;
        }
        self.rules.retain(|(known, _)| *known != pattern);
        self.rules.push((pattern, value));
    }

    /// Returns the value of a request's path: those of all ways to read it, joined. `join` makes
    /// of two values one that is as strict as both.
    ///
    /// The path is that of the request line, with nothing decoded.
    pub(super) fn strictest(&self, path: &str, join: impl Fn(T, T) -> T) -> T {
        if self.rules.is_empty() {
            return self.otherwise;
        }
        match PathVariants::of(path) {
            PathVariants::Plain(path) => self.of_variant(path),
            PathVariants::Several(variants) => {
                let values = variants.iter().map(|variant| self.of_variant(variant));
                values.reduce(join).unwrap_or(self.otherwise)
            }
            PathVariants::Endless => {
                self.rules.iter().map(|(_, value)| *value).fold(self.otherwise, join)
            }
        }
    }

    fn of_variant(&self, path: &str) -> T {
        let matching = self.rules.iter().filter(|(pattern, _)| pattern.matches(path));
        let longest = matching
            .max_by_key(|(pattern, _)| (pattern.segments.len(), pattern.extent == Extent::Itself));
        longest.map_or(self.otherwise, |(_, value)| *value)
    }
}

impl PathPattern {
    /// One path and no other, such as `/health`.
    ///
    /// # Errors
    ///
    /// Fails as [`below`](Self::below) does, and when the path ends with a slash that routers
    /// disagree about.
    pub(super) fn exactly(path: &str) -> Result<Self, EsperError> {
        if path.len() > 1 && path.ends_with('/') {
            return Err(invalid("ends with a slash, which routers disagree about; leave it out"));
        }
        Self::parse(path, Extent::Itself)
    }

    /// A path and all that is below it: `/static` is also for `/static/` and `/static/a.css`, and
    /// not for `/statics`. All paths are below `/`.
    ///
    /// # Errors
    ///
    /// Fails when the path does not begin with a slash, or has something in it that routers
    /// disagree about or that looks like a pattern of a router.
    pub(super) fn below(path: &str) -> Result<Self, EsperError> {
        Self::parse(path, Extent::AndBelow)
    }

    fn parse(path: &str, extent: Extent) -> Result<Self, EsperError> {
        let Some(rest) = path.strip_prefix('/') else {
            return Err(invalid("does not begin with a slash; it looks like /health"));
        };
        if path.contains(|char: char| "%\\;?#".contains(char) || char.is_control()) {
            return Err(invalid(
                "has one of % \\ ; ? # or a control character in it; write it decoded, without a \
                 query",
            ));
        }
        // `/:id` is one to many routers, and to axum before 0.8.
        if path.contains(['{', '}', '*']) || path.contains("/:") {
            return Err(invalid(
                "has a wildcard in it; give the segments before it, for all that is below them",
            ));
        }
        let mut segments: Vec<_> = rest.split('/').map(segment).collect();
        // The slash at the end, or the only one.
        segments.pop_if(|last| last.plain.is_empty());
        if segments.iter().any(|segment| ["", ".", ".."].contains(&segment.plain.as_str())) {
            return Err(invalid("has an empty segment, . or .. in it; leave it out"));
        }
        Ok(Self { segments, extent })
    }

    fn is_for_all(&self) -> bool {
        self.segments.is_empty() && self.extent == Extent::AndBelow
    }

    fn matches(&self, path: &str) -> bool {
        // That of CONNECT is empty, that of `OPTIONS *` a star. Only the rule for all has them.
        let Some(path) = path.strip_prefix('/') else { return self.is_for_all() };
        // There is no segment in `/`.
        let mut theirs = path.split('/').filter(|_| !path.is_empty());
        self.segments.iter().all(|ours| {
            theirs.next().is_some_and(|theirs| theirs == ours.plain || theirs == ours.encoded)
        }) && (self.extent == Extent::AndBelow || theirs.next().is_none())
    }
}

fn segment(plain: &str) -> Segment {
    Segment { plain: plain.to_owned(), encoded: utf8_percent_encode(plain, ENCODED).to_string() }
}

fn invalid(what: &str) -> EsperError {
    EsperError::validation("path", format!("the path of a rule {what}"))
}

/// What browsers encode in a path, apart from what a pattern cannot have.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'^').add(b'`');

#[cfg(test)]
mod tests;
