//! Reads the text format of Prometheus.

/// What a scrape shows.
#[derive(Debug)]
pub(super) struct Scrape {
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Scrape {
    /// Reads each line, or fails.
    pub(super) fn parse(text: &str) -> Self {
        let mut described = Vec::new();
        let mut samples = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            match line.strip_prefix("# ") {
                Some(comment) => {
                    let mut words = comment.splitn(3, ' ');
                    assert!(matches!(words.next(), Some("HELP" | "TYPE")), "{line}");
                    described.push(words.next().expect("a name").to_owned());
                    assert!(words.next().is_some_and(|rest| !rest.is_empty()), "{line}");
                }
                None => samples.push(sample(line).unwrap_or_else(|| panic!("no sample: {line}"))),
            }
        }
        for Sample { name, .. } in &samples {
            assert!(described.iter().any(|known| name.starts_with(known)), "{name} has no type");
        }
        Self { samples }
    }

    /// The value of one series, with its labels in any order.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found = self.samples.iter().find(|sample| {
            let has = |(label, value): &(&str, &str)| {
                sample.labels.iter().any(|(own, held)| own == label && held == value)
            };
            sample.name == name && sample.labels.len() == labels.len() && labels.iter().all(has)
        });
        found.map(|sample| sample.value)
    }

    pub(super) fn series(&self) -> usize {
        self.samples.len()
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else {
        return Some(Sample { name: series.to_owned(), labels: Vec::new(), value });
    };
    // None of our values has a comma or a quotation mark in it.
    let labels = labels.strip_suffix('}')?.split(',').map(|label| {
        let (label, value) = label.split_once('=')?;
        Some((label.to_owned(), value.strip_prefix('"')?.strip_suffix('"')?.to_owned()))
    });
    Some(Sample { name: name.to_owned(), labels: labels.collect::<Option<_>>()?, value })
}
