//! A fault that was added, and what became of it.

use serde::Serialize;

use super::{Fault, FaultId};
use crate::operation::Operation;

/// A fault that was added, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct FaultStatus {
    pub(super) id: FaultId,
    #[serde(flatten)]
    pub(super) fault: Fault,
    pub(super) does: String,
    pub(super) hits: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) left: Option<u64>,
}

impl FaultStatus {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> FaultId {
        self.id
    }

    /// The operation whose calls it hits; all if there is none.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        self.fault.operation
    }

    /// What it does, in words.
    #[must_use]
    pub fn does(&self) -> &str {
        &self.does
    }

    /// How many calls it hit.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits
    }

    /// How many more it will hit; without end if there is none.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.left
    }
}
