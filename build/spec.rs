//! The document, read so that every part of it knows its place.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::yaml::{self, Document};

/// The whole document.
pub(crate) struct Spec {
    file: String,
    root: Value,
    lines: BTreeMap<Vec<String>, usize>,
}

impl Spec {
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, SpecError> {
        let Document { root, lines } = yaml::read(text)
            .map_err(|(line, what)| SpecError::new(&format!("{file}:{line}"), what))?;
        let spec = Self { file: file.to_owned(), root, lines };
        let version = spec.root().get("openapi")?;
        if !version.value().as_str().is_some_and(|version| version.starts_with("3.0.")) {
            return Err(version.error("must be a version of OpenAPI 3.0, such as 3.0.3"));
        }
        spec.root().check_references()?;
        Ok(spec)
    }

    pub(crate) fn root(&self) -> Node<'_> {
        Node { spec: self, value: &self.root, path: Vec::new() }
    }

    /// Follows a local reference such as `#/components/schemas/ErrorBody`.
    fn resolve(&self, reference: &str) -> Option<Node<'_>> {
        let mut node = self.root();
        for key in reference.strip_prefix("#/")?.split('/') {
            node = node.find(&key.replace("~1", "/").replace("~0", "~"))?;
        }
        Some(node)
    }
}

/// A part of the document, with the way to it.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    spec: &'a Spec,
    value: &'a Value,
    path: Vec<String>,
}

impl<'a> Node<'a> {
    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    /// The keys on the way to this part.
    pub(crate) fn path(&self) -> &[String] {
        &self.path
    }

    /// The last key on the way to this part.
    pub(crate) fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    pub(crate) fn find(&self, key: &str) -> Option<Self> {
        Some(self.child(key, self.value.get(key)?))
    }

    pub(crate) fn get(&self, key: &str) -> Result<Self, SpecError> {
        self.find(key).ok_or_else(|| self.error(format!("`{key}` is missing")))
    }

    /// Whether a flag is there and set.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.find(key).is_some_and(|flag| flag.value() == true)
    }

    pub(crate) fn string(&self) -> Result<&'a str, SpecError> {
        self.value.as_str().ok_or_else(|| self.error("must be a string"))
    }

    /// The last key on the way to this part, where it is fit to be a name in Rust.
    pub(crate) fn snake_name(&self) -> Result<&str, SpecError> {
        if is_snake(self.name()) { Ok(self.name()) } else { Err(self.error(SNAKE)) }
    }

    /// A string that is fit to be a name in Rust.
    pub(crate) fn snake_string(&self) -> Result<&'a str, SpecError> {
        let text = self.string()?;
        if is_snake(text) { Ok(text) } else { Err(self.error(SNAKE)) }
    }

    pub(crate) fn unsigned(&self) -> Result<u64, SpecError> {
        self.value.as_u64().ok_or_else(|| self.error("must be a whole number, not below zero"))
    }

    /// The entries of a mapping, in the order of their keys.
    pub(crate) fn entries(&self) -> Result<Vec<Self>, SpecError> {
        let map = self.value.as_object().ok_or_else(|| self.error("must be a mapping"))?;
        Ok(map.iter().map(|(key, value)| self.child(key, value)).collect())
    }

    pub(crate) fn items(&self) -> Result<Vec<Self>, SpecError> {
        let list = self.value.as_array().ok_or_else(|| self.error("must be a list"))?;
        let items = list.iter().enumerate();
        Ok(items.map(|(index, value)| self.child(&index.to_string(), value)).collect())
    }

    /// The entries of a mapping or the items of a list; a scalar has none.
    pub(crate) fn children(&self) -> Vec<Self> {
        self.entries().or_else(|_| self.items()).unwrap_or_default()
    }

    /// The part that this one refers to, over as many references as it takes, or itself where it is
    /// no reference.
    pub(crate) fn resolved(&self) -> Result<Self, SpecError> {
        let mut node = self.clone();
        let mut passed = Vec::new();
        while let Some(reference) = node.find("$ref") {
            if passed.contains(&node.path) {
                return Err(reference.error("leads back to itself"));
            }
            let target = self.spec.resolve(reference.string()?);
            let target =
                target.ok_or_else(|| reference.error("refers to nothing in this document"))?;
            passed.push(node.path);
            node = target;
        }
        Ok(node)
    }

    pub(crate) fn error(&self, what: impl Into<String>) -> SpecError {
        let line = self.spec.lines.get(&self.path).copied().unwrap_or(1);
        let place = format!("{}:{line}", self.spec.file);
        let path = self.path.join(" > ");
        let what = what.into();
        SpecError::new(&place, if path.is_empty() { what } else { format!("{path}: {what}") })
    }

    fn child(&self, key: &str, value: &'a Value) -> Self {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        Self { spec: self.spec, value, path }
    }

    fn check_references(&self) -> Result<(), SpecError> {
        self.resolved()?;
        self.children().iter().try_for_each(Self::check_references)
    }
}

/// A sentence on what is wrong, with its place.
#[derive(Debug)]
pub(crate) struct SpecError(String);

impl SpecError {
    pub(crate) fn new(place: &str, what: impl AsRef<str>) -> Self {
        // An instruction to cargo ends with its line.
        Self(format!("{place}: {}", what.as_ref().replace('\n', " ")))
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_snake(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

const SNAKE: &str = "a name is in snake_case: lower-case letters, digits and underscores";
