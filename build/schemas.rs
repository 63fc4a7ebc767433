//! What the document must not have, because the generator would report it in words of its own or
//! leave it to the compiler.

use std::collections::BTreeMap;

use crate::generated::{plain, types, wire_name};
use crate::spec::{Node, Spec, SpecError};

/// Looks at every schema and description, before anything is generated of them.
pub(crate) fn check(spec: &Spec) -> Result<(), SpecError> {
    check_prose(&spec.root())?;
    for schema in named(spec)? {
        check_type(&schema)?;
    }
    check_operations(&spec.root().get("components")?)?;
    check_operations(&spec.root().get("paths")?)
}

/// The schemas that have a name of their own.
pub(crate) fn named(spec: &Spec) -> Result<Vec<Node<'_>>, SpecError> {
    spec.root().get("components")?.get("schemas")?.entries()
}

/// Refuses members and schemas whose names are different in JSON and the same in Rust.
pub(crate) fn check_names(spec: &Spec, bindings: &syn::File) -> Result<(), SpecError> {
    let mut kinds = Vec::new();
    for item in types(bindings) {
        let ident = match item {
            syn::Item::Struct(structure) => {
                check_members(spec, structure)?;
                &structure.ident
            }
            syn::Item::Enum(enumeration) => &enumeration.ident,
            _ => continue,
        };
        if kinds.contains(&ident) {
            return Err(name_collision(spec, &ident.to_string()));
        }
        kinds.push(ident);
    }
    Ok(())
}

fn check_members(spec: &Spec, structure: &syn::ItemStruct) -> Result<(), SpecError> {
    let mut known = BTreeMap::new();
    for field in &structure.fields {
        let (Some(ident), Some(name)) = (&field.ident, wire_name(field)) else { continue };
        let Some(other) = known.insert(ident, name.clone()) else { continue };
        let what = format!("has the same name in Rust as `{other}`: `{ident}`");
        let member = members(&spec.root(), &[&other, &name]);
        return Err(member.unwrap_or_else(|| spec.root()).error(what));
    }
    Ok(())
}

/// The last of these members, in the first schema that has them all.
fn members<'a>(node: &Node<'a>, names: &[&str]) -> Option<Node<'a>> {
    if let Some(properties) = node.find("properties") {
        let found = names.iter().map(|name| properties.find(name)).collect::<Option<Vec<_>>>();
        if let Some(member) = found.and_then(|mut found| found.pop()) {
            return Some(member);
        }
    }
    node.children().iter().find_map(|child| members(child, names))
}

/// What to say of two schemas of which the same type is made.
fn name_collision(spec: &Spec, ident: &str) -> SpecError {
    let schemas = named(spec).unwrap_or_default();
    let mut alike = schemas.iter().filter(|schema| plain(schema.name()) == plain(ident));
    let (first, last) = (alike.next(), alike.next_back());
    let what = match (first, last) {
        (Some(first), Some(_)) => format!("has the same name in Rust as `{}`", first.name()),
        _ => format!("has the same name in Rust, `{ident}`, as a schema within another"),
    };
    last.or(first).cloned().unwrap_or_else(|| spec.root()).error(what)
}

/// Refuses examples that the tests of the documentation would compile as Rust.
fn check_prose(node: &Node<'_>) -> Result<(), SpecError> {
    match (node.name(), node.string()) {
        ("description" | "summary", Ok(text))
            if has_nameless_code(text) || has_indented_code(text) =>
        {
            Err(node
                .error("has code without a language, which is taken for Rust; put it in ```text"))
        }
        // They say nothing of the API.
        ("example" | "examples", _) => Ok(()),
        _ => node.children().iter().try_for_each(check_prose),
    }
}

/// Whether a text in Markdown has a fenced block of code that does not say of what.
fn has_nameless_code(text: &str) -> bool {
    ["```", "~~~"].into_iter().any(|mark| {
        let fences = text.lines().map(str::trim).filter(|line| line.starts_with(mark));
        // Every other one is the end of a block.
        fences.step_by(2).any(|fence| fence.trim_matches(['`', '~']).is_empty())
    })
}

/// Whether a text in Markdown has a block of code that is told by its indent. What follows an item of a
/// list, or is within a fence, is indented otherwise.
fn has_indented_code(text: &str) -> bool {
    let (mut is_apart, mut is_other, mut in_fence) = (true, false, false);
    for line in text.lines() {
        let (indented, words) = (line.starts_with("    ") || line.starts_with('\t'), line.trim());
        if words.starts_with("```") || words.starts_with("~~~") {
            in_fence = !in_fence;
        }
        if indented && is_apart && !is_other && !in_fence && !words.is_empty() {
            return true;
        }
        if !indented && !words.is_empty() {
            is_other = words.starts_with(['-', '*', '+'])
                || words.starts_with(|it: char| it.is_ascii_digit());
        }
        // Code may go on behind a blank line only.
        is_apart = words.is_empty();
    }
    false
}

fn check_operations(node: &Node<'_>) -> Result<(), SpecError> {
    match node.name() {
        // Schemas are looked at by name, and examples say nothing of the API.
        "schemas" | "example" | "examples" => Ok(()),
        "schema" => check_type(node),
        _ => node.children().iter().try_for_each(check_operations),
    }
}

fn check_type(schema: &Node<'_>) -> Result<(), SpecError> {
    if let Some(kind) = schema.find("type")
        && !kind.value().as_str().is_some_and(|kind| TYPES.contains(&kind))
    {
        let known = TYPES.map(|kind| format!("`{kind}`")).join(", ");
        return Err(kind.error(format!("is no type of OpenAPI 3.0, which are {known}")));
    }
    subschemas(schema).iter().try_for_each(check_type)
}

/// The schemas that stand within another.
pub(crate) fn subschemas<'a>(schema: &Node<'a>) -> Vec<Node<'a>> {
    let parts = ["additionalProperties", "items", "not"].into_iter();
    let mut parts: Vec<_> = parts.filter_map(|key| schema.find(key)).collect();
    for key in ["properties", "allOf", "anyOf", "oneOf"] {
        parts.extend(schema.find(key).iter().flat_map(Node::children));
    }
    parts
}

/// What makes a schema of others.
pub(crate) const COMPOSITIONS: [&str; 4] = ["allOf", "anyOf", "oneOf", "not"];
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
