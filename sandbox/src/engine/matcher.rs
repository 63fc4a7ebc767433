//! Test whether an event or a request is what a policy is about.

use ipnet::IpNet;
use regex::Regex;

use super::field::Field;
use crate::engine::attributes::Attributes;

/// A condition.
#[derive(Debug)]
pub(crate) enum Matcher {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Field(Field, Test),
    /// Whether a field is there, and not empty.
    Present(Field, bool),
}

/// What a field is tested for.
#[derive(Debug)]
pub(crate) enum Test {
    Equals(String),
    Contains(String),
    StartsWith(String),
    Pattern(Regex),
    In(Vec<String>),
    WordIn(Vec<String>),
    NetworkIn(Vec<IpNet>),
}

impl Matcher {
    /// Whether the condition holds. A field that is not there passes no test but that for absence.
    pub(crate) fn matches(&self, attributes: &Attributes<'_>) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.matches(attributes)),
            Self::Any(any) => any.iter().any(|one| one.matches(attributes)),
            Self::Not(one) => !one.matches(attributes),
            Self::Present(field, present) => attributes.has(field) == *present,
            Self::Field(Field::ClientIp, Test::NetworkIn(networks)) => {
                attributes.ip.is_some_and(|ip| networks.iter().any(|network| network.contains(&ip)))
            }
            Self::Field(field, test) => {
                attributes.text(field).is_some_and(|text| test.passes(&text))
            }
        }
    }

    /// The word of a list that made the condition hold, if it was one.
    pub(crate) fn word(&self, attributes: &Attributes<'_>) -> Option<&str> {
        match self {
            Self::All(all) => all.iter().find_map(|one| one.word(attributes)),
            Self::Any(any) => any
                .iter()
                .filter(|one| one.matches(attributes))
                .find_map(|one| one.word(attributes)),
            Self::Field(field, Test::WordIn(words)) => find_word(words, &attributes.text(field)?),
            Self::Not(_) | Self::Field(..) | Self::Present(..) => None,
        }
    }
}

impl Test {
    fn passes(&self, text: &str) -> bool {
        match self {
            Self::Equals(expected) => text == expected,
            Self::Contains(part) => text.contains(part.as_str()),
            Self::StartsWith(start) => text.starts_with(start.as_str()),
            Self::Pattern(pattern) => pattern.is_match(text),
            Self::In(texts) => texts.iter().any(|expected| text == expected),
            Self::WordIn(words) => find_word(words, text).is_some(),
            Self::NetworkIn(networks) => text.parse().is_ok_and(|ip: std::net::IpAddr| {
                networks.iter().any(|network| network.contains(&ip.to_canonical()))
            }),
        }
    }
}

/// The first word of a text that is in a list, as the list has it.
fn find_word<'a>(words: &'a [String], text: &str) -> Option<&'a str> {
    text.split(|c| !is_of_word(c))
        .find_map(|word| words.iter().find(|listed| listed.eq_ignore_ascii_case(word)))
        .map(String::as_str)
}

/// Whether a character is part of a word, as the names of crawlers are words.
pub(crate) fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}
