//! Chance that a seed repeats.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A number that looks like any, and is always the same for the same.
pub(crate) fn draw(seed: u64, what: &str, number: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, what, number).hash(&mut hasher);
    hasher.finish()
}
