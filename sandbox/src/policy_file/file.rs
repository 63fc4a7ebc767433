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
    /// What happens when; of those that match an event, the first applies.
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
    /// Which events and requests have this entity; all of them if it is left out.
    #[serde(rename = "match")]
    #[schemars(with = "Option<MatchTable>")]
    pub(super) condition: Option<Spanned<MatchTable>>,
}

/// A policy: what it matches, whom it counts, and what follows.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table with name and mitigation")]
pub(super) struct PolicyTable {
    /// The name that a decision gives as its reason.
    #[schemars(with = "String", length(min = 1, max = 64))]
    pub(super) name: Spanned<String>,
    /// What it looks at; `events` if it is left out.
    #[schemars(with = "Option<Source>")]
    pub(super) on: Option<Spanned<Source>>,
    /// Which of them it matches; all if it is left out.
    #[serde(rename = "match")]
    #[schemars(with = "Option<MatchTable>")]
    pub(super) condition: Option<Spanned<MatchTable>>,
    /// The entity that it counts and mitigates. Only a policy on requests has none.
    #[schemars(with = "Option<String>")]
    pub(super) entity: Option<Spanned<String>>,
    /// How many matching events are too many; a single one if it is left out.
    #[schemars(with = "Option<WindowTable>")]
    pub(super) window: Option<Spanned<WindowTable>>,
    /// What follows.
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
    /// Its length. An event as old as this has left it.
    #[schemars(with = "u32", range(min = 1, max = 86_400))]
    pub(super) seconds: Spanned<i64>,
    /// The most events, or distinct values, that are no excess.
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
    /// What becomes of the entity's later requests.
    #[schemars(with = "ActionName")]
    pub(super) action: Spanned<ActionName>,
    /// How long it lasts after the last event in excess. A policy on requests has none.
    #[schemars(with = "Option<u32>", range(min = 1, max = 86_400))]
    pub(super) ttl_seconds: Option<Spanned<i64>>,
    /// Of a challenge: leading zero bits of its proof of work; those that the sandbox was started
    /// with if it is left out.
    #[schemars(with = "Option<u8>", range(max = 32))]
    pub(super) difficulty: Option<Spanned<i64>>,
    /// Of a challenge: makes it one of Turnstile, with this site key.
    #[schemars(with = "Option<String>", length(min = 1, max = 256))]
    pub(super) site_key: Option<Spanned<String>>,
}

/// What becomes of an entity's requests.
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
    /// Every one of these holds.
    #[schemars(with = "Option<Vec<MatchTable>>", length(min = 1))]
    pub(super) all: Option<Spanned<Vec<Spanned<Self>>>>,
    /// At least one of these holds.
    #[schemars(with = "Option<Vec<MatchTable>>", length(min = 1))]
    pub(super) any: Option<Spanned<Vec<Spanned<Self>>>>,
    /// This does not hold.
    #[schemars(with = "Option<Box<MatchTable>>")]
    pub(super) not: Option<Box<Spanned<Self>>>,
    /// The field that is tested: `type`, `client_ip`, `user_agent`, `session_id`, `method`,
    /// `path`, `headers.NAME`, `data.NAME` or `metadata.NAME`.
    #[schemars(with = "Option<String>")]
    pub(super) field: Option<Spanned<String>>,
    /// It is this text.
    #[schemars(with = "Option<String>")]
    pub(super) equals: Option<Spanned<String>>,
    /// It has this text in it.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub(super) contains: Option<Spanned<String>>,
    /// It begins with this text.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub(super) starts_with: Option<Spanned<String>>,
    /// The whole of it fits: `?` is a character and `*` any number of them, but no `/`; `**` is
    /// any number of any.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub(super) glob: Option<Spanned<String>>,
    /// Some of it fits this regular expression, in the syntax of Rust's `regex`.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub(super) regex: Option<Spanned<String>>,
    /// It is one of these texts.
    #[serde(rename = "in")]
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    pub(super) one_of: Option<Spanned<Vec<Spanned<String>>>>,
    /// It has one of these in it as a word of its own, in any case. A word consists of ASCII
    /// letters, digits, `-` and `_`.
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    pub(super) word_in: Option<Spanned<Vec<Spanned<String>>>>,
    /// It is an address in one of these networks, such as `203.0.113.0/24`.
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    pub(super) network_in: Option<Spanned<Vec<Spanned<String>>>>,
    /// Whether it is there, and not empty.
    #[schemars(with = "Option<bool>")]
    pub(super) present: Option<Spanned<bool>>,
}
