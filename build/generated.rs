//! Generated code: how it is read, and how it is written.

use std::path::Path;
use std::{env, fs};

use proc_macro2::TokenStream;
use syn::{
    Expr, Field, GenericArgument, Ident, Item, ItemStruct, LitStr, PathArguments, Token, Type,
};

use crate::spec::{Node, SpecError};

/// A member of a generated structure.
pub(crate) struct Member<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) kind: &'a Type,
}

pub(crate) fn parse(code: TokenStream) -> Result<syn::File, SpecError> {
    syn::parse2(code)
        .map_err(|error| SpecError::new("build.rs", format!("emitted no Rust: {error}")))
}

/// Writes a file that the crate includes.
pub(crate) fn write(name: &str, code: &syn::File) -> Result<(), SpecError> {
    let folder = env::var_os("OUT_DIR").unwrap_or_default();
    let path = Path::new(&folder).join(name);
    fs::write(&path, prettyplease::unparse(code)).map_err(|error| {
        SpecError::new(&path.display().to_string(), format!("cannot be written: {error}"))
    })
}

/// The generated types.
pub(crate) fn types(bindings: &syn::File) -> &[Item] {
    let types = bindings.items.iter().find_map(|item| match item {
        Item::Mod(module) if module.ident == "types" => module.content.as_ref(),
        _ => None,
    });
    types.map_or(&[], |(_, items)| items)
}

pub(crate) fn types_mut(bindings: &mut syn::File) -> &mut [Item] {
    let types = bindings.items.iter_mut().find_map(|item| match item {
        Item::Mod(module) if module.ident == "types" => module.content.as_mut(),
        _ => None,
    });
    types.map_or(&mut [], |(_, items)| items)
}

/// The structure that is made of a schema; of `IPReport`, that is `IpReport`.
pub(crate) fn structure<'a>(bindings: &'a syn::File, schema: &str) -> Option<&'a ItemStruct> {
    let structures = || {
        types(bindings).iter().filter_map(|item| match item {
            Item::Struct(structure) => Some(structure),
            _ => None,
        })
    };
    let named = structures().find(|structure| structure.ident == schema);
    named.or_else(|| structures().find(|it| plain(&it.ident.to_string()) == plain(schema)))
}

/// The fields of a generated type, of all its variants; none, where it is not generated.
pub(crate) fn fields<'a>(bindings: &'a syn::File, name: &str) -> Vec<&'a Field> {
    let fields = types(bindings).iter().flat_map(|item| match item {
        Item::Struct(it) if it.ident == name => it.fields.iter().collect(),
        Item::Enum(it) if it.ident == name => {
            it.variants.iter().flat_map(|variant| &variant.fields).collect()
        }
        _ => Vec::new(),
    });
    fields.collect()
}

/// A name without what its spelling in Rust may change.
pub(crate) fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// The member that has this name in JSON.
pub(crate) fn member<'a>(structure: &'a ItemStruct, name: &str) -> Option<Member<'a>> {
    let field = structure.fields.iter().find(|field| wire_name(field).as_deref() == Some(name))?;
    Some(Member { ident: field.ident.as_ref()?, kind: &field.ty })
}

/// The member that is made of one of the document.
pub(crate) fn member_of<'a>(
    structure: &'a ItemStruct,
    node: &Node<'_>,
) -> Result<Member<'a>, SpecError> {
    let found = member(structure, node.name());
    found.ok_or_else(|| node.error("has no field in the generated type"))
}

/// The name of a field in JSON: that of `serde(rename = …)`, or its own.
pub(crate) fn wire_name(field: &Field) -> Option<String> {
    let mut name = field.ident.as_ref()?.to_string();
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let read = attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("rename") {
                name = meta.value()?.parse::<LitStr>()?.value();
            } else if meta.input.peek(Token![=]) {
                meta.value()?.parse::<Expr>()?;
            }
            Ok(())
        });
        read.ok()?;
    }
    Some(name)
}

/// The last word of a type: `Option` of `::std::option::Option<T>`.
pub(crate) fn outer(kind: &Type) -> String {
    let Type::Path(path) = kind else { return String::new() };
    path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default()
}

/// The types in the angle brackets of a type.
pub(crate) fn arguments(kind: &Type) -> Vec<Type> {
    let Type::Path(path) = kind else { return Vec::new() };
    let Some(segment) = path.path.segments.last() else { return Vec::new() };
    let PathArguments::AngleBracketed(list) = &segment.arguments else { return Vec::new() };
    let types = list.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(kind) => Some(kind.clone()),
        _ => None,
    });
    types.collect()
}
