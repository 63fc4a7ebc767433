//! Say what is wrong with a policy file, and where.

use std::error::Error;
use std::fmt;
use std::ops::Range;

/// A mistake in a policy file. It reads `LINE:COLUMN: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    line: usize,
    column: usize,
    message: String,
}

impl PolicyError {
    /// The line of the mistake, from 1 on.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column of the mistake in characters, from 1 on.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong, and what was expected.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn locate(mistake: Mistake, text: &str) -> Self {
        // A position within a character, or beyond the end, is that of what stands before it.
        let mut start = mistake.span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            message: one_line(&mistake.message),
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl Error for PolicyError {}

/// A mistake, and the bytes of the text that it is about.
#[derive(Debug)]
pub(super) struct Mistake {
    span: Range<usize>,
    message: String,
}

impl Mistake {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }
}

/// What the TOML says is wrong, in the words of a policy file.
impl From<toml::de::Error> for Mistake {
    fn from(error: toml::de::Error) -> Self {
        let message = error.message().replace("expected i64", "expected a whole number");
        let message = message.replace("unknown field", "unknown member");
        let message = message.replace("missing field", "missing member");
        let message = message.lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
        Self { span: error.span().unwrap_or_default(), message }
    }
}

/// A message that fits a line, whatever it quotes.
fn one_line(message: &str) -> String {
    let short = message.chars().take(LONGEST_MESSAGE);
    short.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The most characters of a message, which may quote the file.
const LONGEST_MESSAGE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_in_lines_and_characters() {
        for (start, expected) in [(0, (1, 1)), (3, (1, 3)), (4, (2, 1)), (5, (2, 2)), (99, (2, 2))]
        {
            let error = PolicyError::locate(Mistake::new(start..start, "x"), "éa\nb");
            assert_eq!((error.line(), error.column()), expected, "byte {start}");
        }
        let within = PolicyError::locate(Mistake::new(1..1, "x"), "éa\nb");
        assert_eq!(within.to_string(), "1:1: x");
    }

    #[test]
    fn a_text_of_the_file_comes_back_short_and_in_one_line() {
        let error = PolicyError::locate(Mistake::new(0..0, "é".repeat(1 << 20)), "");
        assert_eq!(error.message().chars().count(), 500);
        let error = PolicyError::locate(Mistake::new(0..0, "a\nb"), "");
        assert_eq!(error.message(), "a b");
    }
}
