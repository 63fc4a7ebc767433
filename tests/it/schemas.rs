//! The schemas of the spec, the examples in it and the public types say the same.

use std::collections::{BTreeMap, BTreeSet};

use esper_rs_client::{
    BeaconEvent, ChallengeData, ChallengeProof, MitigationAction, MitigationRequest,
    MitigationResponse, UsageStats,
};
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::contract::spec::{Spec, entries, spec};

/// A public type with the name that its schema has.
struct PublicType {
    name: &'static str,
    round_trip: fn(&Value) -> Value,
    schema: fn() -> Value,
}

/// All public types that are made from the spec.
fn public_types() -> Vec<PublicType> {
    fn public<T: DeserializeOwned + Serialize + JsonSchema>(name: &'static str) -> PublicType {
        let round_trip = |value: &Value| {
            let read: T = serde_json::from_value(value.clone())
                .unwrap_or_else(|error| panic!("{error}: {value}"));
            serde_json::to_value(read).expect("JSON")
        };
        PublicType { name, round_trip, schema: || schema_for!(T).to_value() }
    }
    vec![
        public::<BeaconEvent>("BeaconEvent"),
        public::<ChallengeData>("ChallengeData"),
        public::<ChallengeProof>("ChallengeProof"),
        public::<MitigationAction>("MitigationAction"),
        public::<MitigationRequest>("MitigationRequest"),
        public::<MitigationResponse>("MitigationResponse"),
        public::<UsageStats>("UsageStats"),
    ]
}

#[test]
fn every_schema_is_public_or_known_to_be_plumbing() {
    let mut names: BTreeSet<_> = public_types().iter().map(|public| public.name).collect();
    names.extend(["ChallengeVerification", "ErrorBody", "VerificationResult"]);
    assert_eq!(names, spec().schemas().map(|(name, _)| name).collect());
}

#[test]
fn every_example_fits_its_schema_and_comes_back_from_its_type_unchanged() {
    let mut examples = examples(spec());
    let types = public_types();
    for (name, schema) in spec().schemas() {
        let composed = examples.entry(name.to_owned()).or_default();
        composed.push(compose(spec(), schema));
        for example in composed {
            let misfits = spec().misfits(schema, example);
            assert!(misfits.is_empty(), "{name}: {misfits:?} in {example}");
            if let Some(public) = types.iter().find(|public| public.name == name) {
                let back = (public.round_trip)(example);
                assert!(same(example, &back), "{name}: {example} came back as {back}");
            }
        }
    }
    let count: usize = examples.values().map(Vec::len).sum();
    assert!(count > spec().schemas().count() + 10, "{examples:?}");
}

/// The examples of all bodies, by the name of their schema.
fn examples(spec: &Spec) -> BTreeMap<String, Vec<Value>> {
    let mut examples = BTreeMap::<_, Vec<_>>::new();
    for operation in spec.operations() {
        let answers = operation.responses().flat_map(|(_, response)| entries(&response["content"]));
        for (_, media) in operation.request().into_iter().chain(answers) {
            let reference = media["schema"]["$ref"].as_str().expect("a reference");
            let name = reference.rsplit('/').next().expect("a name");
            let values = entries(&media["examples"]).map(|(_, example)| example["value"].clone());
            let before = examples.entry(name.to_owned()).or_default();
            let count = before.len();
            before.extend(values);
            assert!(before.len() > count, "no example: {} {media}", operation.id());
        }
    }
    examples
}

/// The example of a schema: its own, or one with all of its members.
fn compose(spec: &Spec, schema: &Value) -> Value {
    let schema = spec.resolved(schema);
    if let Some(example) = schema.get("example") {
        return example.clone();
    }
    assert!(schema.get("properties").is_some(), "no example: {schema}");
    let members = entries(&schema["properties"]);
    members.map(|(name, schema)| (name.to_owned(), compose(spec, schema))).collect()
}

/// Whether two values are equal, where 4 and 4.0 are the same number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let equal = |(name, value)| other.get(name).is_some_and(|other| same(value, other));
            one.len() == other.len() && one.iter().all(equal)
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (one, other) => one == other,
    }
}

#[test]
fn every_public_type_has_the_members_of_its_schema_and_no_others() {
    for public in public_types() {
        let (name, derived) = (public.name, (public.schema)());
        let documented = outline(spec().schema(name), &|node| spec().resolved(node));
        let derived = outline(&derived, &|node| match node["$ref"].as_str() {
            Some(reference) => derived.pointer(&reference[1..]).expect("a definition"),
            None => node,
        });
        assert_eq!(documented, derived, "{name}: the spec is on the left");
    }
}

/// What two schemas must have in common to describe the same JSON, with references followed.
///
/// Not limits and formats of strings, which are left to the checks of requests.
fn outline<'a>(node: &'a Value, resolve: &dyn Fn(&'a Value) -> &'a Value) -> Value {
    // To schemars, an optional member is one that is there or null. The required members tell.
    let alternatives = node["anyOf"].as_array().into_iter().flatten();
    let mut alternatives = alternatives.filter(|node| node["type"] != "null");
    let node = resolve(alternatives.next().unwrap_or(node));
    assert!(alternatives.next().is_none(), "teach the tests: {node}");
    for keyword in entries(node).map(|(keyword, _)| keyword) {
        assert!(KEYWORDS.contains(&keyword), "teach the tests {keyword}: {node}");
    }

    let types = match &node["type"] {
        Value::Array(types) => types.iter().filter(|kind| *kind != "null").collect(),
        Value::Null => Vec::new(),
        kind => vec![kind],
    };
    let set = |list: &Value| {
        let items = list.as_array().into_iter().flatten();
        items.map(|item| item.as_str().expect("a string").to_owned()).collect::<BTreeSet<_>>()
    };
    let members = entries(&node["properties"]);
    let members: Map<_, _> =
        members.map(|(name, node)| (name.to_owned(), outline(node, resolve))).collect();
    let others = match node.get("additionalProperties") {
        None => json!("ignored"),
        Some(Value::Bool(allowed)) => json!(allowed),
        Some(node) => outline(node, resolve),
    };
    let number = ["integer", "number"]
        .contains(&types.first().map_or("", |kind| kind.as_str().unwrap_or("")));
    let format = if number { &node["format"] } else { &Value::Null };
    json!({
        "types": types,
        "enum": set(&node["enum"]),
        "required": set(&node["required"]),
        "members": members,
        "others": others,
        "format": format,
    })
}

// The linter asks for the same; it needs Node, which is not everywhere.
#[test]
fn everything_that_has_a_name_in_the_spec_is_described() {
    let mut silent = Vec::new();
    let mut check = |place: String, node: &Value| {
        let description = spec().resolved(node)["description"].as_str();
        if description.is_none_or(|text| text.trim().is_empty()) {
            silent.push(place);
        }
    };
    for (name, schema) in spec().schemas() {
        check(name.to_owned(), schema);
        for (member, schema) in entries(&schema["properties"]) {
            check(format!("{name}.{member}"), schema);
        }
    }
    for operation in spec().operations() {
        let id = operation.id();
        check(id.to_owned(), operation.node);
        for (name, parameter) in operation.headers() {
            check(format!("{id} {name}"), parameter);
        }
        for (status, response) in operation.responses() {
            check(format!("{id} {status}"), response);
            for (name, header) in entries(&response["headers"]) {
                check(format!("{id} {status} {name}"), header);
            }
        }
        if let Some(body) = operation.node.get("requestBody") {
            check(format!("{id} body"), body);
        }
    }
    assert!(silent.is_empty(), "{silent:?}");
}

/// What is compared, and what need not be: texts, examples, and limits that no type can carry.
const KEYWORDS: [&str; 17] = [
    "type",
    "enum",
    "required",
    "properties",
    "additionalProperties",
    "format", //
    "$schema",
    "$defs",
    "title",
    "description",
    "example",
    "default",
    "minLength",
    "pattern",
    "minimum",
    "maximum",
    "$ref",
];
