//! Traffic for a rehearsal, in few words.

use std::time::Duration;

use esper_sandbox::Rehearsal;
use serde_json::{Value, json};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const INSTANT: Duration = Duration::from_nanos(1);
pub(crate) const IP: &str = "203.0.113.7";

pub(crate) struct Stage {
    rehearsal: Rehearsal,
    /// How much time has passed.
    now: Duration,
    /// A request that is decided about after each event, and how often it was not allowed.
    watched: Option<Value>,
    hits: usize,
}

impl Stage {
    pub(crate) fn of(policies: &str) -> Self {
        let rehearsal = Rehearsal::of(policies).unwrap_or_else(|error| panic!("{error}"));
        Self { rehearsal, now: Duration::ZERO, watched: None, hits: 0 }
    }

    /// Decides about a request after each event.
    pub(crate) fn watching(policies: &str, request: Value) -> Self {
        Self { watched: Some(request), ..Self::of(policies) }
    }

    /// How often the watched request was not allowed.
    pub(crate) fn hits(&self) -> usize {
        self.hits
    }

    /// Goes on to a time since the start.
    pub(crate) fn at(&mut self, time: Duration) -> &mut Self {
        self.rehearsal.advance(time.checked_sub(self.now).expect("time does not go back"));
        self.now = time;
        self
    }

    pub(crate) fn event(&mut self, event: &Value) -> &mut Self {
        self.rehearsal.event(event).expect("an event that fits");
        if let Some(watched) = &self.watched
            && action(&self.decide(watched)) != "allow"
        {
            self.hits += 1;
        }
        self
    }

    /// So many events of one address at this moment.
    pub(crate) fn burst(&mut self, events: usize) -> &mut Self {
        for _ in 0..events {
            self.event(&json!({ "type": "http_request", "ip": IP }));
        }
        self
    }

    pub(crate) fn decide(&self, request: &Value) -> Value {
        self.rehearsal.decide(request).expect("a request that fits")
    }

    /// The action for the address of [`burst`](Self::burst).
    pub(crate) fn action(&self) -> String {
        action(&self.decide(&json!({ "ip": IP })))
    }

    pub(crate) fn reason(&self) -> Value {
        self.decide(&json!({ "ip": IP }))["reason"].clone()
    }

    pub(crate) fn pass(&mut self) -> &mut Self {
        self.pass_as(IP)
    }

    pub(crate) fn pass_as(&mut self, ip: &str) -> &mut Self {
        self.rehearsal.pass(&json!({ "ip": ip })).expect("a request that fits");
        self
    }
}

pub(crate) fn action(decision: &Value) -> String {
    decision["action"].as_str().expect("an action").to_owned()
}
