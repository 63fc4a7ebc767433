//! The generator and its settings.

use std::panic;

use openapiv3::{AnySchema, OpenAPI, PathItem, ReferenceOr, Schema, SchemaData, SchemaKind};
use progenitor::{GenerationSettings, Generator, HooksMode, InterfaceStyle, TypePatch};
use quote::{ToTokens, quote};
use serde_json::Value;

use crate::generated::types_mut;
use crate::operations::operations;
use crate::schemas;
use crate::spec::{Node, Spec, SpecError};

/// Generates the client and its types.
pub(crate) fn generate(spec: &Spec) -> Result<syn::File, SpecError> {
    check_parts(spec)?;
    let mut document = spec.root().value().clone();
    strip_constraints(&mut document);
    drop_error_responses(&mut document);
    let document = serde_json::from_value(document)
        .map_err(|error| spec.root().error(format!("is not OpenAPI 3.0: {error}")))?;

    let mut code = run(&settings(spec)?, &document).map_err(|what| {
        failing_part(spec, &document).error(format!("cannot be generated: {what}"))
    })?;
    schemas::check_names(spec, &code)?;
    remove_api_version_header(&mut code);
    derive_json_schema(&mut code);
    Ok(code)
}

fn settings(spec: &Spec) -> Result<GenerationSettings, SpecError> {
    let mut settings = GenerationSettings::new();
    settings
        .with_interface(InterfaceStyle::Positional)
        .with_hooks(HooksMode::Expected)
        .with_inner_type(quote! { ::std::sync::Arc<crate::call::Call> });
    for schema in schemas::named(spec)? {
        // A structure may grow without breaking its users. An enumeration is closed on purpose:
        // a new action fails to compile wherever it has to be handled.
        if schema.find("enum").is_none() {
            let mut patch = TypePatch::default();
            patch.with_attr("#[non_exhaustive]").with_derive("PartialEq");
            settings.with_patch(schema.name(), &patch);
        }
    }
    Ok(settings)
}

/// Runs the generator, which reports some mistakes as errors and others as panics.
fn run(settings: &GenerationSettings, document: &OpenAPI) -> Result<syn::File, String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(|| Generator::new(settings).generate_tokens(document));
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
    let settings = settings(spec).unwrap_or_default();
    let schemas = schemas::named(spec).unwrap_or_default().into_iter();
    let paths = spec.root().get("paths").and_then(|paths| paths.entries()).unwrap_or_default();
    let without = |node: &Node<'_>| {
        let mut document = document.clone();
        let components = document.components.as_mut();
        if let Some(schema) = components.and_then(|all| all.schemas.get_mut(node.name())) {
            *schema = ReferenceOr::Item(anything());
        }
        document.paths.paths.shift_remove(node.name());
        run(&settings, &document).is_ok()
    };
    schemas.chain(paths).find(without).unwrap_or_else(|| spec.root())
}

fn anything() -> Schema {
    let schema_kind = SchemaKind::Any(AnySchema::default());
    Schema { schema_data: SchemaData::default(), schema_kind }
}

/// Leaves limits and formats to the checks: as types they would be newtypes, `IpAddr`s and
/// `NonZero`s, which no literal converts to. A default is what the server takes for a member that
/// is absent; as a type, it would be a member that is always sent.
fn strip_constraints(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let stripped: &[&str] = match map.get("type").and_then(Value::as_str) {
                Some("string") => &["default", "format", "minLength", "maxLength", "pattern"],
                Some(_) => &["default", "minimum", "maximum"],
                None => &[],
            };
            for key in stripped {
                map.remove(*key);
            }
            map.values_mut().for_each(strip_constraints);
        }
        Value::Array(list) => list.iter_mut().for_each(strip_constraints),
        _ => {}
    }
}

/// Hands every answer that is no success to the facade as it came, with its status and headers:
/// the generator's own errors lose them where the body is not the documented JSON.
fn drop_error_responses(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for operation in
        paths.values_mut().filter_map(Value::as_object_mut).flat_map(|p| p.values_mut())
    {
        if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            responses.retain(|status, _| status.starts_with('2'));
        }
    }
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
