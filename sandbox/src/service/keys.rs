//! Digests of the API keys, to find the one that a request presents.

use std::fmt;
use std::io;

use axum::http::HeaderValue;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// The keys that the sandbox accepts, as digests.
///
/// Digests have one length, so that a comparison does not tell the length of a key either.
pub(crate) struct ApiKeys(Vec<[u8; 32]>);

/// One of the accepted keys, by its place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyId(u32);

impl ApiKeys {
    /// Refuses keys that no request could present.
    pub(crate) fn new(keys: &[String]) -> io::Result<Self> {
        for key in keys {
            check(key)?;
        }
        Ok(Self(keys.iter().map(|key| digest(key.as_bytes())).collect()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Finds a key in a time that depends on nothing but how many keys there are.
    pub(crate) fn find(&self, presented: &[u8]) -> Option<KeyId> {
        let presented = digest(presented);
        let mut found = Choice::from(0);
        let mut place = 0;
        for (index, key) in (0..).zip(&self.0) {
            let equal = key.ct_eq(&presented);
            place.conditional_assign(&index, equal);
            found |= equal;
        }
        bool::from(found).then_some(KeyId(place))
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.len())
    }
}

impl KeyId {
    #[cfg(test)]
    pub(crate) const FIRST: Self = Self(0);
    #[cfg(test)]
    pub(crate) const SECOND: Self = Self(1);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

fn check(key: &str) -> io::Result<()> {
    let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if key.is_empty() {
        return refuse("an api key is empty; leave it out or give it a value");
    }
    // White space around a header's value does not arrive.
    if !key.is_ascii() || key.trim() != key || HeaderValue::from_str(key).is_err() {
        return refuse("an api key does not fit into a header; use visible ascii characters alone");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[&str]) -> io::Result<ApiKeys> {
        ApiKeys::new(&keys.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn each_key_is_found_and_no_other() {
        let keys = keys(&["first", "second"]).expect("good keys");
        assert_eq!(keys.find(b"first"), Some(KeyId::FIRST));
        assert_eq!(keys.find(b"second"), Some(KeyId::SECOND));
        for wrong in ["", "firs", "first ", "First", "firstsecond"] {
            assert_eq!(keys.find(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_refused_without_being_shown() {
        for key in ["", "sec\nret", "secret ", "\tsecret", "sécret", "sec\0ret"] {
            let error = keys(&["good", key]).expect_err(key);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(!error.to_string().contains("ret"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", keys(&["secret"]).expect("a good key")), "ApiKeys(1)");
    }
}
