//! Check the conditions of a policy file, and make matchers of them.

use regex::Regex;
use toml::Spanned;

use super::error::Mistake;
use super::file::{MatchTable, Source};
use super::pattern;
use crate::engine::{Field, Matcher, Test, is_of_word};

/// Makes matchers, and counts what they take.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    count: usize,
    patterns: usize,
}

impl Conditions {
    /// Makes the matcher of a condition on events or on requests, if there is one.
    pub(super) fn optional(
        &mut self,
        table: Option<&Spanned<MatchTable>>,
        source: Source,
    ) -> Result<Option<Matcher>, Mistake> {
        table.map(|table| self.matcher(table, source)).transpose()
    }

    fn matcher(&mut self, table: &Spanned<MatchTable>, source: Source) -> Result<Matcher, Mistake> {
        let span = table.span();
        let table = table.get_ref();
        self.count += 1;
        if self.count > MOST_CONDITIONS {
            let why = format!("a file has {MOST_CONDITIONS} conditions at most");
            return Err(Mistake::new(span, why));
        }
        let untested = table.tests().is_empty();
        match (&table.all, &table.any, &table.not, &table.field) {
            (Some(all), None, None, None) if untested => {
                self.several(all, source).map(Matcher::All)
            }
            (None, Some(any), None, None) if untested => {
                self.several(any, source).map(Matcher::Any)
            }
            (None, None, Some(not), None) if untested => {
                self.matcher(not, source).map(|not| Matcher::Not(Box::new(not)))
            }
            (None, None, None, Some(name)) => {
                let mistake = |why| Mistake::new(name.span(), why);
                let field = Field::parse(name.get_ref()).map_err(mistake)?;
                if field == Field::Type && source == Source::Requests {
                    return Err(mistake(
                        "a request has no type; the match of a policy on events can test it"
                            .to_owned(),
                    ));
                }
                self.test(field, table, name)
            }
            _ => {
                let why =
                    "a condition is one thing, expected all, any, not, or a field with a test";
                Err(Mistake::new(span, why))
            }
        }
    }

    fn several(
        &mut self,
        tables: &Spanned<Vec<Spanned<MatchTable>>>,
        source: Source,
    ) -> Result<Vec<Matcher>, Mistake> {
        if tables.get_ref().is_empty() {
            return Err(Mistake::new(
                tables.span(),
                "an empty list, expected at least one condition",
            ));
        }
        tables.get_ref().iter().map(|table| self.matcher(table, source)).collect()
    }

    fn test(
        &mut self,
        field: Field,
        table: &MatchTable,
        name: &Spanned<String>,
    ) -> Result<Matcher, Mistake> {
        let given = table.tests();
        let [given] = given[..] else {
            let why = format!("{} tests of {field}, expected one of {TESTS}", given.len());
            return Err(Mistake::new(name.span(), why));
        };
        let value = |text: &Spanned<String>| {
            if field == Field::ClientIp {
                read(text, pattern::address)
            } else {
                Ok(text.get_ref().clone())
            }
        };
        let test = match given {
            TestTable::Equals(text) => Test::Equals(value(text)?),
            TestTable::In(texts) => Test::In(listed(texts, value)?),
            TestTable::Contains(text) => Test::Contains(not_empty(text)?),
            TestTable::StartsWith(text) => Test::StartsWith(not_empty(text)?),
            TestTable::WordIn(words) => Test::WordIn(listed(words, word)?),
            TestTable::NetworkIn(networks) => {
                if matches!(field, Field::Type | Field::UserAgent | Field::Method | Field::Path) {
                    let why = format!("{field} is no address, so that this never holds");
                    return Err(Mistake::new(networks.span(), why));
                }
                Test::NetworkIn(listed(networks, |text| read(text, pattern::network))?)
            }
            TestTable::Glob(text) => Test::Pattern(self.pattern(text, pattern::glob)?),
            TestTable::Regex(text) => Test::Pattern(self.pattern(text, pattern::regex)?),
            TestTable::Present(present) => {
                return Ok(Matcher::Present(field, *present.get_ref()));
            }
        };
        Ok(Matcher::Field(field, test))
    }

    fn pattern(
        &mut self,
        text: &Spanned<String>,
        compile: impl FnOnce(&str) -> Result<Regex, String>,
    ) -> Result<Regex, Mistake> {
        not_empty(text)?;
        self.patterns += 1;
        if self.patterns > MOST_PATTERNS {
            let why = format!("a file has {MOST_PATTERNS} globs and regexes at most");
            return Err(Mistake::new(text.span(), why));
        }
        read(text, compile)
    }
}

/// A test of a field, as it is written.
#[derive(Clone, Copy)]
enum TestTable<'a> {
    Equals(&'a Spanned<String>),
    Contains(&'a Spanned<String>),
    StartsWith(&'a Spanned<String>),
    Glob(&'a Spanned<String>),
    Regex(&'a Spanned<String>),
    In(&'a Spanned<Vec<Spanned<String>>>),
    WordIn(&'a Spanned<Vec<Spanned<String>>>),
    NetworkIn(&'a Spanned<Vec<Spanned<String>>>),
    Present(&'a Spanned<bool>),
}

impl MatchTable {
    /// The tests of a field that are there.
    fn tests(&self) -> Vec<TestTable<'_>> {
        let given = [
            self.equals.as_ref().map(TestTable::Equals),
            self.contains.as_ref().map(TestTable::Contains),
            self.starts_with.as_ref().map(TestTable::StartsWith),
            self.glob.as_ref().map(TestTable::Glob),
            self.regex.as_ref().map(TestTable::Regex),
            self.one_of.as_ref().map(TestTable::In),
            self.word_in.as_ref().map(TestTable::WordIn),
            self.network_in.as_ref().map(TestTable::NetworkIn),
            self.present.as_ref().map(TestTable::Present),
        ];
        given.into_iter().flatten().collect()
    }
}

/// What a text says, or the mistake in it at its place.
fn read<T>(
    text: &Spanned<String>,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, Mistake> {
    read(text.get_ref()).map_err(|why| Mistake::new(text.span(), why))
}

fn listed<T>(
    texts: &Spanned<Vec<Spanned<String>>>,
    read: impl FnMut(&Spanned<String>) -> Result<T, Mistake>,
) -> Result<Vec<T>, Mistake> {
    if texts.get_ref().is_empty() {
        return Err(Mistake::new(texts.span(), "an empty list, expected at least one text"));
    }
    texts.get_ref().iter().map(read).collect()
}

fn not_empty(text: &Spanned<String>) -> Result<String, Mistake> {
    if text.get_ref().is_empty() {
        return Err(Mistake::new(text.span(), "must not be empty: an empty string always matches"));
    }
    Ok(text.get_ref().clone())
}

fn word(text: &Spanned<String>) -> Result<String, Mistake> {
    let word = text.get_ref();
    if word.is_empty() || !word.chars().all(is_of_word) {
        let why = format!("{word:?} is no word, expected letters, digits, `-` and `_`");
        return Err(Mistake::new(text.span(), why));
    }
    Ok(word.clone())
}

const TESTS: &str =
    "equals, contains, starts_with, glob, regex, in, word_in, network_in or present";

const MOST_CONDITIONS: usize = 1000;
const MOST_PATTERNS: usize = 100;
