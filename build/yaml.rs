//! Reads YAML as JSON, noting on which line each part begins.
//!
//! Of the events of a parser: a crate that makes a tree of them costs every user its compilation, and
//! would have to be read into JSON all the same.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::{Map, Value};

/// A document, with the line of each part by the way to it.
pub(crate) struct Document {
    pub(crate) root: Value,
    pub(crate) lines: BTreeMap<Vec<String>, usize>,
}

/// What is wrong, with the line.
pub(crate) type YamlError = (usize, String);

/// Reads a text that is one document.
pub(crate) fn read(text: &str) -> Result<Document, YamlError> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), path: Vec::new(), lines: BTreeMap::new() };
    let mut root = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, line) => {
                let root = root.ok_or((line, ONE_DOCUMENT.to_owned()))?;
                return Ok(Document { root, lines: reader.lines });
            }
            (Event::DocumentStart(_), line) if root.is_some() => {
                return Err((line, ONE_DOCUMENT.to_owned()));
            }
            (Event::DocumentStart(_), _) => {
                let first = reader.next()?;
                root = Some(reader.value(first)?);
            }
            _ => {}
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    path: Vec<String>,
    lines: BTreeMap<Vec<String>, usize>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), YamlError> {
        let next = self.parser.next().unwrap_or(Ok((Event::StreamEnd, Span::default())));
        match next {
            Ok((event, span)) => Ok((event, span.start.line())),
            Err(error) => Err((error.marker().line(), format!("is not YAML: {}", error.info()))),
        }
    }

    /// The value that begins with this event.
    fn value(&mut self, (event, line): (Event<'a>, usize)) -> Result<Value, YamlError> {
        self.lines.entry(self.path.clone()).or_insert(line);
        match event {
            Event::Scalar(text, ScalarStyle::Plain, _, None) => Ok(plain(&text)),
            Event::Scalar(text, _, _, None) => Ok(Value::String(text.into_owned())),
            Event::SequenceStart(_, None) => self.list(),
            Event::MappingStart(_, None) => self.mapping(),
            Event::Alias(_) => {
                let what = "aliases are not read here; refer to a part with `$ref`, or repeat it";
                Err((line, what.to_owned()))
            }
            _ => Err((line, "tags are not read here".to_owned())),
        }
    }

    fn list(&mut self) -> Result<Value, YamlError> {
        let mut list = Vec::new();
        loop {
            let next = self.next()?;
            if next.0 == Event::SequenceEnd {
                return Ok(Value::Array(list));
            }
            self.path.push(list.len().to_string());
            list.push(self.value(next)?);
            self.path.pop();
        }
    }

    fn mapping(&mut self) -> Result<Value, YamlError> {
        let mut map = Map::new();
        loop {
            let (key, line) = self.next()?;
            let name = match key {
                Event::MappingEnd => return Ok(Value::Object(map)),
                Event::Scalar(text, style, _, None) => match plain(&text) {
                    _ if style != ScalarStyle::Plain => text.into_owned(),
                    Value::String(name) => name,
                    // As it is written: a name such as `007` is another than `7`.
                    Value::Number(number) if !number.is_f64() => text.into_owned(),
                    _ => return Err((line, A_KEY.to_owned())),
                },
                _ => return Err((line, A_KEY.to_owned())),
            };
            if map.contains_key(&name) {
                return Err((line, "is not YAML: duplicated key in mapping".to_owned()));
            }
            self.path.push(name.clone());
            self.lines.insert(self.path.clone(), line);
            let first = self.next()?;
            map.insert(name, self.value(first)?);
            self.path.pop();
        }
    }
}

/// What a scalar without quotes means, by the core schema of YAML 1.2.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let prefixed = [("0x", 16), ("0o", 8)]
        .into_iter()
        .find_map(|(prefix, radix)| i64::from_str_radix(text.strip_prefix(prefix)?, radix).ok());
    if let Some(whole) = prefixed.or_else(|| text.parse::<i64>().ok()) {
        return Value::from(whole);
    }
    if let Ok(whole) = text.parse::<u64>() {
        return Value::from(whole);
    }
    // Rust reads words as numbers too, such as `nan`.
    let number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    match text.parse::<f64>() {
        Ok(value) if number && value.is_finite() => Value::from(value),
        _ => Value::String(text.to_owned()),
    }
}

const A_KEY: &str = "a key must be a string";
const ONE_DOCUMENT: &str = "must hold exactly one YAML document";
