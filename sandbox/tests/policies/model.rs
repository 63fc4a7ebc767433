//! Windows and the order of policies, against a model that remembers everything.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use crate::stage::{Stage, action};

/// A policy of the model.
#[derive(Clone, Debug)]
struct Policy {
    seconds: u64,
    over: usize,
    distinct: bool,
    action: &'static str,
    ttl: u64,
    /// The path that it looks at; any if it is none.
    path: Option<u8>,
}

/// An event of the model, so many quarters of a second after the one before.
#[derive(Clone, Debug)]
struct Event {
    after: u64,
    path: u8,
    session: Option<u8>,
    /// Whether the visitor then passes the challenge, if there is one.
    passes: bool,
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let action = prop::sample::select(vec!["monitor", "challenge", "block"]);
    let path = prop::option::of(0..2_u8);
    let policy = (1..4_u64, 1..5_usize, any::<bool>(), action, 1..6_u64, path).prop_map(
        |(seconds, over, distinct, action, ttl, path)| Policy {
            seconds,
            over,
            distinct,
            action,
            ttl,
            path,
        },
    );
    prop::collection::vec(policy, 1..5)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let passes = prop::bool::weighted(0.2);
    let event = (0..6_u64, 0..2_u8, prop::option::of(0..6_u8), passes)
        .prop_map(|(after, path, session, passes)| Event { after, path, session, passes });
    prop::collection::vec(event, 1..60)
}

fn written(policies: &[Policy]) -> String {
    let mut text = "entity = [{ name = \"e\", key = [\"client_ip\"] }]\n".to_owned();
    for (place, policy) in policies.iter().enumerate() {
        let Policy { seconds, over, action, ttl, .. } = policy;
        let distinct = if policy.distinct { ", distinct = \"session_id\"" } else { "" };
        text += &format!("[[policy]]\nname = \"p{place}\"\nentity = \"e\"\n");
        text += &format!("window = {{ seconds = {seconds}, over = {over}{distinct} }}\n");
        text += &format!("mitigation = {{ action = \"{action}\", ttl_seconds = {ttl} }}\n");
        if let Some(path) = policy.path {
            text += &format!("match = {{ field = \"path\", equals = \"{path}\" }}\n");
        }
    }
    text
}

/// What is decided after all events of a history, whose times are in quarters of a second.
#[derive(Debug, Default)]
struct Model {
    seen: Vec<(u64, Event)>,
    /// How many of them no longer count for challenges, because one was passed since.
    forgiven: usize,
    /// The end of each policy's mitigation.
    until: Vec<u64>,
}

impl Model {
    fn observe(&mut self, policies: &[Policy], event: &Event, now: u64) {
        self.until.resize(policies.len(), 0);
        self.seen.push((now, event.clone()));
        let first = policies.iter().position(|policy| self.applies(policy, event, now));
        if let Some(first) = first {
            self.until[first] = now + policies[first].ttl * QUARTERS;
        }
    }

    fn applies(&self, policy: &Policy, event: &Event, now: u64) -> bool {
        let matches = |event: &Event| {
            policy.path.is_none_or(|path| event.path == path)
                && (!policy.distinct || event.session.is_some())
        };
        let forgiven = if policy.action == "challenge" { self.forgiven } else { 0 };
        let counted = self.seen[forgiven..]
            .iter()
            .filter(|(at, event)| now - at < policy.seconds * QUARTERS && matches(event));
        let count = if policy.distinct {
            let mut sessions: Vec<_> = counted.map(|(_, event)| event.session).collect();
            sessions.sort_unstable();
            sessions.dedup();
            sessions.len()
        } else {
            counted.count()
        };
        matches(event) && count > policy.over
    }

    /// A challenge is passed: what challenges ends, and counts anew.
    fn pass(&mut self, policies: &[Policy]) {
        self.forgiven = self.seen.len();
        for (policy, until) in policies.iter().zip(&mut self.until) {
            if policy.action == "challenge" {
                *until = 0;
            }
        }
    }

    /// The policy that is told, or none.
    fn decide(&self, policies: &[Policy], now: u64) -> Option<usize> {
        let in_force = |wanted: &str| {
            policies
                .iter()
                .zip(&self.until)
                .position(|(policy, until)| policy.action == wanted && now < *until)
        };
        in_force("block").or_else(|| in_force("challenge"))
    }

    fn monitors(&self, policies: &[Policy], now: u64) -> Option<usize> {
        let held = policies.iter().zip(&self.until);
        held.into_iter().position(|(policy, until)| policy.action == "monitor" && now < *until)
    }
}

/// A model's second.
const QUARTERS: u64 = 4;

proptest! {
    #[test]
    fn decisions_are_those_of_a_model_that_remembers_everything(
        policies in policies(),
        events in events(),
    ) {
        let text = written(&policies);
        // A file with a policy that never applies is refused, and there is nothing to compare.
        prop_assume!(esper_sandbox::check_policies(&text).is_ok());
        let (mut stage, mut model, mut now) = (Stage::of(&text), Model::default(), 0);
        for event in &events {
            now += event.after;
            stage.at(Duration::from_millis(1000 / QUARTERS * now));
            model.observe(&policies, event, now);
            let mut sent = json!({ "type": "x", "ip": "::1", "path": event.path.to_string() });
            if let Some(session) = event.session {
                sent["session_id"] = session.to_string().into();
            }
            stage.event(&sent);
            if event.passes {
                stage.pass_as("::1");
                if model.decide(&policies, now).is_some_and(|it| policies[it].action == "challenge") {
                    model.pass(&policies);
                }
            }
            let decision = stage.decide(&json!({ "ip": "::1" }));
            let told = model.decide(&policies, now);
            let name = told.map(|place| format!("p{place}"));
            prop_assert_eq!(decision["metadata"]["policy"].as_str(), name.as_deref());
            let expected = told.map_or("allow", |place| policies[place].action);
            prop_assert_eq!(action(&decision), expected);
            let monitor = model.monitors(&policies, now).map(|place| format!("p{place}"));
            let monitored = &decision["metadata"]["monitor"]["policy"];
            prop_assert_eq!(monitored.as_str(), monitor.as_deref());
        }
    }
}
