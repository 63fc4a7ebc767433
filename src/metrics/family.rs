//! One metric, with all of its series.

use std::collections::HashMap;
use std::sync::LazyLock;

use metrics::{Counter, Histogram, Key, Label, Level, Metadata, with_recorder};

use super::catalogue::Metric;

/// A metric whose series are known beforehand: one for each combination of its labels' values.
///
/// Another series cannot be made, and to find one allocates nothing.
pub(super) struct Family<const N: usize> {
    /// Those of each label, for the documentation.
    #[cfg(all(test, feature = "tower"))]
    pub(super) values: [Vec<&'static str>; N],
    keys: HashMap<[&'static str; N], Key>,
}

pub(super) type Lazy<const N: usize> = LazyLock<Family<N>>;

impl<const N: usize> Family<N> {
    /// With the values that each of its labels may have, in their order.
    pub(super) fn new(metric: &Metric, values: [Vec<&'static str>; N]) -> Self {
        assert_eq!(metric.labels.len(), N, "the labels of {}", metric.name);
        let mut combinations = vec![[""; N]];
        for (at, values) in values.iter().enumerate() {
            let with = |combination: [&'static str; N]| {
                values.iter().map(move |value| {
                    let mut combination = combination;
                    combination[at] = value;
                    combination
                })
            };
            combinations = combinations.into_iter().flat_map(with).collect();
        }
        let key = |combination: [&'static str; N]| {
            let labels = metric.labels.iter().zip(combination);
            let labels: Vec<_> =
                labels.map(|(label, value)| Label::from_static_parts(label, value)).collect();
            (combination, Key::from_parts(metric.name, labels))
        };
        Self {
            keys: combinations.into_iter().map(key).collect(),
            #[cfg(all(test, feature = "tower"))]
            values,
        }
    }

    pub(super) fn counter(&self, values: [&'static str; N]) -> Counter {
        let register = |key| with_recorder(|recorder| recorder.register_counter(key, &METADATA));
        self.key(&values).map_or_else(Counter::noop, register)
    }

    pub(super) fn histogram(&self, values: [&'static str; N]) -> Histogram {
        let register = |key| with_recorder(|recorder| recorder.register_histogram(key, &METADATA));
        self.key(&values).map_or_else(Histogram::noop, register)
    }

    #[cfg(feature = "beacons")]
    pub(super) fn gauge(&self, values: [&'static str; N]) -> metrics::Gauge {
        let register = |key| with_recorder(|recorder| recorder.register_gauge(key, &METADATA));
        self.key(&values).map_or_else(metrics::Gauge::noop, register)
    }

    fn key(&self, values: &[&'static str; N]) -> Option<&Key> {
        let key = self.keys.get(values);
        debug_assert!(key.is_some(), "{values:?} is listed nowhere");
        key
    }
}

static METADATA: Metadata<'static> =
    Metadata::new("esper_rs_client", Level::INFO, Some("esper_rs_client"));

#[cfg(test)]
mod tests {
    use super::super::catalogue;
    use super::*;

    #[test]
    fn a_family_has_a_series_for_each_combination_and_no_other() {
        let values = [vec!["allow", "block"], vec!["service", "cache"], vec!["enforce"]];
        let family = Family::new(&catalogue::REQUESTS, values);
        assert_eq!(family.keys.len(), 4);
        let key = family.key(&["block", "cache", "enforce"]).expect("one of them");
        let labels: Vec<_> = key.labels().map(|label| (label.key(), label.value())).collect();
        assert_eq!(labels, [("verdict", "block"), ("source", "cache"), ("mode", "enforce")]);
        assert!(!family.keys.contains_key(&["block", "cache", "/a/path"]));
    }
}
