//! The generator and its settings.

use std::panic;

use openapiv3::{AnySchema, OpenAPI, PathItem, ReferenceOr, Schema, SchemaData, SchemaKind};
use progenitor::{GenerationSettings, Generator, HooksMode, InterfaceStyle};
use quote::{ToTokens, quote};

use crate::document;
use crate::generated::types_mut;
use crate::operations::operations;
use crate::parameters;
use crate::schemas;
use crate::spec::{Node, Spec, SpecError};

/// Generates the client and its types.
pub(crate) fn generate(spec: &Spec) -> Result<syn::File, SpecError> {
    check_parts(spec)?;
    let document = serde_json::from_value(document::for_generator(spec))
        .map_err(|error| spec.root().error(format!("is not OpenAPI 3.0: {error}")))?;

    let mut code = run(&document).map_err(|what| {
        failing_part(spec, &document).error(format!("cannot be generated: {what}"))
    })?;
    schemas::check_names(spec, &code)?;
    parameters::check_names(spec, &code)?;
    remove_api_version_header(&mut code);
    leave_open(&mut code);
    take_null_for_nothing(&mut code);
    derive_json_schema(&mut code);
    Ok(code)
}

fn settings() -> GenerationSettings {
    let mut settings = GenerationSettings::new();
    settings
        .with_interface(InterfaceStyle::Positional)
        .with_hooks(HooksMode::Expected)
        .with_inner_type(quote! { ::std::sync::Arc<crate::call::CallState> })
        .with_derive("PartialEq");
    settings
}

/// Runs the generator, which reports some mistakes as errors and others as panics.
fn run(document: &OpenAPI) -> Result<syn::File, String> {
    let settings = settings();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(|| Generator::new(&settings).generate_tokens(document));
    panic::set_hook(hook);
    let tokens = result.map_err(panic_message)?.map_err(|error| error.to_string())?;
    syn::parse2(tokens).map_err(|error| error.to_string())
}

fn panic_message(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the generator does not know such a thing").to_owned()
}

/// Parses the parts one by one: of the whole, the parser would say only that something is wrong.
fn check_parts(spec: &Spec) -> Result<(), SpecError> {
    schemas::check(spec)?;
    parameters::check(spec)?;
    for item in spec.root().get("paths")?.entries()? {
        parsed::<ReferenceOr<PathItem>>(&item)?;
    }
    for schema in schemas::named(spec)? {
        parsed::<ReferenceOr<Schema>>(&schema)?;
        check_required(&schema)?;
    }
    for operation in operations(spec)? {
        operation.node.get("operationId")?;
    }
    Ok(())
}

/// The generator would make a member of a name that only `required` has.
fn check_required(schema: &Node<'_>) -> Result<(), SpecError> {
    let Some(required) = schema.find("required") else { return Ok(()) };
    let properties = schema.get("properties")?;
    for member in required.items()? {
        if properties.find(member.string()?).is_none() {
            return Err(member.error("is not among the properties"));
        }
    }
    Ok(())
}

fn parsed<T: serde::de::DeserializeOwned>(node: &Node<'_>) -> Result<(), SpecError> {
    serde_json::from_value::<T>(node.value().clone())
        .map(drop)
        .map_err(|error| node.error(format!("is not OpenAPI 3.0: {error}")))
}

/// The smallest part without which the document can be generated, or else the document.
fn failing_part<'a>(spec: &'a Spec, document: &OpenAPI) -> Node<'a> {
    let schemas = schemas::named(spec).unwrap_or_default().into_iter();
    let paths = spec.root().get("paths").and_then(|paths| paths.entries()).unwrap_or_default();
    let without = |node: &Node<'_>| {
        let mut document = document.clone();
        let components = document.components.as_mut();
        if let Some(schema) = components.and_then(|all| all.schemas.get_mut(node.name())) {
            *schema = ReferenceOr::Item(anything());
        }
        document.paths.paths.shift_remove(node.name());
        run(&document).is_ok()
    };
    schemas.chain(paths).find(without).unwrap_or_else(|| spec.root())
}

fn anything() -> Schema {
    let schema_kind = SchemaKind::Any(AnySchema::default());
    Schema { schema_data: SchemaData::default(), schema_kind }
}

/// Takes off the header that the generator adds to every request; Esper knows nothing of it.
fn remove_api_version_header(code: &mut syn::File) {
    for item in &mut code.items {
        let syn::Item::Impl(implementation) = item else { continue };
        for item in &mut implementation.items {
            let syn::ImplItem::Fn(method) = item else { continue };
            let statements = &mut method.block.stmts;
            let before = statements.len();
            statements.retain(|statement| !adds_api_version(statement));
            if statements.len() < before {
                statements.iter_mut().for_each(drop_header_capacity);
            }
        }
    }
}

fn adds_api_version(statement: &syn::Stmt) -> bool {
    let syn::Stmt::Expr(syn::Expr::MethodCall(call), _) = statement else { return false };
    call.method == "append" && call.to_token_stream().to_string().contains("\"api-version\"")
}

/// The map of headers need not have room for a header that is not added.
fn drop_header_capacity(statement: &mut syn::Stmt) {
    let syn::Stmt::Local(local) = statement else { return };
    let Some(init) = &mut local.init else { return };
    let text = init.expr.to_token_stream().to_string();
    if text.contains("HeaderMap") && text.contains("with_capacity") {
        *init.expr = syn::parse_quote! { ::reqwest::header::HeaderMap::new() };
    }
}

/// Leaves room for members and alternatives that are yet to come. An enumeration of names is closed
/// on purpose: a new action fails to compile wherever it has to be handled.
fn leave_open(code: &mut syn::File) {
    let has_content = |variant: &syn::Variant| !variant.fields.is_empty();
    for item in types_mut(code) {
        match item {
            syn::Item::Struct(structure) => structure.attrs.push(non_exhaustive()),
            syn::Item::Enum(alternatives) if alternatives.variants.iter().any(has_content) => {
                alternatives.attrs.push(non_exhaustive());
            }
            _ => {}
        }
    }
}

fn non_exhaustive() -> syn::Attribute {
    syn::parse_quote! { #[non_exhaustive] }
}

/// Reads `null` as no entries, as the generator reads it as no value elsewhere: many a server writes it
/// for what is absent, and a decision must not get lost over it.
fn take_null_for_nothing(code: &mut syn::File) {
    for item in types_mut(code) {
        let syn::Item::Struct(structure) = item else { continue };
        for field in &mut structure.fields {
            // What is left out where it is empty.
            if field.attrs.iter().any(|it| it.to_token_stream().to_string().contains("is_empty")) {
                field.attrs.push(syn::parse_quote! {
                    #[serde(deserialize_with = "super::null_as_nothing")]
                });
            }
        }
    }
    code.items.push(syn::parse_quote! {
        fn null_as_nothing<'de, D, T>(deserializer: D) -> ::std::result::Result<T, D::Error>
        where
            D: ::serde::Deserializer<'de>,
            T: ::serde::Deserialize<'de> + ::std::default::Default,
        {
            <::std::option::Option<T> as ::serde::Deserialize>::deserialize(deserializer)
                .map(::std::option::Option::unwrap_or_default)
        }
    });
}

/// Derives JSON Schemas for whoever asks for them by a feature: nobody else compiles what that takes.
fn derive_json_schema(code: &mut syn::File) {
    let attribute: syn::Attribute =
        syn::parse_quote! { #[cfg_attr(feature = "schemars", derive(::schemars::JsonSchema))] };
    for item in types_mut(code) {
        match item {
            syn::Item::Struct(structure) => structure.attrs.push(attribute.clone()),
            syn::Item::Enum(enumeration) => enumeration.attrs.push(attribute.clone()),
            _ => {}
        }
    }
}
