//! The keys behind everything that this site signs for its visitors.

use std::fmt;
use std::sync::{Arc, OnceLock};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;
use tracing::warn;

use crate::EsperError;

/// A secret that signs challenges and clearances. All replicas of a service need the same.
///
/// Make one with `openssl rand -base64 32`, and hand the line to every replica as it is, by an
/// environment variable or a mounted secret. Its characters are the key; nothing is decoded.
///
/// ```
/// use esper_rs_client::enforce::ClearanceKey;
///
/// let forgotten = ClearanceKey::new("replace-me-with-the-output-of-openssl-rand-base64-32");
/// assert!(forgotten.is_err());
/// ```
///
/// Its memory is wiped when the last clone is dropped. What it was read from is not.
#[derive(Clone)]
pub struct ClearanceKey {
    id: KeyId,
    secret: Arc<SecretSlice<u8>>,
}

/// The key that signs, and those that are still believed.
///
/// To change the key, first add the new one everywhere as a previous key, so that each replica
/// believes it; then let it sign, with the old one as the previous; and remove the old one after
/// the lifetime of a clearance. Who has no need for a seamless change can skip the first step.
///
/// ```no_run
/// use std::env;
/// use esper_rs_client::enforce::{ClearanceKey, ClearanceKeys};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = ClearanceKeys::new(ClearanceKey::new(env::var("CLEARANCE_KEY")?)?)
///     .with_previous(ClearanceKey::new(env::var("CLEARANCE_KEY_BEFORE")?)?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "keys do nothing until a layer has them"]
pub struct ClearanceKeys {
    current: ClearanceKey,
    previous: Vec<ClearanceKey>,
}

/// Says which key signed, and nothing about it.
pub(in crate::enforce) type KeyId = [u8; 4];

impl ClearanceKey {
    /// Takes text or bytes, at least 32 of them.
    ///
    /// # Errors
    ///
    /// Fails when the key is shorter than 32 bytes, has white space around it (which one replica
    /// may have and another not), has hardly any different characters, as one of zeros, or is the
    /// example of this documentation.
    pub fn new(secret: impl Into<Vec<u8>>) -> Result<Self, EsperError> {
        let mut given = secret.into();
        let key = Self::check(&given).map(|()| Self::unchecked(&given));
        given.zeroize();
        key
    }

    fn check(secret: &[u8]) -> Result<(), EsperError> {
        let what = if secret.len() < SHORTEST {
            "is shorter than 32 bytes"
        } else if secret.is_ascii() && secret.trim_ascii().len() < secret.len() {
            "has white space around it; remove it, and the line break of a file"
        } else if secret == EXAMPLE {
            "is the example of the documentation, which everyone knows"
        } else if different(secret) < FEWEST_DIFFERENT {
            "is hardly random"
        } else {
            return Ok(());
        };
        let message = format!("clearance key {what}; make one with: openssl rand -base64 32");
        Err(EsperError::validation("clearance_key", message))
    }

    fn unchecked(secret: &[u8]) -> Self {
        // A copy that fits: bytes with room to spare would be moved, and left behind.
        let secret: Arc<SecretSlice<u8>> = Arc::new(Box::<[u8]>::from(secret).into());
        let mut key = Self { id: KeyId::default(), secret };
        let name = key.hmac().chain_update(b"esper-rs-client key id").finalize().into_bytes();
        key.id.copy_from_slice(&name[..size_of::<KeyId>()]);
        key
    }

    fn random() -> Result<Self, EsperError> {
        let mut secret = [0; SHORTEST];
        let filled = getrandom::fill(&mut secret);
        let key = Self::unchecked(&secret);
        secret.zeroize();
        filled.map(|()| key).map_err(|_| {
            let message = "the system gives no random numbers; pass a clearance key".to_owned();
            EsperError::validation("clearance_key", message)
        })
    }

    pub(in crate::enforce) fn id(&self) -> KeyId {
        self.id
    }

    pub(in crate::enforce) fn hmac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.secret.expose_secret()).expect("hmac takes keys of any length")
    }
}

impl ClearanceKeys {
    /// Begins with the key that signs.
    pub fn new(key: ClearanceKey) -> Self {
        Self { current: key, previous: Vec::new() }
    }

    /// Adds a key that signs no more, or not yet: what it signed is believed until it is removed.
    pub fn with_previous(mut self, key: ClearanceKey) -> Self {
        self.previous.push(key);
        self
    }

    /// The key of a process that was given none. All of the process has the same, so that a
    /// challenge of one layer can be solved at another.
    ///
    /// # Errors
    ///
    /// Fails when the system gives no random numbers.
    pub(in crate::enforce) fn of_this_process() -> Result<Self, EsperError> {
        static MADE: OnceLock<ClearanceKey> = OnceLock::new();
        if let Some(key) = MADE.get() {
            return Ok(Self::new(key.clone()));
        }
        let key = ClearanceKey::random()?;
        Ok(Self::new(MADE.get_or_init(|| made_up(key)).clone()))
    }

    pub(in crate::enforce) fn current(&self) -> &ClearanceKey {
        &self.current
    }

    /// The keys that something may be signed with; more than one only by chance.
    pub(in crate::enforce) fn with_id(&self, id: KeyId) -> impl Iterator<Item = &ClearanceKey> {
        std::iter::once(&self.current).chain(&self.previous).filter(move |key| key.id == id)
    }
}

impl fmt::Debug for ClearanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.id);
        f.debug_struct("ClearanceKey")
            .field("id", &format_args!("{id:08x}"))
            .field("secret", &"[redacted]")
            .finish()
    }
}

/// Says what it means that nobody passed a key.
fn made_up(key: ClearanceKey) -> ClearanceKey {
    warn!(
        "no clearance key is set, so this process made one up: its visitors solve their challenges \
         again after a restart, and at each further replica; pass a ClearanceKey"
    );
    key
}

/// How many different bytes there are.
fn different(secret: &[u8]) -> usize {
    let mut seen = [false; 256];
    secret.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    seen.iter().filter(|seen| **seen).count()
}

/// In bytes; as many as the digest has.
const SHORTEST: usize = 32;
/// 32 random decimal digits have fewer than six different ones with a probability of about 6e-8.
const FEWEST_DIFFERENT: usize = 6;
const EXAMPLE: &[u8] = b"replace-me-with-the-output-of-openssl-rand-base64-32";

#[cfg(test)]
mod tests;
