//! Check the tables of a policy file, and make policies of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use toml::Spanned;

use super::action::action;
use super::condition::Conditions;
use super::error::Mistake;
use super::file::{ActionName, EntityTable, PolicyFile, PolicyTable, Source, WindowTable};
use super::order::refuse_what_never_applies;
use crate::engine::Field;
use crate::engine::entity::EntityDefinition;
use crate::engine::policy::{Counter, Policy, PolicySet, RequestPolicy, Trigger, Window};

/// Makes policies of a file's tables.
pub(super) fn compile(file: &PolicyFile) -> Result<PolicySet, Mistake> {
    let mut compiler = Compiler::default();
    for table in &file.entity {
        compiler.entity(table)?;
    }
    if let Some(table) = file.policy.get(MOST_POLICIES) {
        let why = format!("a file has {MOST_POLICIES} policies at most");
        return Err(Mistake::new(table.name.span(), why));
    }
    let order = refuse_what_never_applies(&file.policy);
    for (order, table) in file.policy.iter().enumerate() {
        compiler.policy(order, table)?;
    }
    // Told last: a mistake within a policy goes before its place among others.
    order.map(|()| compiler.finish())
}

/// What was made so far.
#[derive(Default)]
struct Compiler<'a> {
    conditions: Conditions,
    entities: Vec<EntityDefinition>,
    entity_tables: Vec<&'a EntityTable>,
    counters: Vec<Counter>,
    policies: Vec<OnceCounted<Policy>>,
    on_requests: Vec<RequestPolicy>,
    /// The names of the policies.
    names: BTreeSet<String>,
}

/// Makes something once all policies have their counter, as others may count more on the same.
type OnceCounted<T> = Box<dyn FnOnce(&[Counter]) -> T>;

impl<'a> Compiler<'a> {
    fn entity(&mut self, table: &'a EntityTable) -> Result<(), Mistake> {
        let name = checked_name(&table.name)?;
        if self.entities.iter().any(|entity| entity.name == name) {
            return Err(Mistake::new(
                table.name.span(),
                format!("entity {name:?} is defined twice"),
            ));
        }
        if self.entities.len() == MOST_ENTITIES {
            let why = format!("a file has {MOST_ENTITIES} entities at most");
            return Err(Mistake::new(table.name.span(), why));
        }
        if table.key.get_ref().is_empty() {
            let why = "an entity needs a key, expected at least one field";
            return Err(Mistake::new(table.key.span(), why));
        }
        let mut key = Vec::new();
        for name in table.key.get_ref() {
            let mistake = |why| Mistake::new(name.span(), why);
            match Field::parse(name.get_ref()).map_err(mistake)? {
                Field::Type => {
                    let why = "a request has no type, so that it would never be of this entity";
                    return Err(mistake(why.to_owned()));
                }
                field if key.contains(&field) => {
                    return Err(mistake(format!("{field} is there twice")));
                }
                field => key.push(field),
            }
        }
        // Requests have to fit it as well as events, or nothing would be decided by the entity.
        let matcher = self.conditions.optional(table.condition.as_ref(), Source::Requests)?;
        let fields: Vec<_> = key.iter().map(Field::to_string).collect();
        let domain = format!("entity {name} {}", fields.join(" "));
        self.entities.push(EntityDefinition { name, key, matcher, domain });
        self.entity_tables.push(table);
        Ok(())
    }

    fn policy(&mut self, order: usize, table: &PolicyTable) -> Result<(), Mistake> {
        let name = checked_name(&table.name)?;
        if !self.names.insert(name.clone()) {
            return Err(Mistake::new(table.name.span(), format!("policy {name:?} is there twice")));
        }
        match table.on.as_ref().map_or(Source::Events, |on| *on.get_ref()) {
            Source::Events => self.on_events(name, order, table),
            Source::Requests => self.on_requests(name, order, table),
        }
    }

    fn on_requests(
        &mut self,
        name: String,
        order: usize,
        table: &PolicyTable,
    ) -> Result<(), Mistake> {
        let mitigation = table.mitigation.get_ref();
        if *mitigation.action.get_ref() != ActionName::Monitor {
            let why = "a policy on requests can only monitor: a mitigation is applied after \
                       analysis, never before it; expected \"monitor\", or on = \"events\"";
            return Err(Mistake::new(mitigation.action.span(), why));
        }
        let superfluous = [
            ("entity", table.entity.as_ref().map(Spanned::span)),
            ("window", table.window.as_ref().map(Spanned::span)),
            ("ttl_seconds", mitigation.ttl_seconds.as_ref().map(Spanned::span)),
        ];
        for (member, span) in superfluous {
            if let Some(span) = span {
                let why = format!("a policy on requests has no {member}; leave it out");
                return Err(Mistake::new(span, why));
            }
        }
        action(mitigation)?;
        let matcher = self.conditions.optional(table.condition.as_ref(), Source::Requests)?;
        let definition = written(&Excerpt { entity: None, policy: [table] })?;
        self.on_requests.push(RequestPolicy { name, order, matcher, definition });
        Ok(())
    }

    fn on_events(
        &mut self,
        name: String,
        order: usize,
        table: &PolicyTable,
    ) -> Result<(), Mistake> {
        let Some(entity_name) = &table.entity else {
            let why = format!("policy {name:?} needs an entity, expected one of {}", self.known());
            return Err(Mistake::new(table.name.span(), why));
        };
        let entity = self.entities.iter().position(|known| known.name == *entity_name.get_ref());
        let Some(entity) = entity else {
            let why = format!(
                "unknown entity {:?}, expected one of {}",
                entity_name.get_ref(),
                self.known()
            );
            return Err(Mistake::new(entity_name.span(), why));
        };
        let entity_table = self.entity_tables[entity];
        let definition = written(&Excerpt { entity: Some([entity_table]), policy: [table] })?;
        let mitigation = table.mitigation.get_ref();
        let action = action(mitigation)?;
        let Some(ttl) = &mitigation.ttl_seconds else {
            let why = "a mitigation needs its time to live, expected ttl_seconds";
            return Err(Mistake::new(table.mitigation.span(), why));
        };
        let ttl = seconds(ttl)?;
        let trigger = self.trigger(entity, table)?;
        self.policies.push(Box::new(move |counters| {
            let trigger = trigger(counters);
            Policy { name, order, entity, trigger, action, ttl, definition }
        }));
        Ok(())
    }

    fn trigger(
        &mut self,
        entity: usize,
        table: &PolicyTable,
    ) -> Result<OnceCounted<Trigger>, Mistake> {
        let matcher = self.conditions.optional(table.condition.as_ref(), Source::Events)?;
        let Some(window) = &table.window else {
            return Ok(Box::new(|_| Trigger::Event(matcher)));
        };
        let window = window.get_ref();
        let (length, over) = (seconds(&window.seconds)?, threshold(window)?);
        let distinct = window.distinct.as_ref().map(|distinct| {
            let field = Field::parse(distinct.get_ref());
            field.map_err(|why| Mistake::new(distinct.span(), why))
        });
        let distinct = distinct.transpose()?;
        let condition = table.condition.as_ref().map(written).transpose()?;
        let counter = self.counter(Counter {
            definition: format!(
                "{}{}{distinct:?}",
                written(self.entity_tables[entity])?,
                condition.unwrap_or_default()
            ),
            entity,
            matcher,
            distinct: distinct.clone(),
            longest: length,
            most: over + 1,
        });
        Ok(Box::new(move |counters| {
            let most = counters[counter].most;
            Trigger::Window(Window { counter, length, over, most, distinct })
        }))
    }

    /// Finds the place of a counter, which may count for several policies.
    fn counter(&mut self, counter: Counter) -> usize {
        let known = self.counters.iter().position(|known| known.definition == counter.definition);
        match known {
            Some(place) => {
                let known = &mut self.counters[place];
                known.longest = known.longest.max(counter.longest);
                known.most = known.most.max(counter.most);
                place
            }
            None => {
                self.counters.push(counter);
                self.counters.len() - 1
            }
        }
    }

    /// The names of the entities, for people.
    fn known(&self) -> String {
        let names: Vec<_> = self.entities.iter().map(|entity| entity.name.as_str()).collect();
        if names.is_empty() {
            "those in [[entity]] tables, of which there are none".to_owned()
        } else {
            names.join(", ")
        }
    }

    fn finish(self) -> PolicySet {
        let Self { entities, counters, policies, on_requests, .. } = self;
        let policies = policies.into_iter().map(|policy| Arc::new(policy(&counters))).collect();
        PolicySet { entities, counters, policies, on_requests }
    }
}

/// A name that can stand in a log and in front of a colon.
fn checked_name(name: &Spanned<String>) -> Result<String, Mistake> {
    let text = name.get_ref();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.is_empty() || text.len() > LONGEST_NAME || !text.chars().all(fits) {
        let why = format!(
            "bad name, expected 1 to {LONGEST_NAME} letters, digits and the characters `_`, `-` and `.`"
        );
        return Err(Mistake::new(name.span(), why));
    }
    Ok(text.clone())
}

fn seconds(span: &Spanned<i64>) -> Result<Duration, Mistake> {
    let number = *span.get_ref();
    let seconds = u64::try_from(number).ok().filter(|seconds| (1..=LONGEST_SPAN).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        Mistake::new(span.span(), format!("{number} seconds, expected 1 to {LONGEST_SPAN}"))
    })
}

fn threshold(window: &WindowTable) -> Result<usize, Mistake> {
    let number = *window.over.get_ref();
    let over = usize::try_from(number).ok().filter(|over| (1..=HIGHEST_OVER).contains(over));
    over.ok_or_else(|| {
        let why = format!("over is {number}, expected 1 to {HIGHEST_OVER}");
        Mistake::new(window.over.span(), why)
    })
}

/// A policy with its entity, as a file of their own.
#[derive(Serialize)]
struct Excerpt<'a> {
    entity: Option<[&'a EntityTable; 1]>,
    policy: [&'a PolicyTable; 1],
}

/// A table as TOML, in one form whatever its form in the file was.
pub(super) fn written(table: &impl Serialize) -> Result<String, Mistake> {
    // It came from TOML, so that this does not happen; but two tables must not pass for the same.
    toml::to_string(table)
        .map_err(|error| Mistake::new(0..0, format!("cannot be written: {error}")))
}

const MOST_ENTITIES: usize = 20;
const MOST_POLICIES: usize = 100;
const LONGEST_NAME: usize = 64;

/// A day, in seconds: the longest window, and the longest time to live.
const LONGEST_SPAN: u64 = 86_400;

/// The highest threshold. Of an entity this many arrivals are kept, and one more.
const HIGHEST_OVER: usize = 10_000;
