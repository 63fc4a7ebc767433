//! Check the conditions of a policy file, and make matchers of them.

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
        let untested = table.tests() == 0;
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
                        "a request has no type, so that this never holds".to_owned(),
                    ));
                }
                let test = self.test(&field, table, name)?;
                Ok(Matcher::Field(field, test))
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
        field: &Field,
        table: &MatchTable,
        name: &Spanned<String>,
    ) -> Result<Test, Mistake> {
        let given = table.tests();
        if given != 1 {
            let why = format!("{given} tests of {field}, expected one of {TESTS}");
            return Err(Mistake::new(name.span(), why));
        }
        let is_address = *field == Field::ClientIp;
        let value = |text: &Spanned<String>| match is_address {
            true => pattern::address(text.get_ref()).map_err(|why| Mistake::new(text.span(), why)),
            false => Ok(text.get_ref().clone()),
        };
        if let Some(text) = &table.equals {
            return value(text).map(Test::Equals);
        }
        if let Some(texts) = &table.one_of {
            return listed(texts, value).map(Test::In);
        }
        if let Some(text) = &table.contains {
            return not_empty(text).map(Test::Contains);
        }
        if let Some(text) = &table.starts_with {
            return not_empty(text).map(Test::StartsWith);
        }
        if let Some(words) = &table.word_in {
            return listed(words, word).map(Test::WordIn);
        }
        if let Some(networks) = &table.network_in {
            if matches!(field, Field::Type | Field::UserAgent | Field::Method | Field::Path) {
                let why = format!("{field} is no address, so that this never holds");
                return Err(Mistake::new(networks.span(), why));
            }
            let network = |text: &Spanned<String>| {
                pattern::network(text.get_ref()).map_err(|why| Mistake::new(text.span(), why))
            };
            return listed(networks, network).map(Test::NetworkIn);
        }
        if let Some(present) = &table.present {
            return Ok(Test::Present(*present.get_ref()));
        }
        let (text, compile): (_, fn(&str) -> _) = match (&table.glob, &table.regex) {
            (Some(text), _) => (text, pattern::glob),
            (None, Some(text)) => (text, pattern::regex),
            (None, None) => {
                return Err(Mistake::new(name.span(), format!("expected one of {TESTS}")));
            }
        };
        not_empty(text)?;
        self.patterns += 1;
        if self.patterns > MOST_PATTERNS {
            let why = format!("a file has {MOST_PATTERNS} globs and regexes at most");
            return Err(Mistake::new(text.span(), why));
        }
        let compiled = compile(text.get_ref()).map_err(|why| Mistake::new(text.span(), why))?;
        Ok(Test::Pattern(compiled))
    }
}

impl MatchTable {
    /// How many tests of a field there are.
    fn tests(&self) -> usize {
        let given = [
            self.equals.is_some(),
            self.contains.is_some(),
            self.starts_with.is_some(),
            self.glob.is_some(),
            self.regex.is_some(),
            self.one_of.is_some(),
            self.word_in.is_some(),
            self.network_in.is_some(),
            self.present.is_some(),
        ];
        given.into_iter().filter(|given| *given).count()
    }
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
        return Err(Mistake::new(text.span(), "an empty text always fits, expected another"));
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
