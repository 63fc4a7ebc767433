//! What users call on the generated types of requests: a constructor, a setter for each member,
//! and the check of the limits that the document puts on them.

use std::collections::BTreeSet;

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use syn::{GenericArgument, ItemStruct, PathArguments, Type};

use crate::generated::{self, Member, parse, structure};
use crate::operations::operations;
use crate::schemas;
use crate::spec::{Node, Spec, SpecError};

/// Emits `new`, `with_<member>` and `check` for the body of every operation, and the first two for the
/// objects within it: without them, nobody outside of the crate could make one.
pub(crate) fn methods(spec: &Spec, bindings: &syn::File) -> Result<syn::File, SpecError> {
    let mut blocks = Vec::new();
    let mut seen = Vec::new();
    let mut bodies = Vec::new();
    for operation in operations(spec)? {
        let Some(body) = operation.node.find("requestBody") else { continue };
        let schema = body.resolved()?.get("content")?.get("application/json")?.get("schema")?;
        if schema.find("$ref").is_none() {
            return Err(schema.error("must be a `$ref` to components > schemas"));
        }
        let schema = schema.resolved()?;
        if !seen.contains(&schema.name().to_owned()) {
            seen.push(schema.name().to_owned());
            let (structure, block) = block(&schema, bindings)?;
            blocks.push(block);
            bodies.push((schema, structure));
        }
    }
    let mut made = bodies.iter().map(|(_, structure)| *structure).collect();
    for (schema, structure) in bodies {
        parts(&schema, structure, bindings, &mut made, &mut blocks)?;
    }
    parse(quote! { #(#blocks)* })
}

fn block<'a>(
    schema: &Node<'_>,
    bindings: &'a syn::File,
) -> Result<(&'a ItemStruct, TokenStream), SpecError> {
    let structure = structure(bindings, schema.name())
        .ok_or_else(|| schema.error("the body of a request must be an object with members"))?;
    for composition in ["allOf", "anyOf", "oneOf", "not"] {
        if let Some(composition) = schema.find(composition) {
            let what = "the body of a request lists its members, so that their limits are checked";
            return Err(composition.error(what));
        }
    }
    reject_limits_on_the_whole(schema)?;
    let name = &structure.ident;
    let mut setters = Vec::new();
    let mut checks = Vec::new();
    for member in schema.get("properties")?.entries()? {
        member.snake_name()?;
        reject_nested_limits(&member.resolved()?, &mut BTreeSet::new())?;
        let field = generated::member(structure, member.name())
            .ok_or_else(|| member.error("has no field in the generated type"))?;
        setters.push(setter(&member, &field)?);
        checks.extend(check(&member, &field, bindings)?);
    }
    let new = constructor(schema, structure)?;
    let block = quote! {
        impl #name {
            #new

            #(#setters)*

            /// Refuses what the service would refuse, before anything is sent.
            pub(crate) fn check(&self) -> ::std::result::Result<(), crate::EsperError> {
                #(#checks)*
                Ok(())
            }
        }
    };
    Ok((structure, block))
}

/// The blocks of the objects within a structure, which have no limits to check.
fn parts<'a>(
    schema: &Node<'_>,
    structure: &ItemStruct,
    bindings: &'a syn::File,
    made: &mut Vec<&'a ItemStruct>,
    blocks: &mut Vec<TokenStream>,
) -> Result<(), SpecError> {
    for member in schema.get("properties")?.entries()? {
        let Some(field) = generated::member(structure, member.name()) else { continue };
        let Some((schema, part)) = part(&member, field.kind, bindings)? else { continue };
        if made.contains(&part) {
            continue;
        }
        made.push(part);
        let name = &part.ident;
        let new = constructor(&schema, part)?;
        let mut setters = Vec::new();
        for member in schema.get("properties")?.entries()? {
            member.snake_name()?;
            let field = generated::member(part, member.name());
            setters.extend(field.map(|field| setter(&member, &field)).transpose()?);
        }
        blocks.push(quote! { impl #name { #new #(#setters)* } });
        parts(&schema, part, bindings, made, blocks)?;
    }
    Ok(())
}

/// The object that a member is, or a list or a map of it, with its structure; alternatives have none.
fn part<'d, 'a>(
    member: &Node<'d>,
    kind: &Type,
    bindings: &'a syn::File,
) -> Result<Option<(Node<'d>, &'a ItemStruct)>, SpecError> {
    let schema = member.resolved()?;
    // A reference that has a description of its own.
    if let Some([alone]) = schema.find("allOf").map(|all| all.children()).as_deref() {
        return part(alone, kind, bindings);
    }
    match (outer(kind).as_str(), arguments(kind).last()) {
        ("Option" | "Box", Some(inner)) => return part(&schema, inner, bindings),
        ("Vec" | "Map" | "HashMap", Some(inner)) => {
            let within = schema.find("items").or_else(|| schema.find("additionalProperties"));
            return within.map_or(Ok(None), |within| part(&within, inner, bindings));
        }
        _ => {}
    }
    let structure = structure(bindings, &outer(kind)).filter(|it| it.ident == outer(kind));
    Ok(structure.filter(|_| is_plain_object(&schema)).map(|structure| (schema, structure)))
}

/// Whether a schema is an object that lists its members, from which its structure is made as it stands.
fn is_plain_object(schema: &Node<'_>) -> bool {
    let composed = ["allOf", "anyOf", "oneOf", "not"];
    schema.find("properties").is_some()
        && !composed.iter().any(|key| schema.find(key).is_some())
        && schema.find("nullable").is_none_or(|nullable| nullable.value() != true)
}

/// A constructor that takes the required members, in the order in which the document lists them.
fn constructor(schema: &Node<'_>, structure: &ItemStruct) -> Result<TokenStream, SpecError> {
    let required = match schema.find("required") {
        Some(list) => list.items()?,
        None => Vec::new(),
    };
    let mut parameters = Vec::new();
    let mut names = Vec::new();
    for member in &required {
        let Member { ident, kind } = generated::member(structure, member.string()?)
            .ok_or_else(|| member.error("is not among the properties"))?;
        parameters.push(quote! { #ident: impl Into<#kind> });
        names.push(ident);
    }
    let idents = structure.fields.iter().filter_map(|field| field.ident.as_ref());
    let rest = idents.filter(|ident| !names.contains(ident));
    let wire = required.iter().filter_map(|member| member.value().as_str());
    let wire = wire.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
    let begins = match wire.as_str() {
        "" => "Begins without a member".to_owned(),
        _ => format!("Begins with the required {wire}"),
    };
    let about = format!("{begins}; the values are checked when they are sent.");
    Ok(quote! {
        #[doc = #about]
        #[must_use]
        pub fn new(#(#parameters),*) -> Self {
            Self { #(#names: #names.into(),)* #(#rest: ::std::default::Default::default()),* }
        }
    })
}

/// A consuming setter; of a map, it adds one entry.
fn setter(member: &Node<'_>, field: &Member<'_>) -> Result<TokenStream, SpecError> {
    let Member { ident, kind } = field;
    let method = format_ident!("with_{}", member.name());
    let about = member.resolved()?.find("description");
    let about = about.as_ref().map_or(Ok(""), Node::string)?;
    let about = about.trim_end();
    let arguments = arguments(kind);
    Ok(match (outer(kind).as_str(), arguments.as_slice()) {
        ("Option", [inner]) => {
            let (taken, value) = if is_number(inner) {
                (quote!(#inner), quote!(#ident))
            } else {
                (quote!(impl Into<#inner>), quote!(#ident.into()))
            };
            quote! {
                #[doc = #about]
                #[must_use]
                pub fn #method(mut self, #ident: #taken) -> Self {
                    self.#ident = Some(#value);
                    self
                }
            }
        }
        ("Map" | "HashMap", [key, value]) => quote! {
            #[doc = #about]
            ///
            /// Adds one entry; an entry of the same name is replaced.
            #[must_use]
            pub fn #method(mut self, name: impl Into<#key>, value: impl Into<#value>) -> Self {
                self.#ident.insert(name.into(), value.into());
                self
            }
        },
        (_, _) => quote! {
            #[doc = #about]
            #[must_use]
            pub fn #method(mut self, #ident: impl Into<#kind>) -> Self {
                self.#ident = #ident.into();
                self
            }
        },
    })
}

/// The calls into `src/check.rs` for the limits of one member.
fn check(
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
    for limit in UNCHECKED {
        if let Some(limit) = schema.find(limit) {
            return Err(limit.error("is a limit without a check; add one to build/requests.rs"));
        }
    }

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
    format!(
        "is a {kind} without a check; add one to src/check.rs, and its call to build/requests.rs"
    )
}

/// Refuses limits on a body as such, and on members that it does not list: the checks look at those
/// that it does.
fn reject_limits_on_the_whole(schema: &Node<'_>) -> Result<(), SpecError> {
    for limit in CHECKED.into_iter().chain(UNCHECKED) {
        if let Some(limit) = schema.find(limit) {
            return Err(limit.error("is a limit on the body as such, which nothing checks"));
        }
    }
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
        for limit in CHECKED.into_iter().chain(UNCHECKED) {
            if let Some(limit) = part.find(limit) {
                return Err(limit.error("is a limit within a member, which nothing checks"));
            }
        }
        reject_nested_limits(&part, seen)?;
    }
    Ok(())
}

/// A literal has no type of its own, so that a number is taken as it is.
fn is_number(kind: &Type) -> bool {
    matches!(outer(kind).as_str(), "i32" | "i64" | "u32" | "u64" | "f32" | "f64")
}

fn outer(kind: &Type) -> String {
    let Type::Path(path) = kind else { return String::new() };
    path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default()
}

fn arguments(kind: &Type) -> Vec<Type> {
    let Type::Path(path) = kind else { return Vec::new() };
    let Some(segment) = path.path.segments.last() else { return Vec::new() };
    let PathArguments::AngleBracketed(list) = &segment.arguments else { return Vec::new() };
    let types = list.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(kind) => Some(kind.clone()),
        _ => None,
    });
    types.collect()
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
