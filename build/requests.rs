//! What users call on the generated types of requests: a constructor, a setter for each member,
//! and the check of the limits that the document puts on them.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, ItemStruct, Type};

use crate::generated::{self, Member, arguments, member_of, outer, parse, structure};
use crate::limits;
use crate::operations::operations;
use crate::schemas::COMPOSITIONS;
use crate::spec::{Node, Spec, SpecError};

/// Emits `new`, `with_<member>` and `check` for the body of every operation, and the first two for the
/// objects within it: without them, nobody outside of the crate could make one.
pub(crate) fn methods(spec: &Spec, bindings: &syn::File) -> Result<syn::File, SpecError> {
    let mut bodies: Vec<(Node<'_>, &ItemStruct)> = Vec::new();
    for operation in operations(spec)? {
        let Some(body) = operation.node.find("requestBody") else { continue };
        let schema = body.resolved()?.get("content")?.get("application/json")?.get("schema")?;
        if schema.find("$ref").is_none() {
            return Err(schema.error("must be a `$ref` to components > schemas"));
        }
        let schema = schema.resolved()?;
        let structure = structure(bindings, schema.name())
            .ok_or_else(|| schema.error("the body of a request must be an object with members"))?;
        if bodies.iter().all(|(_, other)| other.ident != structure.ident) {
            bodies.push((schema, structure));
        }
    }
    let mut made = bodies.iter().map(|(_, structure)| &structure.ident).collect();
    let mut blocks = Vec::new();
    for (schema, structure) in bodies {
        let check = limits::check(&schema, structure, bindings)?;
        blocks.push(block(&schema, structure, check)?);
        parts(&schema, structure, bindings, &mut made, &mut blocks)?;
    }
    parse(quote! { #(#blocks)* })
}

/// A constructor and setters, and what else there is.
fn block(
    schema: &Node<'_>,
    structure: &ItemStruct,
    further: TokenStream,
) -> Result<TokenStream, SpecError> {
    let name = &structure.ident;
    let new = constructor(schema, structure)?;
    let mut setters = Vec::new();
    for member in schema.get("properties")?.entries()? {
        member.snake_name()?;
        setters.push(setter(&member, &member_of(structure, &member)?)?);
    }
    Ok(quote! { impl #name { #new #(#setters)* #further } })
}

/// The blocks of the objects within a structure, which have no limits to check.
fn parts<'a>(
    schema: &Node<'_>,
    structure: &ItemStruct,
    bindings: &'a syn::File,
    made: &mut Vec<&'a Ident>,
    blocks: &mut Vec<TokenStream>,
) -> Result<(), SpecError> {
    for member in schema.get("properties")?.entries()? {
        let kind = member_of(structure, &member)?.kind;
        let Some((schema, part)) = part(&member, kind, bindings)? else { continue };
        if !made.contains(&&part.ident) {
            made.push(&part.ident);
            blocks.push(block(&schema, part, TokenStream::new())?);
            parts(&schema, part, bindings, made, blocks)?;
        }
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
    schema.find("properties").is_some()
        && COMPOSITIONS.iter().all(|key| schema.find(key).is_none())
        && !schema.is_true("nullable")
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

/// A literal has no type of its own, so that a number is taken as it is.
fn is_number(kind: &Type) -> bool {
    matches!(outer(kind).as_str(), "i32" | "i64" | "u32" | "u64" | "f32" | "f64")
}
