//! What a layer signs with, made when it is needed first.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::error;

use super::clearance::{ClearanceOptions, Clearances};
use super::envelope::Envelopes;
use super::keys::ClearanceKeys;

/// The clearances and the envelopes of a layer; its clones share them.
#[derive(Clone, Default)]
pub(in crate::enforce) struct Secrets {
    keys: Option<ClearanceKeys>,
    options: ClearanceOptions,
    signers: Arc<OnceLock<Signers>>,
}

/// Who signs.
pub(in crate::enforce) struct Signers {
    pub(in crate::enforce) clearances: Clearances,
    pub(in crate::enforce) envelopes: Envelopes,
}

impl Secrets {
    pub(in crate::enforce) fn with_keys(self, keys: ClearanceKeys) -> Self {
        Self { keys: Some(keys), options: self.options, signers: Arc::default() }
    }

    pub(in crate::enforce) fn with_options(self, options: ClearanceOptions) -> Self {
        Self { keys: self.keys, options, signers: Arc::default() }
    }

    pub(in crate::enforce) fn challenge_lifetime(&self) -> Duration {
        self.options.challenge_lifetime
    }

    /// Those who sign. Without a key, one is made; while the system gives no random numbers there
    /// is nobody, and no challenge can be solved.
    pub(in crate::enforce) fn signers(&self) -> Option<&Signers> {
        if let Some(signers) = self.signers.get() {
            return Some(signers);
        }
        let keys = self.keys.clone().map_or_else(ClearanceKeys::of_this_process, Ok);
        let keys = keys.inspect_err(|error| error!(%error, "no challenge can be solved")).ok()?;
        Some(self.signers.get_or_init(|| Signers {
            clearances: Clearances::new(keys.clone(), self.options),
            envelopes: Envelopes::new(keys, self.options),
        }))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("keys", &self.keys).finish_non_exhaustive()
    }
}
