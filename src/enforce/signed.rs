//! Tokens that only this site can have made: clearances, and envelopes around Esper's challenges.

pub(super) mod binding;
pub(super) mod clearance;
pub(super) mod envelope;
pub(super) mod keys;
pub(super) mod recent;
pub(super) mod seal;
pub(super) mod secrets;
pub(super) mod validity;
