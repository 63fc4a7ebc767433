//! A policy file as it is written: its members, their types, and where each of them stands.
//!
//! The published schema is made from these types. What a type cannot say is checked after.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// A whole file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Policies of the Esper sandbox")]
pub(super) struct PolicyFile {
    /// Whom policies count and mitigate.
    #[serde(default)]
    pub(super) entity: Vec<EntityTable>,
    /// What leads to which mitigation. Of the policies that match an event, the first applies.
    #[serde(default)]
    pub(super) policy: Vec<PolicyTable>,
}

/// An entity: events and requests that have the same key are of the same one.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table with name and key")]
pub(super) struct EntityTable {
    /// The name by which policies refer to it.
    #[schemars(with = "String", length(min = 1, max = 64))]
    pub(super) name: Spanned<String>,
    /// The fields that tell one entity from another: `client_ip`, `user_agent`, `session_id`,
    /// `method`, `path`, `headers.NAME`, `data.NAME` or `metadata.NAME`.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub(super) key: Spanned<Vec<Spanned<String>>>,
    /// The condition on events and requests of this entity; default: all have it.
    #[serde(rename = "match")]
    #[schemars(with = "Option<MatchTable>")]
    pub(super) condition: Option<Spanned<MatchTable>>,
}

/// A policy: what it matches, whom it counts, and the mitigation.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table with name and mitigation")]
pub(super) struct PolicyTable {
    /// The name: the beginning of a decision's `reason`, and its `metadata.policy`.
    #[schemars(with = "String", length(min = 1, max = 64))]
    pub(super) name: Spanned<String>,
    /// What it looks at; default: `events`.
    #[schemars(with = "Option<Source>")]
    pub(super) on: Option<Spanned<Source>>,
    /// The condition on events or requests; default: all match.
    #[serde(rename = "match")]
    #[schemars(with = "Option<MatchTable>")]
    pub(super) condition: Option<Spanned<MatchTable>>,
    /// The entity that it counts and mitigates. Only a policy on requests has none.
    #[schemars(with = "Option<String>")]
    pub(super) entity: Option<Spanned<String>>,
    /// How many matching events are too many; default: a single one.
    #[schemars(with = "Option<WindowTable>")]
    pub(super) window: Option<Spanned<WindowTable>>,
    /// The mitigation to apply.
    #[schemars(with = "MitigationTable")]
    pub(super) mitigation: Spanned<MitigationTable>,
}

/// What a policy looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    /// Beacon events, once they have arrived.
    Events,
    /// Requests for a decision. Such a policy can only monitor.
    Requests,
}

/// A rolling window.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table with seconds and over")]
pub(super) struct WindowTable {
    /// Its length in seconds. An event exactly as old as this no longer counts.
    #[schemars(with = "u32", range(min = 1, max = 86_400))]
    pub(super) seconds: Spanned<i64>,
    /// Threshold: the policy applies when the count exceeds it.
    #[schemars(with = "u32", range(min = 1, max = 10_000))]
    pub(super) over: Spanned<i64>,
    /// Counts the distinct values of this field, instead of events.
    #[schemars(with = "Option<String>")]
    pub(super) distinct: Option<Spanned<String>>,
}

/// What is put on an entity.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table with action")]
pub(super) struct MitigationTable {
    /// What to do with the entity's later requests.
    #[schemars(with = "ActionName")]
    pub(super) action: Spanned<ActionName>,
    /// Seconds that the mitigation lasts after the last event above the threshold. A policy on
    /// requests has none.
    #[schemars(with = "Option<u32>", range(min = 1, max = 86_400))]
    pub(super) ttl_seconds: Option<Spanned<i64>>,
    /// Leading zero bits of a challenge's proof of work; default: the sandbox's
    /// `--challenge-difficulty`.
    #[schemars(with = "Option<u8>", range(max = 32))]
    pub(super) difficulty: Option<Spanned<i64>>,
    /// Site key of Turnstile; with it a challenge is one of Turnstile, not a proof of work.
    #[schemars(with = "Option<String>", length(min = 1, max = 256))]
    pub(super) site_key: Option<Spanned<String>>,
}

/// What to do with an entity's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ActionName {
    /// They are allowed, and the policy is named in `metadata.monitor`.
    Monitor,
    /// They are challenged.
    Challenge,
    /// They are blocked.
    Block,
}

/// A condition: one of `all`, `any` and `not`, or a `field` with one test of it.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table with all, any, not or field")]
#[schemars(extend("oneOf" = [
    { "required": ["all"], "maxProperties": 1 },
    { "required": ["any"], "maxProperties": 1 },
    { "required": ["not"], "maxProperties": 1 },
    { "required": ["field"], "minProperties": 2, "maxProperties": 2 },
]))]
pub(super) struct MatchTable {
    /// All of these conditions hold.
    #[schemars(with = "Option<Vec<MatchTable>>", length(min = 1))]
    pub(super) all: Option<Spanned<Vec<Spanned<Self>>>>,
    /// At least one of these conditions holds.
    #[schemars(with = "Option<Vec<MatchTable>>", length(min = 1))]
    pub(super) any: Option<Spanned<Vec<Spanned<Self>>>>,
    /// This condition does not hold.
    #[schemars(with = "Option<Box<MatchTable>>")]
    pub(super) not: Option<Box<Spanned<Self>>>,
    /// The field that is tested: `type`, `client_ip`, `user_agent`, `session_id`, `method`,
    /// `path`, `headers.NAME`, `data.NAME` or `metadata.NAME`.
    #[schemars(with = "Option<String>")]
    pub(super) field: Option<Spanned<String>>,
    /// The value equals this string.
    #[schemars(with = "Option<String>")]
    pub(super) equals: Option<Spanned<String>>,
    /// The value contains this string.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub(super) contains: Option<Spanned<String>>,
    /// The value starts with this string.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub(super) starts_with: Option<Spanned<String>>,
    /// The whole value matches this glob: `?` is one character and `*` any number of characters
    /// other than `/`; `**` is any number of any characters.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub(super) glob: Option<Spanned<String>>,
    /// The value contains a match of this regular expression, in the syntax of Rust's `regex`.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub(super) regex: Option<Spanned<String>>,
    /// The value equals one of these strings.
    #[serde(rename = "in")]
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    pub(super) one_of: Option<Spanned<Vec<Spanned<String>>>>,
    /// The value contains one of these words as a whole word, in any case. A word consists of
    /// ASCII letters, digits, `-` and `_`.
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    pub(super) word_in: Option<Spanned<Vec<Spanned<String>>>>,
    /// The value is an address in one of these networks, such as `203.0.113.0/24`.
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    pub(super) network_in: Option<Spanned<Vec<Spanned<String>>>>,
    /// Whether the field is present and not empty.
    #[schemars(with = "Option<bool>")]
    pub(super) present: Option<Spanned<bool>>,
}
