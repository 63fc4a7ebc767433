//! Authenticated tokens: text that only this site can have written.
//!
//! A token is the base64url form, without padding, of a version, the id of the key, the fields,
//! each after its length, and an HMAC-SHA256 of all that and of what the token is for. There is one
//! algorithm, so the token names none.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::keys::{ClearanceKey, ClearanceKeys, KeyId};
use crate::enforce::refusal::Refusal;

/// What a token is for. One that was signed for one domain is none of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::enforce) enum Domain {
    Clearance,
    Challenge,
}

/// The content of a token that one of the keys signed.
#[derive(Debug)]
pub(in crate::enforce) struct Verified<const N: usize> {
    pub(in crate::enforce) fields: [Vec<u8>; N],
    /// Tells this token from every other.
    pub(in crate::enforce) id: [u8; 16],
}

impl ClearanceKeys {
    /// Makes a token of fields, signed by the current key.
    pub(in crate::enforce) fn sign<const N: usize>(
        &self,
        domain: Domain,
        fields: [&[u8]; N],
    ) -> String {
        let key = self.current();
        let mut text = encode_fields(key.id(), &fields);
        let mac = mac(key, domain, &text).finalize().into_bytes();
        text.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(text)
    }

    /// Reads the fields of a token that one of the keys signed.
    ///
    /// What is longer than the domain allows costs a look at its length.
    pub(in crate::enforce) fn verify<const N: usize>(
        &self,
        domain: Domain,
        text: &[u8],
    ) -> Result<Verified<N>, Refusal> {
        if text.len() > domain.longest() {
            return Err(Refusal::Malformed);
        }
        let text = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Malformed)?;
        let (signed, given) = text.split_last_chunk::<MAC>().ok_or(Refusal::Malformed)?;
        let (version, rest) = signed.split_first().ok_or(Refusal::Malformed)?;
        let (id, fields) = rest.split_first_chunk::<KEY_ID>().ok_or(Refusal::Malformed)?;
        if *version != VERSION {
            return Err(Refusal::Malformed);
        }

        let mut keys = self.with_id(*id).peekable();
        keys.peek().ok_or(Refusal::UnknownKey)?;
        // In constant time, whatever is given.
        if !keys.any(|key| mac(key, domain, signed).verify_slice(given).is_ok()) {
            return Err(Refusal::BadSignature);
        }
        let fields = decode_fields(fields).ok_or(Refusal::Malformed)?;
        let mut id = [0; 16];
        id.copy_from_slice(&given[..16]);
        Ok(Verified { fields, id })
    }
}

impl Domain {
    /// The longest token of this domain, in characters.
    pub(in crate::enforce) const fn longest(self) -> usize {
        match self {
            Self::Clearance => 256,
            Self::Challenge => 12 * 1024,
        }
    }

    const fn name(self) -> &'static [u8] {
        match self {
            Self::Clearance => b"esper-rs-client clearance",
            Self::Challenge => b"esper-rs-client challenge",
        }
    }
}

/// Appends a field after its length, so that no two lists of fields give the same bytes.
pub(in crate::enforce) fn put_field(bytes: &mut Vec<u8>, field: &[u8]) {
    // Nothing that gets here has 4 GiB; it would not open again.
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(field);
}

/// What is signed, as it stands in the token.
fn encode_fields(id: KeyId, fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&id);
    fields.iter().for_each(|field| put_field(&mut bytes, field));
    bytes
}

fn mac(key: &ClearanceKey, domain: Domain, signed: &[u8]) -> Hmac<Sha256> {
    key.hmac().chain_update(domain_separator(domain)).chain_update(signed)
}

/// The part of the MAC's input that is not in the token.
fn domain_separator(domain: Domain) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    put_field(&mut bytes, domain.name());
    bytes
}

/// So many fields, and nothing after them.
fn decode_fields<const N: usize>(mut bytes: &[u8]) -> Option<[Vec<u8>; N]> {
    let mut fields = [const { Vec::new() }; N];
    for field in &mut fields {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (value, rest) = rest.split_at_checked(length)?;
        *field = value.to_vec();
        bytes = rest;
    }
    bytes.is_empty().then_some(fields)
}

const VERSION: u8 = 1;
const KEY_ID: usize = size_of::<KeyId>();
const MAC: usize = 32;

#[cfg(test)]
mod tests;
