//! Hand out tokens that only this sandbox can have written, and read them back.

use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

/// Signs tokens with a secret that begins and ends with the sandbox.
pub(crate) struct Signer {
    mac: Hmac<Sha256>,
}

impl Signer {
    pub(crate) fn new() -> io::Result<Self> {
        let mut secret = [0; 64];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        Ok(Self { mac: Hmac::new(&secret.into()) })
    }

    /// Writes claims into a token, good for one purpose alone.
    pub(crate) fn sign(
        &self,
        purpose: &str,
        claims: &impl Serialize,
    ) -> serde_json::Result<String> {
        let claims = serde_json::to_vec(claims)?;
        let signature = self.mac(purpose, &claims).finalize().into_bytes();
        Ok(format!("{}.{}", URL_SAFE_NO_PAD.encode(&claims), URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Reads the claims of a token that [`Signer::sign`] wrote for the same purpose.
    pub(crate) fn open<T: DeserializeOwned>(&self, purpose: &str, token: &str) -> Option<T> {
        // Nothing of this length was ever written, so no work is spent on it.
        if token.len() > LONGEST {
            return None;
        }
        let (claims, signature) = token.split_once('.')?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.mac(purpose, &claims).verify_slice(&signature).ok()?;
        serde_json::from_slice(&claims).ok()
    }

    /// The purpose goes in with its length first, so that it cannot run into the claims.
    fn mac(&self, purpose: &str, claims: &[u8]) -> Hmac<Sha256> {
        let mac = self.mac.clone();
        mac.chain_update((purpose.len() as u64).to_be_bytes())
            .chain_update(purpose)
            .chain_update(claims)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// The longest token that is read. It has room for the longest URL that a token carries.
const LONGEST: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn open(signer: &Signer, purpose: &str, token: &str) -> Option<u32> {
        signer.open(purpose, token)
    }

    #[test]
    fn a_token_is_read_for_its_purpose_by_its_signer_alone() {
        let signer = Signer::new().expect("a signer");
        let token = signer.sign("challenge", &7).expect("a token");
        assert_eq!(open(&signer, "challenge", &token), Some(7));
        assert_eq!(open(&signer, "proof", &token), None);
        assert_eq!(open(&Signer::new().expect("another"), "challenge", &token), None);
    }

    #[test]
    fn a_purpose_does_not_run_into_the_claims() {
        let signer = Signer::new().expect("a signer");
        let (one, other) = (signer.mac("a1", b"23"), signer.mac("a", b"123"));
        assert_ne!(one.finalize().into_bytes(), other.finalize().into_bytes());
    }

    #[test]
    fn a_changed_token_is_not_read() {
        let signer = Signer::new().expect("a signer");
        let token = signer.sign("challenge", &123_456).expect("a token");
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ascii");
            assert_eq!(open(&signer, "challenge", &changed), None, "{changed}");
        }
        for garbage in ["", ".", "..", "a.b", "é.é", &token[1..], &"A".repeat(1 << 20)] {
            assert_eq!(open(&signer, "challenge", garbage), None);
        }
    }
}
