//! The words of the console: rows, actions, numbers and times for people.

use std::time::Duration;

use crate::clock::whole_seconds;
use crate::console::journal::{Class, Place, What};
use crate::engine::Action;
use crate::engine::mitigation::Ending;
use crate::engine::policy::ActionKind;

/// Says how many more there are than are shown, if there are more.
pub(crate) fn more(shown: usize, all: usize, which: &str) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        more => format!("and {more} {which}"),
    }
}

/// What is done, and its colour.
pub(super) fn action(kind: ActionKind) -> (&'static str, &'static str) {
    match kind {
        ActionKind::Monitor => ("monitor", "event"),
        ActionKind::Challenge => ("challenge", "challenge"),
        ActionKind::Block => ("block", "block"),
    }
}

/// What a row is, and its colour.
pub(super) fn title(what: &What) -> (&'static str, &'static str) {
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
        What::Reload { mistake: Some(_) } => ("refused", "block"),
        What::Reload { mistake: None } | What::Many(Class::Reload) => ("policies", "mitigation"),
    }
}

/// What is to be said about it, and in smaller print.
pub(super) fn detail(what: &What) -> (String, String) {
    match what {
        What::Event { kind, place, repeated } => {
            let repeated = if *repeated { "delivered before, not counted again" } else { "" };
            (joined(&[kind, &place.shown]), joined(&[others(place), repeated]))
        }
        What::Decision { place, reason, policy, monitor, score, .. } => {
            // Reasons that begin with their policy need not say it again.
            let policy = policy.as_ref().filter(|policy| !reason.starts_with(policy.as_str()));
            let policy = policy.map(|policy| format!("policy {policy},")).unwrap_or_default();
            let monitor = monitor.as_ref().map(|policy| format!("monitored by {policy},"));
            let score = format!("score {score:.0}");
            let note = joined(&[others(place), &policy, &monitor.unwrap_or_default(), &score]);
            (joined(&[&place.shown, reason]), note)
        }
        What::Begun { reason } => (reason.clone(), "begins".to_owned()),
        What::Ended { policy, how } => {
            let how = match how {
                Ending::Passed => "is over, a challenge was passed",
                Ending::Lifted => "is lifted by hand",
                Ending::Expired => "has expired",
                Ending::Withdrawn => "is over, its policy is in force no more",
                Ending::GaveWay => "is over, it gave way to newer ones",
            };
            let what =
                policy.as_ref().map_or("put by hand".to_owned(), |it| format!("policy {it}"));
            (what, how.to_owned())
        }
        What::Reload { mistake: None } => ("are read again".to_owned(), "and in force".to_owned()),
        What::Reload { mistake: Some(mistake) } => {
            (mistake.clone(), "so the policies stay as they were".to_owned())
        }
        What::Many(_) => ("more visitors at once than have a row here".to_owned(), String::new()),
    }
}

fn others(place: &Place) -> &'static str {
    if place.others { "and other paths" } else { "" }
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
pub(super) fn span(left: Duration) -> String {
    let seconds = whole_seconds(left);
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
