//! Reads whatever text as a policy file, and lets it judge whatever events.
//!
//! There must be no panic: policies, or a mistake with a place in the text; then decisions that the
//! API knows.
//!
//! An input is a policy file, a line of three hyphens, and lines of JSON. A line that is a number
//! lets so many seconds pass; another is an event, and then a request.

use std::time::Duration;

use esper_sandbox::{PolicyError, Rehearsal, check_policies};
use serde_json::{Value, json};

/// Tries an input, and panics where its outcome is not right.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (policies, traffic) = text.split_once("\n---\n").unwrap_or((text, ""));
    match Rehearsal::of(policies) {
        Ok(rehearsal) => {
            assert_eq!(check_policies(policies), Ok(()));
            judge(rehearsal, traffic);
        }
        Err(error) => look(&error, policies),
    }
}

/// A mistake has a place in the text, and can be shown in a line.
fn look(error: &PolicyError, policies: &str) {
    // A mistake may be that something is missing at the end.
    let lines = policies.matches('\n').count() + 1;
    assert!((1..=lines).contains(&error.line()), "{error}");
    let line = policies.split('\n').nth(error.line() - 1).expect("the line");
    assert!((1..=line.chars().count() + 1).contains(&error.column()), "{error}");
    assert!(!error.message().is_empty() && !error.message().contains('\n'), "{error}");
    assert!(error.message().len() <= 2000, "{error}");
}

fn judge(mut rehearsal: Rehearsal, traffic: &str) {
    let visits = traffic.lines().take(MOST_LINES).map(|line| serde_json::from_str(line).ok());
    // Somebody comes in any case.
    for visit in visits.flatten().chain((0..5).map(|_| visitor())) {
        if let Some(seconds) = visit.as_u64() {
            rehearsal.advance(Duration::from_secs(seconds));
            continue;
        }
        // What the API would refuse is refused, and teaches nothing.
        let _ = rehearsal.event(&visit);
        if let Ok(decision) = rehearsal.decide(&visit) {
            judge_decision(&decision);
            rehearsal.pass(&visit).expect("a request that was decided about");
            let passed = rehearsal.decide(&visit).expect("the same request");
            assert!(passed["action"] != "challenge" || decision["action"] == "challenge");
        }
    }
}

fn judge_decision(decision: &Value) {
    let action = decision["action"].as_str().expect("an action");
    assert!(["allow", "challenge", "block"].contains(&action), "{decision}");
    assert_eq!(decision["reason"].is_string(), action != "allow", "{decision}");
    let score = decision["score"].as_f64().expect("a score");
    assert!((0.0..=100.0).contains(&score), "{decision}");
}

fn visitor() -> Value {
    json!({
        "type": "http_request",
        "ip": "203.0.113.7",
        "user_agent": "GPTBot/1.2",
        "path": "/login",
        "method": "POST",
        "session_id": "session-1",
        "data": { "status": 401, "headers": { "accept": "text/html" } },
        "headers": { "accept": "text/html" },
        "metadata": { "plan": "free" },
    })
}

/// The most lines of traffic that are tried.
const MOST_LINES: usize = 100;
