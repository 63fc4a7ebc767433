//! Try policies on their own, at times of one's choice.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clock::Moment;
use crate::engine::attributes::Attributes;
use crate::engine::policy::{MitigationAction, PolicySet};
use crate::engine::{ActiveMitigation, Analysis};
use crate::policy_file::PolicyError;
use crate::wire::{InvalidRequest, MitigationResponse, read};

/// Policies without a server and without a clock: what would they decide, after these events?
///
/// Nothing waits, so that a test of a policy with a window of an hour takes a moment. Every event
/// counts, whether or not it was delivered before.
///
/// ```
/// use std::time::Duration;
///
/// use esper_sandbox::{Rehearsal, STARTER_POLICIES};
/// use serde_json::json;
///
/// let mut rehearsal = Rehearsal::of(STARTER_POLICIES).expect("no mistake");
/// for _ in 0..61 {
///     rehearsal.event(&json!({ "type": "http_request", "ip": "203.0.113.7" }))?;
/// }
/// let request = json!({ "ip": "203.0.113.7" });
/// assert_eq!(rehearsal.decide(&request)?["action"], "challenge");
///
/// rehearsal.advance(Duration::from_secs(60));
/// assert_eq!(rehearsal.decide(&request)?["action"], "allow");
/// # Ok::<(), esper_sandbox::InvalidRequest>(())
/// ```
pub struct Rehearsal {
    analysis: Analysis,
    now: Moment,
}

impl Rehearsal {
    /// Begins with the text of a policy file, and nothing learnt.
    ///
    /// # Errors
    ///
    /// Fails with the first mistake and its place.
    pub fn of(policies: &str) -> Result<Self, PolicyError> {
        let analysis = Analysis::new(PolicySet::parse(policies)?);
        Ok(Self { analysis, now: Moment::START })
    }

    /// Lets time pass.
    pub fn advance(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// Learns from an event, in the form that the API gives it.
    ///
    /// # Errors
    ///
    /// Fails when the API would refuse the event.
    pub fn event(&mut self, event: &impl Serialize) -> Result<(), InvalidRequest> {
        let event = over_the_wire(event)?;
        let attributes = Attributes::of_event(&event)?;
        self.analysis.observe(&attributes, self.now);
        // Nobody is told here what has ended.
        self.analysis.take_ended();
        Ok(())
    }

    /// Solves the challenge of a request's decision, if it has one.
    ///
    /// # Errors
    ///
    /// Fails when the API would refuse the request.
    pub fn pass(&mut self, request: &impl Serialize) -> Result<(), InvalidRequest> {
        let request = over_the_wire(request)?;
        let attributes = Attributes::of_request(&request)?;
        let mitigation = self.analysis.assess(&attributes, self.now).mitigation;
        if let Some(ActiveMitigation { entity, action: MitigationAction::Challenge(_), .. }) =
            mitigation
        {
            self.analysis.lift_challenges(entity);
        }
        Ok(())
    }

    /// Decides about a request, in the form that the API gives it. The decision is as the API
    /// gives it too, without the challenge itself.
    ///
    /// # Errors
    ///
    /// Fails when the API would refuse the request.
    pub fn decide(&self, request: &impl Serialize) -> Result<Value, InvalidRequest> {
        let request = over_the_wire(request)?;
        let attributes = Attributes::of_request(&request)?;
        let response = MitigationResponse::from(self.analysis.assess(&attributes, self.now));
        // Its members are JSON already, so that it can be written.
        Ok(serde_json::to_value(response).unwrap_or_default())
    }
}

impl fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rehearsal").field("now", &self.now).finish_non_exhaustive()
    }
}

/// A body as the API would read it.
fn over_the_wire<T: DeserializeOwned>(body: &impl Serialize) -> Result<T, InvalidRequest> {
    let json = serde_json::to_vec(body);
    let json = json.map_err(|error| InvalidRequest::whole(format!("this is no JSON: {error}")))?;
    read(&json)
}
