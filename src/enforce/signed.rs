//! Tokens that only this site can have made: clearances, and envelopes around Esper's challenges.

pub(super) mod clearance;
pub(super) mod envelope;
pub(super) mod expiring_lru;
pub(super) mod identity;
pub(super) mod keys;
pub(super) mod secrets;
pub(super) mod token;
pub(super) mod validity;
