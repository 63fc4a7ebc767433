//! What the console shows, in words: the page fills its places with these members by their names.

use jiff::Timestamp;
use serde::Serialize;

use super::words::{action, detail, grouped, span, title};
use crate::console::journal::{self, Subject, excerpt};
use crate::engine::{self, PolicySummary};
use crate::faults::FaultStatus;

/// All that is shown at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    /// Where the sandbox is.
    pub(crate) url: String,
    #[serde(flatten)]
    pub(crate) plot: PlotView,
    /// The newest first.
    pub(crate) rows: Vec<RowView>,
    /// How many mitigations are in force.
    pub(crate) held: String,
    /// The newest mitigations in force, first the newest.
    pub(crate) mitigations: Vec<MitigationView>,
    /// How many more there are, if there are more.
    pub(crate) more: String,
    /// The policies in the order in which they are applied, as many as a person looks at.
    pub(crate) policies: Vec<PolicyView>,
    pub(crate) more_policies: String,
    /// Why the policies were refused when they were last read, if they were.
    pub(crate) mistake: String,
    /// The faults in the order in which they hit, as many as a person looks at.
    pub(crate) faults: Vec<FaultView>,
    pub(crate) more_faults: String,
}

/// How much happened in the last minutes, as paths and as numbers.
#[derive(Debug, Serialize)]
pub(crate) struct PlotView {
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
    pub(crate) minutes: Vec<MinuteView>,
}

#[derive(Debug, Serialize)]
pub(crate) struct MinuteView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) events: String,
    pub(crate) allowed: String,
    pub(crate) challenged: String,
    pub(crate) blocked: String,
}

/// Something that happened.
#[derive(Debug, Serialize)]
pub(crate) struct RowView {
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
pub(crate) struct MitigationView {
    id: String,
    tone: &'static str,
    action: &'static str,
    entity: String,
    reason: String,
    remaining: String,
    /// The path that lifts it, seen from the page, and the name of the button.
    lift: String,
    label: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct PolicyView {
    /// Its name, which no other has.
    id: String,
    tone: &'static str,
    action: &'static str,
    /// The beginning of a policy file with nothing but this policy.
    definition: String,
}

/// A fault that is on, or was until it was used up.
#[derive(Debug, Serialize)]
pub(crate) struct FaultView {
    id: String,
    tone: &'static str,
    operation: String,
    /// What goes wrong.
    does: String,
    /// How often it did, and how often it still will.
    hits: String,
}

impl RowView {
    /// Puts a row of the journal into words, which began at that time of day.
    pub(crate) fn new(row: &journal::Row, at: Timestamp) -> Self {
        let (visitor, user_agent) = match &row.subject {
            Subject::Visitor(visitor) => (visitor.ip.to_string(), visitor.user_agent.clone()),
            Subject::Entity(label) => (label.clone(), String::new()),
            Subject::Policies(file) => (file.clone(), String::new()),
            Subject::Nobody => ("no address".to_owned(), String::new()),
            Subject::Others => ("other visitors".to_owned(), String::new()),
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

impl From<engine::MitigationSummary> for MitigationView {
    fn from(mitigation: engine::MitigationSummary) -> Self {
        let (action, tone) = action(mitigation.kind);
        let entity = excerpt(&mitigation.entity, LONGEST);
        let policy = mitigation.policy.as_deref().unwrap_or("what was put by hand");
        Self {
            id: mitigation.id.to_string(),
            tone,
            action,
            lift: format!("console/mitigations/{}/lift", mitigation.id),
            label: format!("Lift {policy} of {entity}"),
            entity,
            reason: excerpt(&mitigation.reason, LONGEST),
            remaining: mitigation
                .remaining
                .map_or("until it is lifted".to_owned(), |left| format!("{} left", span(left))),
        }
    }
}

impl From<PolicySummary> for PolicyView {
    fn from(policy: PolicySummary) -> Self {
        let (action, tone) = action(policy.kind);
        let definition = policy.definition.trim();
        let lines = definition.lines().take(MOST_LINES);
        let mut shown: Vec<_> = lines.map(|line| excerpt(line, LONGEST)).collect();
        if definition.lines().count() > MOST_LINES {
            shown.push("…".to_owned());
        }
        Self { id: policy.name, tone, action, definition: shown.join("\n") }
    }
}

impl From<FaultStatus> for FaultView {
    fn from(fault: FaultStatus) -> Self {
        let left = match fault.left() {
            None => String::new(),
            Some(0) => ", used up".to_owned(),
            Some(left) => format!(", {} left", grouped(left)),
        };
        Self {
            id: fault.id().to_string(),
            tone: if fault.left() == Some(0) { "event" } else { "block" },
            operation: fault.operation().map_or("every operation".to_owned(), |it| it.to_string()),
            does: excerpt(fault.does(), LONGEST),
            hits: format!(
                "{} {}{left}",
                grouped(fault.hits()),
                if fault.hits() == 1 { "hit" } else { "hits" }
            ),
        }
    }
}

/// The most characters of a text.
const LONGEST: usize = 160;

/// The most lines of a policy's definition.
const MOST_LINES: usize = 40;
