//! Why a fault is not added.

use std::error::Error;
use std::fmt;

use super::CAPACITY;

/// Why a fault is not added.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultError {
    /// The fault makes no sense.
    #[non_exhaustive]
    Invalid {
        /// What of it is wrong, as the admin interface calls it.
        member: &'static str,
        /// What was expected.
        why: String,
    },
    /// There are a thousand faults already.
    TooMany,
}

impl FaultError {
    pub(super) fn invalid(member: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { member, why: why.into() }
    }
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { member, why } => write!(f, "{member}: {why}"),
            Self::TooMany => write!(f, "there are {CAPACITY} faults already; remove some first"),
        }
    }
}

impl Error for FaultError {}
