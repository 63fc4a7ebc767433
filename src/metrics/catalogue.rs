//! The metrics by name: what they count, and by which labels.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// What is said of a metric before anything is counted.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) labels: &'static [&'static str],
    kind: Kind,
    help: &'static str,
}

enum Kind {
    Counter,
    Gauge,
    /// In seconds.
    Histogram,
}

/// Tells the recorder what each metric is, for those that show it.
pub fn describe() {
    for Metric { name, kind, help, .. } in ALL {
        match kind {
            Kind::Counter => describe_counter!(*name, Unit::Count, *help),
            Kind::Gauge => describe_gauge!(*name, Unit::Count, *help),
            Kind::Histogram => describe_histogram!(*name, Unit::Seconds, *help),
        }
    }
}

pub(super) const CALLS: Metric = Metric {
    name: "esper_calls_total",
    labels: &["operation", "failure"],
    kind: Kind::Counter,
    help: "Calls of Esper that ended, by the kind of error or none.",
};
pub(super) const ATTEMPTS: Metric = Metric {
    name: "esper_attempts_total",
    labels: &["operation"],
    kind: Kind::Counter,
    help: "Requests that ended calls had handed to the network; beyond the calls, retries.",
};
pub(super) const CALL_DURATION: Metric = Metric {
    name: "esper_call_duration_seconds",
    labels: &["operation"],
    kind: Kind::Histogram,
    help: "How long calls took, with all of their attempts and waits.",
};
pub(super) const DECISIONS: Metric = Metric {
    name: "esper_decisions_total",
    labels: &["verdict", "source", "failure"],
    kind: Kind::Counter,
    help: "Decisions of guards, by the service or a fallback with its reason.",
};
pub(super) const DECISION_DURATION: Metric = Metric {
    name: "esper_decision_duration_seconds",
    labels: &["source"],
    kind: Kind::Histogram,
    help: "How long decisions of guards took.",
};
pub(super) const BREAKER: Metric = Metric {
    name: "esper_breaker_changes_total",
    labels: &["change"],
    kind: Kind::Counter,
    help: "How often breakers of guards opened, and closed again; a failed probe is neither.",
};
pub(super) const REQUESTS: Metric = Metric {
    name: "esper_requests_total",
    labels: &["verdict", "source", "mode"],
    kind: Kind::Counter,
    help: "Requests that reached the enforcement layer, by what was decided.",
};
pub(super) const CHALLENGES: Metric = Metric {
    name: "esper_challenges_total",
    labels: &["stage"],
    kind: Kind::Counter,
    help: "Challenges, by how far visitors came with them.",
};
pub(super) const REFUSALS: Metric = Metric {
    name: "esper_challenge_refusals_total",
    labels: &["reason"],
    kind: Kind::Counter,
    help: "Answers to challenges that gave no clearance.",
};
pub(super) const EVENTS: Metric = Metric {
    name: "esper_events_total",
    labels: &["outcome"],
    kind: Kind::Counter,
    help: "Events that queues accepted, delivered, and dropped.",
};
pub(super) const DROPPED: Metric = Metric {
    name: "esper_events_dropped_total",
    labels: &["reason"],
    kind: Kind::Counter,
    help: "Events that queues dropped.",
};
pub(super) const QUEUED: Metric = Metric {
    name: "esper_events_queued",
    labels: &[],
    kind: Kind::Gauge,
    help: "Events that wait in queues or are on their way.",
};

const ALL: &[Metric] = &[
    CALLS,
    ATTEMPTS,
    CALL_DURATION,
    DECISIONS,
    DECISION_DURATION,
    BREAKER,
    REQUESTS,
    CHALLENGES,
    REFUSALS,
    EVENTS,
    DROPPED,
    QUEUED,
];

#[cfg(all(test, feature = "beacons", feature = "tower"))]
mod tests {
    use super::super::family::Family;
    use super::super::{self as metrics, layer, queue};
    use super::*;

    /// The cells of a row: the labels of a metric, and the values of each.
    fn labels<const N: usize>(metric: &Metric, family: &Family<N>) -> [String; 2] {
        let quoted = |texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| format!("`{text}`")).collect();
            texts.join(", ")
        };
        let values: Vec<_> = family.values.iter().map(|values| quoted(values)).collect();
        [quoted(metric.labels), values.join("; ")]
    }

    #[test]
    fn the_table_in_the_documentation_has_each_metric_with_its_labels_and_their_values() {
        let labels = [
            labels(&CALLS, &metrics::CALLS),
            labels(&ATTEMPTS, &metrics::ATTEMPTS),
            labels(&CALL_DURATION, &metrics::CALL_DURATION),
            labels(&DECISIONS, &metrics::DECISIONS),
            labels(&DECISION_DURATION, &metrics::DECISION_DURATION),
            labels(&BREAKER, &metrics::BREAKER),
            labels(&REQUESTS, &layer::REQUESTS),
            labels(&CHALLENGES, &layer::CHALLENGES),
            labels(&REFUSALS, &layer::REFUSED),
            labels(&EVENTS, &queue::EVENTS),
            labels(&DROPPED, &queue::DROPPED),
            labels(&QUEUED, &queue::QUEUED),
        ];
        let head = "| metric | kind | labels | values | what it is |\n|---|---|---|---|---|\n";
        let rows = ALL.iter().zip(labels).map(|(Metric { name, kind, help, .. }, labels)| {
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let [labels, values] = labels;
            format!("| `{name}` | {kind} | {labels} | {values} | {help} |\n")
        });
        let table = head.to_owned() + &rows.collect::<String>();
        assert_eq!(include_str!("table.md"), table, "this is the right one:\n{table}");
    }
}
