//! The limits that the document puts on the body of a request: what checks them before it is sent, and
//! those that nothing can check, which stop the build.

use std::collections::BTreeSet;

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use syn::{ItemStruct, Type};

use crate::generated::{self, Member, arguments, member_of, outer};
use crate::schemas::{self, COMPOSITIONS};
use crate::spec::{Node, SpecError};

/// Emits the method `check` of a body.
pub(crate) fn check(
    schema: &Node<'_>,
    structure: &ItemStruct,
    bindings: &syn::File,
) -> Result<TokenStream, SpecError> {
    let what = "the body of a request lists its members, so that their limits are checked";
    reject(schema, COMPOSITIONS, what)?;
    reject_limits_on_the_whole(schema)?;
    let mut checks = Vec::new();
    for member in schema.get("properties")?.entries()? {
        reject_nested_limits(&member.resolved()?, &mut BTreeSet::new())?;
        checks.extend(check_member(&member, &member_of(structure, &member)?, bindings)?);
    }
    Ok(quote! {
        /// Refuses what the service would refuse, before anything is sent.
        pub(crate) fn check(&self) -> ::std::result::Result<(), crate::EsperError> {
            #(#checks)*
            Ok(())
        }
    })
}

/// The calls into `src/check.rs` for the limits of one member.
fn check_member(
    member: &Node<'_>,
    field: &Member<'_>,
    bindings: &syn::File,
) -> Result<Vec<TokenStream>, SpecError> {
    let (schema, name) = (member.resolved()?, member.name());
    check_limits_fit(&schema)?;
    let mut calls = Vec::new();
    if let Some(format) = schema.find("format") {
        match format.string()? {
            "ip" => calls.push(quote! { ip(#name, value) }),
            "uri" => calls.push(quote! { uri(#name, value) }),
            "int32" | "int64" | "float" | "double" => {}
            _ => return Err(format.error(unchecked("format"))),
        }
    }
    if let Some(pattern) = schema.find("pattern") {
        match pattern.string()? {
            r"\S" => calls.push(quote! { not_blank(#name, value) }),
            "^https?://" => calls.push(quote! { http(#name, value) }),
            _ => return Err(pattern.error(unchecked("pattern"))),
        }
    }
    for (limit, function) in [("minLength", "min_length"), ("maxLength", "max_length")] {
        if let Some(limit) = schema.find(limit) {
            let (function, limit) =
                (format_ident!("{function}"), Literal::u64_unsuffixed(limit.unsigned()?));
            calls.push(quote! { #function(#name, value, #limit) });
        }
    }
    for limit in ["minimum", "maximum"] {
        if let Some(bound) = schema.find(limit) {
            let number = bound.value().as_f64().ok_or_else(|| bound.error("must be a number"))?;
            let (function, number) = (format_ident!("{limit}"), Literal::f64_unsuffixed(number));
            calls.push(quote! { #function(#name, *value as f64, #number) });
        }
    }
    reject(&schema, UNCHECKED, "is a limit without a check; add one to build/limits.rs")?;

    let Member { ident, kind } = field;
    let optional = outer(kind) == "Option";
    let content = arguments(kind).first().filter(|_| optional).cloned();
    let call = json(name, content.as_ref().unwrap_or(kind));
    if call.is_none() && holds_json(kind, bindings, &mut BTreeSet::new()) {
        return Err(member.error("takes any JSON further within, which nothing checks"));
    }
    calls.extend(call);
    Ok(calls
        .into_iter()
        .map(|call| {
            if optional {
                quote! { if let Some(value) = &self.#ident { crate::check::#call?; } }
            } else {
                quote! { { let value = &self.#ident; crate::check::#call?; } }
            }
        })
        .collect())
}

/// The call for a member that takes any JSON, or any by name or in a list.
fn json(name: &str, kind: &Type) -> Option<TokenStream> {
    let is_json = |kind: Option<&Type>| kind.is_some_and(|kind| outer(kind) == "Value");
    match (outer(kind).as_str(), arguments(kind).last()) {
        ("Value", None) => Some(quote! { json(#name, [value]) }),
        ("Map" | "HashMap", last) if is_json(last) => Some(quote! { json(#name, value.values()) }),
        ("Vec", last) if is_json(last) => Some(quote! { json(#name, value) }),
        _ => None,
    }
}

/// Refuses limits that say nothing of a value of this type, and those beside a list of all values: no
/// check takes either.
fn check_limits_fit(schema: &Node<'_>) -> Result<(), SpecError> {
    let kind = schema.find("type").and_then(|kind| kind.value().as_str()).unwrap_or_default();
    for limit in CHECKED.into_iter().filter_map(|limit| schema.find(limit)) {
        let kinds: &[&str] = match (limit.name(), limit.value().as_str()) {
            ("minimum" | "maximum", _) => &["integer", "number"],
            ("format", Some("int32" | "int64")) => &["integer"],
            ("format", Some("float" | "double")) => &["number"],
            ("format", kind) if kind != Some("ip") && kind != Some("uri") => continue,
            _ => &["string"],
        };
        if !kinds.contains(&kind) {
            let kinds = kinds.join("` or `");
            return Err(limit.error(format!("is a limit of a member with `type: {kinds}`")));
        }
        if schema.find("enum").is_some() {
            return Err(limit.error("is a limit on values that `enum` lists; leave it out"));
        }
    }
    Ok(())
}

/// Whether there is room for any JSON in a type, or in those that it is made of.
///
/// What is `seen` is not looked at again: a type may hold itself.
fn holds_json(kind: &Type, bindings: &syn::File, seen: &mut BTreeSet<String>) -> bool {
    let name = outer(kind);
    if name == "Value" || arguments(kind).iter().any(|kind| holds_json(kind, bindings, seen)) {
        return true;
    }
    let fields = generated::fields(bindings, &name);
    seen.insert(name) && fields.iter().any(|field| holds_json(&field.ty, bindings, seen))
}

fn unchecked(kind: &str) -> String {
    format!("is a {kind} without a check; add one to src/check.rs, and its call to build/limits.rs")
}

/// Refuses limits on a body as such, and on members that it does not list: the checks look at those
/// that it does.
fn reject_limits_on_the_whole(schema: &Node<'_>) -> Result<(), SpecError> {
    reject(schema, limits(), "is a limit on the body as such, which nothing checks")?;
    if let Some(others) = schema.find("additionalProperties")
        && others.value().is_object()
    {
        return Err(
            others.error("describes members by no name, which have neither setter nor check")
        );
    }
    Ok(())
}

/// Refuses limits on what is within a member: the checks look at members only.
///
/// What is `seen` is not looked at again: a schema may refer to itself.
fn reject_nested_limits(
    schema: &Node<'_>,
    seen: &mut BTreeSet<Vec<String>>,
) -> Result<(), SpecError> {
    for part in schemas::subschemas(schema) {
        let part = part.resolved()?;
        if !seen.insert(part.path().to_vec()) {
            continue;
        }
        reject(&part, limits(), "is a limit within a member, which nothing checks")?;
        reject_nested_limits(&part, seen)?;
    }
    Ok(())
}

/// Refuses a schema that has one of these.
fn reject(
    schema: &Node<'_>,
    keys: impl IntoIterator<Item = &'static str>,
    why: &str,
) -> Result<(), SpecError> {
    match keys.into_iter().find_map(|key| schema.find(key)) {
        Some(found) => Err(found.error(why)),
        None => Ok(()),
    }
}

fn limits() -> impl Iterator<Item = &'static str> {
    CHECKED.into_iter().chain(UNCHECKED)
}

const CHECKED: [&str; 6] = ["format", "pattern", "minLength", "maxLength", "minimum", "maximum"];
const UNCHECKED: [&str; 8] = [
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];
