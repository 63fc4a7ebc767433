//! The spec as the tests read it: apart from `build/`, so that a mistake there shows.

use std::net::IpAddr;
use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use reqwest::Url;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Number, Value, json};

/// The document.
pub(crate) struct Spec {
    root: Value,
}

/// One operation of the document.
#[derive(Clone, Copy)]
pub(crate) struct Operation<'a> {
    spec: &'a Spec,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) node: &'a Value,
}

/// How a request carries the key: the header's name in lower case, and what precedes the key.
pub(crate) struct KeyHeader {
    pub(crate) name: String,
    pub(crate) prefix: &'static str,
}

/// The document beside the crate.
pub(crate) fn spec() -> &'static Spec {
    static SPEC: LazyLock<Spec> = LazyLock::new(|| {
        let documents = Yaml::load_from_str(include_str!("../../../openapi/esper.yaml"));
        Spec { root: json(&documents.expect("YAML")[0]) }
    });
    &SPEC
}

impl Spec {
    pub(crate) fn operations(&self) -> Vec<Operation<'_>> {
        let mut operations = Vec::new();
        for (path, item) in entries(&self.root["paths"]) {
            for (method, node) in entries(item) {
                if node.get("operationId").is_some() {
                    operations.push(Operation { spec: self, method, path, node });
                }
            }
        }
        operations
    }

    /// The operation that a request asks for.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<Operation<'_>> {
        let mut all = self.operations().into_iter();
        all.find(|known| known.method.eq_ignore_ascii_case(method) && known.path == path)
    }

    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, &Value)> {
        entries(&self.root["components"]["schemas"])
    }

    pub(crate) fn schema(&self, name: &str) -> &Value {
        let schema = &self.root["components"]["schemas"][name];
        assert!(schema.is_object(), "no schema {name}");
        schema
    }

    /// What a node refers to, or the node itself.
    pub(crate) fn resolved<'a>(&'a self, node: &'a Value) -> &'a Value {
        let Some(reference) = node.get("$ref") else { return node };
        let pointer = reference.as_str().and_then(|reference| reference.strip_prefix('#'));
        let target = pointer.and_then(|pointer| self.root.pointer(pointer));
        target.unwrap_or_else(|| panic!("{reference} refers to nothing"))
    }

    /// All that is wrong with a value by a schema of the document, or nothing.
    ///
    /// The contract lets the other side add members and asks to ignore them. Here both sides are
    /// ours, and a member that the spec does not know is one that it forgot or one misspelt.
    pub(crate) fn misfits(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut document = json!({ "allOf": [schema], "components": self.root["components"] });
        close(&mut document);
        let errors: Vec<_> = validator(&document)
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        errors
    }
}

impl<'a> Operation<'a> {
    pub(crate) fn id(&self) -> &'a str {
        self.node["operationId"].as_str().expect("an operationId")
    }

    /// The documented media types of the request's body with what is said of each.
    pub(crate) fn request(&self) -> Vec<(&'a str, &'a Value)> {
        let body = self.node.get("requestBody").map(|body| self.spec.resolved(body));
        body.map_or_else(Vec::new, |body| entries(&body["content"]).collect())
    }

    /// The first body that the document shows.
    pub(crate) fn example(&self) -> Option<&'a Value> {
        let (_, media) = *self.request().first()?;
        entries(media.get("examples")?).map(|(_, example)| &example["value"]).next()
    }

    /// The documented answer for a status, under its name there: `404`, or `4XX`.
    pub(crate) fn response(&self, status: u16) -> Option<(&'a str, &'a Value)> {
        let names = [status.to_string(), format!("{}XX", status / 100)];
        names.iter().find_map(|name| self.responses().find(|(known, _)| known == name))
    }

    pub(crate) fn responses(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        let spec = self.spec;
        entries(&self.node["responses"]).map(move |(name, node)| (name, spec.resolved(node)))
    }

    /// The header parameters, the only ones that the document has.
    pub(crate) fn headers(&self) -> Vec<(&'a str, &'a Value)> {
        let list = self.node.get("parameters").and_then(Value::as_array);
        let parameters = list.into_iter().flatten().map(|node| self.spec.resolved(node));
        let headers = parameters.map(|parameter| {
            assert_eq!(parameter["in"], "header", "teach the tests: {parameter}");
            (parameter["name"].as_str().expect("a name"), parameter)
        });
        headers.collect()
    }

    pub(crate) fn key(&self) -> KeyHeader {
        let security = self.node.get("security").unwrap_or(&self.spec.root["security"]);
        let scheme = security[0].as_object().and_then(|scheme| scheme.keys().next());
        let scheme = scheme.expect("a security scheme");
        let scheme = &self.spec.root["components"]["securitySchemes"][scheme];
        match (scheme["type"].as_str(), scheme["scheme"].as_str(), scheme["in"].as_str()) {
            (Some("http"), Some("bearer"), _) => {
                KeyHeader { name: "authorization".to_owned(), prefix: "Bearer " }
            }
            (Some("apiKey"), _, Some("header")) => {
                let name = scheme["name"].as_str().expect("a name").to_ascii_lowercase();
                KeyHeader { name, prefix: "" }
            }
            _ => panic!("teach the tests: {scheme}"),
        }
    }
}

/// The entries of a mapping, or none where there is no mapping.
pub(crate) fn entries(node: &Value) -> impl Iterator<Item = (&str, &Value)> {
    node.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// OpenAPI 3.0 means Draft 4 in the words that the document uses; the formats are checked, and
/// one without a check here makes the schema invalid.
fn validator(document: &Value) -> Validator {
    jsonschema::options()
        .with_draft(Draft::Draft4)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_format("ip", |text: &str| text.parse::<IpAddr>().is_ok())
        .with_format("uri", |text: &str| Url::parse(text).is_ok())
        .with_format("uuid", |text: &str| uuid::Uuid::try_parse(text).is_ok())
        // About numbers, which no check of a format sees; their type says enough.
        .with_format("int64", |_: &str| true)
        .with_format("double", |_: &str| true)
        .build(document)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Forbids members beside those that are listed, wherever members are listed.
fn close(node: &mut Value) {
    match node {
        Value::Object(map) => {
            let lists_members = map.get("type").is_some_and(|kind| kind == "object")
                && map.contains_key("properties");
            if lists_members {
                map.entry("additionalProperties").or_insert(false.into());
            }
            map.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

fn json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => Value::Bool(*value),
        Yaml::Value(Scalar::Integer(value)) => Value::from(*value),
        Yaml::Value(Scalar::FloatingPoint(value)) => {
            Value::Number(Number::from_f64(value.into_inner()).expect("finite"))
        }
        Yaml::Value(Scalar::String(value)) => Value::String(value.to_string()),
        Yaml::Sequence(items) => Value::Array(items.iter().map(json).collect()),
        Yaml::Mapping(mapping) => {
            let entries = mapping.iter().map(|(key, value)| {
                let name = json(key);
                (name.as_str().map_or_else(|| name.to_string(), str::to_owned), json(value))
            });
            Value::Object(entries.collect::<Map<_, _>>())
        }
        other => panic!("the document has no {other:?}"),
    }
}
