//! The document as the generator gets it: without what it would make types of that nobody wants.

use serde_json::{Map, Value};

use crate::spec::Spec;

/// A part of the document that describes a value.
type Schema = Map<String, Value>;

pub(crate) fn for_generator(spec: &Spec) -> Value {
    let mut document = spec.root().value().clone();
    drop_error_responses(&mut document);
    for_each_schema(&mut document, &mut strip_constraints);
    inline_scalars(&mut document);
    document
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

/// Leaves limits and formats to the checks: as types they would be newtypes, `IpAddr`s and
/// `NonZero`s, which no literal converts to. A default is what the server takes for a member that
/// is absent; as a type, it would be a member that is always sent. That a structure is closed would
/// refuse an answer with a member that is yet to come.
fn strip_constraints(schema: &mut Schema) {
    let stripped: &[&str] = match schema.get("type").and_then(Value::as_str) {
        Some("string") => &["default", "format", "minLength", "maxLength", "pattern"],
        Some(_) => &["default", "minimum", "maximum"],
        None => &["default"],
    };
    for key in stripped {
        schema.remove(*key);
    }
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        schema.remove("additionalProperties");
    }
}

/// Puts text, numbers and booleans that have a name of their own where the name stands: as types
/// they would be newtypes too.
fn inline_scalars(document: &mut Value) {
    let mut scalars = Map::new();
    let schemas =
        |document: &mut Value| document.pointer_mut("/components/schemas").map(Value::take);
    let Some(Value::Object(mut named)) = schemas(document) else { return };
    // A name may stand for another one.
    loop {
        let known = scalars.len();
        named.retain(|name, schema| {
            let aliased = schema.get("$ref").and_then(Value::as_str);
            let scalar = match aliased.and_then(|reference| scalars.get(reference)) {
                Some(scalar) => Some(scalar.clone()),
                None => is_scalar(schema).then(|| schema.clone()),
            };
            let found = scalar.map(|scalar| scalars.insert(format!("{SCHEMAS}{name}"), scalar));
            found.is_none()
        });
        if scalars.len() == known {
            break;
        }
    }
    document["components"]["schemas"] = Value::Object(named);
    for_each_schema(document, &mut |schema| {
        let reference = schema.get("$ref").and_then(Value::as_str);
        if let Some(Value::Object(scalar)) = reference.and_then(|name| scalars.get(name)) {
            *schema = scalar.clone();
        }
    });
}

/// Whether a schema is of one plain value, of which there are not just a few.
fn is_scalar(schema: &Value) -> bool {
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    ["boolean", "integer", "number", "string"].contains(&kind) && schema.get("enum").is_none()
}

/// Changes every schema of the document, those within others too.
fn for_each_schema(part: &mut Value, change: &mut impl FnMut(&mut Schema)) {
    match part {
        Value::Object(map) => {
            for (key, part) in map {
                match key.as_str() {
                    "schema" => change_schema(part, change),
                    "schemas" => children(part).for_each(|schema| change_schema(schema, change)),
                    "example" | "examples" => {}
                    _ => for_each_schema(part, change),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|part| for_each_schema(part, change)),
        _ => {}
    }
}

fn change_schema(schema: &mut Value, change: &mut impl FnMut(&mut Schema)) {
    let Value::Object(map) = schema else { return };
    change(map);
    for (key, part) in map {
        match key.as_str() {
            "additionalProperties" | "items" | "not" => change_schema(part, change),
            "properties" | "allOf" | "anyOf" | "oneOf" => {
                children(part).for_each(|schema| change_schema(schema, change));
            }
            _ => {}
        }
    }
}

/// The entries of a mapping or the items of a list.
fn children(value: &mut Value) -> Box<dyn Iterator<Item = &mut Value> + '_> {
    match value {
        Value::Object(map) => Box::new(map.values_mut()),
        Value::Array(list) => Box::new(list.iter_mut()),
        _ => Box::new(std::iter::empty()),
    }
}

const SCHEMAS: &str = "#/components/schemas/";
