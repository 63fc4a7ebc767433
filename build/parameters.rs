//! What the document must not say of a parameter: the generator would leave it out, send it otherwise,
//! or write code that no compiler takes.

use std::collections::BTreeMap;

use quote::ToTokens;

use crate::operations::{Operation, TAKEN, header_name, operations};
use crate::spec::{Node, Spec, SpecError};

/// Looks at the parameters of every operation, before anything is generated of them.
pub(crate) fn check(spec: &Spec) -> Result<(), SpecError> {
    let mut keys = Vec::new();
    let components = spec.root().get("components")?;
    for scheme in components.find("securitySchemes").iter().flat_map(Node::children) {
        keys.extend(scheme.find("name").map(|name| header_name(&name)).transpose()?);
    }
    operations(spec)?.iter().try_for_each(|operation| check_operation(operation, &keys))
}

fn check_operation(operation: &Operation<'_>, keys: &[String]) -> Result<(), SpecError> {
    let named = in_braces(operation.item.name());
    let mut places = BTreeMap::new();
    for parameter in parameters(operation)? {
        let (name, place) = (parameter.get("name")?, parameter.get("in")?);
        match place.string()? {
            "path" => check_path(&parameter, &named)?,
            "query" => check_query(&parameter)?,
            "header" => check_header(&parameter, keys)?,
            _ => return Err(place.error("must be `path`, `query` or `header`")),
        }
        // The operation's own takes the place of the path's.
        let place = place.string()?;
        if places.insert(name.string()?, place).is_some_and(|other| other != place) {
            return Err(name.error("names a second parameter, of which only one would be sent"));
        }
    }
    let declared = |name: &&str| places.get(*name) == Some(&"path");
    match named.iter().find(|name| !declared(name)) {
        Some(name) => {
            Err(operation.node.error(format!("has no parameter `{name}`, which is in its path")))
        }
        None => Ok(()),
    }
}

/// The parameters of the path, and then the operation's own.
fn parameters<'a>(operation: &Operation<'a>) -> Result<Vec<Node<'a>>, SpecError> {
    let mut parameters = Vec::new();
    for node in [&operation.item, &operation.node] {
        if let Some(list) = node.find("parameters") {
            for parameter in list.items()? {
                parameters.push(parameter.resolved()?);
            }
        }
    }
    Ok(parameters)
}

fn check_path(parameter: &Node<'_>, named: &[&str]) -> Result<(), SpecError> {
    let name = parameter.get("name")?;
    if !named.contains(&name.string()?) {
        return Err(name.error("is not in the path"));
    }
    if !parameter.is_true("required") {
        return Err(parameter.error("is a part of the path, so it must be `required: true`"));
    }
    check_is_scalar(parameter)
}

fn check_header(parameter: &Node<'_>, keys: &[String]) -> Result<(), SpecError> {
    let name = parameter.get("name")?;
    let header = header_name(&name)?;
    if TAKEN.contains(&header.as_str()) || keys.contains(&header) {
        return Err(name.error("is a header that is sent without a parameter"));
    }
    check_is_scalar(parameter)
}

fn check_query(parameter: &Node<'_>) -> Result<(), SpecError> {
    match parameter.find("explode") {
        Some(explode) if !parameter.is_true("explode") && kind(parameter)? == "array" => {
            Err(explode.error("must be `true`: each item is sent by itself, as in `a=1&a=2`"))
        }
        _ => kind(parameter).map(drop),
    }
}

fn check_is_scalar(parameter: &Node<'_>) -> Result<(), SpecError> {
    match kind(parameter)? {
        "array" | "object" => Err(parameter
            .get("schema")?
            .error("must be of one plain value, unless `in` is `query`")),
        _ if parameter.get("schema")?.resolved()?.is_true("nullable") => {
            Err(parameter.get("schema")?.error("cannot be `nullable`: there is no way to write it"))
        }
        _ => Ok(()),
    }
}

/// The type of a parameter, where its schema says one.
fn kind<'a>(parameter: &Node<'a>) -> Result<&'a str, SpecError> {
    let kind = parameter.get("schema")?.resolved()?.find("type");
    kind.map_or(Ok(""), |kind| kind.string())
}

/// The names of the parameters in a path.
fn in_braces(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect()
}

/// Refuses parameters whose names are different in the document and the same in Rust.
pub(crate) fn check_names(spec: &Spec, bindings: &syn::File) -> Result<(), SpecError> {
    let implementations = bindings.items.iter().filter_map(|item| match item {
        syn::Item::Impl(implementation) => Some(&implementation.items),
        _ => None,
    });
    for item in implementations.flatten() {
        let syn::ImplItem::Fn(method) = item else { continue };
        let mut known = Vec::new();
        for argument in &method.sig.inputs {
            let syn::FnArg::Typed(argument) = argument else { continue };
            let argument = argument.pat.to_token_stream().to_string();
            if known.contains(&argument) {
                let name = method.sig.ident.to_string();
                return Err(place(spec, &name).error(format!(
                    "has two parameters with the same name in Rust, `{argument}`"
                )));
            }
            known.push(argument);
        }
    }
    Ok(())
}

/// The operation of which a method is made.
fn place<'a>(spec: &'a Spec, method: &str) -> Node<'a> {
    let operations = operations(spec).unwrap_or_default().into_iter();
    let mut named = operations.filter(|operation| {
        operation.node.find("operationId").is_some_and(|id| id.value() == method)
    });
    named.next().map_or_else(|| spec.root(), |operation| operation.node)
}
