//! What the console shows, in words: the page fills its places with these members by their names.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::journal::{self, Class, Ending, What, Whose};
use crate::wire::Action;

/// All that is shown at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    /// Where the sandbox is.
    pub(crate) url: String,
    #[serde(flatten)]
    pub(crate) plot: Plot,
    /// The newest first.
    pub(crate) rows: Vec<Row>,
    /// How many mitigations are in force.
    pub(crate) held: String,
    /// The newest mitigations in force, first the newest.
    pub(crate) mitigations: Vec<InForce>,
    /// How many more there are, if there are more.
    pub(crate) more: String,
    pub(crate) policies: Vec<Policy>,
    pub(crate) faults: Vec<Fault>,
}

/// How much happened in the last minutes, as paths and as numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Plot {
    pub(crate) events_path: String,
    pub(crate) allowed_path: String,
    pub(crate) challenged_path: String,
    pub(crate) blocked_path: String,
    /// What the upper edge stands for.
    pub(crate) top: String,
    pub(crate) events: String,
    pub(crate) allowed: String,
    pub(crate) challenged: String,
    pub(crate) blocked: String,
    /// The plot in a sentence.
    pub(crate) label: String,
    pub(crate) minutes: Vec<Minute>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Minute {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) events: String,
    pub(crate) allowed: String,
    pub(crate) challenged: String,
    pub(crate) blocked: String,
}

/// Something that happened.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    id: String,
    /// Which colour it has.
    tone: &'static str,
    /// When, for a machine, and for people in UTC.
    at: String,
    time: String,
    what: &'static str,
    visitor: String,
    user_agent: String,
    detail: String,
    note: String,
    /// How often, if more than once.
    count: String,
}

/// A mitigation in force.
#[derive(Debug, Serialize)]
pub(crate) struct InForce {
    id: String,
    tone: &'static str,
    effect: &'static str,
    visitor: String,
    user_agent: String,
    reason: String,
    remaining: String,
    /// The path that lifts it, seen from the page, and the name of the button.
    lift: String,
    label: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Policy {
    /// Its name.
    pub(crate) id: String,
    pub(crate) tone: &'static str,
    pub(crate) effect: &'static str,
    pub(crate) description: String,
}

/// A fault that is on.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    pub(crate) id: String,
    pub(crate) operation: String,
    /// What goes wrong.
    pub(crate) description: String,
    /// How often it did, and how often it still will.
    pub(crate) hits: String,
}

impl Row {
    /// Puts a row of the journal into words, which began at that time of day.
    pub(crate) fn new(row: &journal::Row, at: Timestamp) -> Self {
        let (visitor, user_agent) = match &row.whose {
            Whose::Visitor(visitor) => (visitor.ip.to_string(), visitor.user_agent.clone()),
            Whose::Nobody => ("no address".to_owned(), String::new()),
            Whose::Others => ("other visitors".to_owned(), String::new()),
        };
        let (what, tone) = title(&row.what);
        let (detail, note) = detail(&row.what);
        Self {
            id: row.number.to_string(),
            tone,
            at: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            time: at.strftime("%H:%M:%S").to_string(),
            what,
            visitor,
            user_agent,
            detail,
            note,
            count: if row.count > 1 { format!("×{}", grouped(row.count)) } else { String::new() },
        }
    }
}

impl InForce {
    pub(crate) fn new(
        id: String,
        (effect, tone): (&'static str, &'static str),
        visitor: &journal::Visitor,
        policy: &str,
        reason: String,
        remaining: Duration,
    ) -> Self {
        Self {
            lift: format!("console/mitigations/{id}/lift"),
            label: format!("Lift {policy} of {}", visitor.ip),
            id,
            tone,
            effect,
            visitor: visitor.ip.to_string(),
            user_agent: visitor.user_agent.clone(),
            reason,
            remaining: span(remaining),
        }
    }
}

/// What a row is, and its colour.
fn title(what: &What) -> (&'static str, &'static str) {
    match what {
        What::Event { .. } | What::Many(Class::Event) => ("event", "event"),
        What::Decision { action, .. } => match action {
            Action::Allow => ("allowed", "allow"),
            Action::Challenge => ("challenged", "challenge"),
            Action::Block => ("blocked", "block"),
        },
        What::Many(Class::Allowed) => ("allowed", "allow"),
        What::Many(Class::Mitigated) => ("mitigated", "block"),
        What::Begun { .. } | What::Ended { .. } | What::Many(Class::Mitigation) => {
            ("mitigation", "mitigation")
        }
    }
}

/// What is to be said about it, and what beside that.
fn detail(what: &What) -> (String, String) {
    match what {
        What::Event { kind, path, other_paths, repeated, .. } => {
            let others = if *other_paths { "and other paths" } else { "" };
            let repeated = if *repeated { "delivered before, not counted again" } else { "" };
            (joined(&[kind, path]), joined(&[others, repeated]))
        }
        What::Decision { reason, policy, score, .. } => {
            // Reasons that begin with their policy need not say it again.
            let policy = policy.as_ref().filter(|policy| !reason.starts_with(policy.as_str()));
            let policy = policy.map(|policy| format!("policy {policy},")).unwrap_or_default();
            (reason.clone(), joined(&[&policy, &format!("score {score:.0}")]))
        }
        What::Begun { reason, .. } => (reason.clone(), "begins".to_owned()),
        What::Ended { policy, how } => {
            let how = match how {
                Ending::Passed => "is over, a challenge was passed",
                Ending::Lifted => "is lifted by hand",
                Ending::Expired => "has expired",
            };
            (format!("policy {policy}"), how.to_owned())
        }
        What::Many(_) => ("more visitors at once than have a row here".to_owned(), String::new()),
    }
}

fn joined(texts: &[&str]) -> String {
    let texts: Vec<_> = texts.iter().copied().filter(|text| !text.is_empty()).collect();
    texts.join(" ")
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A time that is left, rounded up so that 0 is over.
fn span(left: Duration) -> String {
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    match seconds {
        0..=120 => format!("{seconds} s"),
        121..=7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn what_is_left_is_rounded_up() {
        for (millis, text) in [
            (0, "0 s"),
            (1, "1 s"),
            (59_001, "60 s"),
            (121_000, "2 min 1 s"),
            (7_200_000, "120 min 0 s"),
            (7_200_001, "2 h 0 min"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text, "{millis} ms");
        }
    }
}
