//! The starters and the schema as files.

use std::fs;
use std::path::Path;

use esper_sandbox::{Rehearsal, STARTER_POLICIES, check_policies, policy_schema};
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::from_str(&policy_schema()).expect("a schema")
}

fn as_json(text: &str) -> Value {
    let table: toml::Table = toml::from_str(text).expect("TOML");
    serde_json::to_value(table).expect("JSON")
}

#[test]
fn the_starters_have_no_mistake_and_fit_the_schema() {
    assert_eq!(check_policies(STARTER_POLICIES), Ok(()));
    let validator = jsonschema::validator_for(&schema()).expect("a schema that is one");
    let errors: Vec<_> =
        validator.iter_errors(&as_json(STARTER_POLICIES)).map(|e| e.to_string()).collect();
    assert_eq!(errors, [""; 0]);
}

#[test]
fn the_example_in_the_readme_has_no_mistake_and_fits_the_schema() {
    let readme = include_str!("../../README.md");
    let (_, example) = readme.split_once("```toml\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    assert_eq!(check_policies(example), Ok(()));
    let validator = jsonschema::validator_for(&schema()).expect("a schema that is one");
    assert!(validator.is_valid(&as_json(example)));
}

#[test]
fn the_schema_refuses_what_the_types_refuse() {
    let validator = jsonschema::validator_for(&schema()).expect("a schema that is one");
    let with = |condition: &str, mitigation: &str| {
        as_json(&format!(
            "[[policy]]\nname = \"p\"\nmatch = {condition}\nmitigation = {mitigation}"
        ))
    };
    let (path, block) = (r#"{ field = "path", equals = "/" }"#, r#"{ action = "block" }"#);
    assert!(validator.is_valid(&with(path, block)));
    for (condition, mitigation) in [
        ("{}", block),
        (r#"{ field = "path" }"#, block),
        (r#"{ field = "path", equals = "/", glob = "/" }"#, block),
        (r#"{ all = [], field = "path" }"#, block),
        (r#"{ not = { field = "path", is = "/" } }"#, block),
        (path, r#"{ action = "deny" }"#),
        (path, r#"{ action = "block", ttl_seconds = 0 }"#),
        (path, "{}"),
    ] {
        assert!(!validator.is_valid(&with(condition, mitigation)), "{condition} {mitigation}");
    }
}

#[test]
fn the_published_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/schema.json");
    let published = fs::read_to_string(path).expect("policies/schema.json");
    let hint = "write it anew: cargo run -p esper-sandbox -- policies --schema > sandbox/policies/schema.json";
    assert_eq!(published, format!("{}\n", policy_schema()), "{hint}");
}

#[test]
fn an_empty_file_has_no_policies_and_is_none_the_worse() {
    let mut rehearsal = Rehearsal::of("").expect("no mistake");
    for _ in 0..1000 {
        rehearsal.event(&json!({ "type": "x", "ip": "203.0.113.7" })).expect("an event");
    }
    let decision = rehearsal.decide(&json!({ "ip": "203.0.113.7" })).expect("a decision");
    assert_eq!(decision, json!({ "action": "allow", "score": 0.0 }));
}

#[test]
fn a_rehearsal_refuses_what_the_api_refuses() {
    let mut rehearsal = Rehearsal::of(STARTER_POLICIES).expect("no mistake");
    for event in [json!({}), json!({ "type": " " }), json!({ "type": "x", "ip": "here" }), json!(7)]
    {
        assert!(rehearsal.event(&event).is_err(), "{event}");
    }
    assert!(rehearsal.decide(&json!({})).is_err());
    assert!(rehearsal.pass(&json!({ "ip": 7 })).is_err());
}
