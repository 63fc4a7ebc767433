//! What the enforcement layer counts.

use std::sync::LazyLock;

use super::family::{Family, Lazy};
use super::{Stage, VERDICTS, catalogue, verdict};
use crate::Decision;
use crate::enforce::{Mode, Refusal};

/// A request was decided about.
pub(crate) fn request(decision: &Decision, mode: Mode) {
    let values = [verdict(decision), decision.source.as_str(), mode.as_str()];
    REQUESTS.counter(values).increment(1);
}

/// A visitor has come so far with a challenge.
pub(crate) fn stage(stage: Stage) {
    CHALLENGES.counter([stage.as_str()]).increment(1);
}

/// What was handed in gave no clearance, for this reason.
pub(crate) fn refusal(reason: Refusal) {
    stage(Stage::Refused);
    REFUSED.counter([reason.as_str()]).increment(1);
}

pub(super) static REQUESTS: Lazy<3> = LazyLock::new(|| {
    let modes = Mode::ALL.iter().map(|mode| mode.as_str()).collect();
    Family::new(&catalogue::REQUESTS, [VERDICTS.to_vec(), SOURCES.to_vec(), modes])
});
pub(super) static CHALLENGES: Lazy<1> =
    LazyLock::new(|| Family::new(&catalogue::CHALLENGES, [Stage::ALL.map(Stage::as_str).to_vec()]));
pub(super) static REFUSED: Lazy<1> = LazyLock::new(|| {
    let reasons = Refusal::ALL.iter().map(|refusal| refusal.as_str()).collect();
    Family::new(&catalogue::REFUSALS, [reasons])
});

const SOURCES: [&str; 6] = ["service", "fallback", "cache", "clearance", "exempt", "no_address"];
