//! Let in who presents a key, before anything else of the request is looked at.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::http::error::ApiError;
use crate::service::Service;
use crate::service::keys::KeyId;

/// A caller with `Authorization: Bearer KEY`, within the key's rate limit.
#[derive(Debug)]
pub(crate) struct Bearer(pub(crate) KeyId);

/// A caller with `X-Esper-Key: KEY`, within the key's rate limit.
#[derive(Debug)]
pub(crate) struct BeaconKey(pub(crate) KeyId);

impl FromRequestParts<Arc<Service>> for Bearer {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Self, ApiError> {
        let key = only(&parts.headers, AUTHORIZATION.as_str()).and_then(bearer);
        let key = key.and_then(|key| service.key(key));
        let key = key.ok_or_else(ApiError::no_bearer_key)?;
        service.admit(key)?;
        Ok(Self(key))
    }
}

impl FromRequestParts<Arc<Service>> for BeaconKey {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Self, ApiError> {
        let key = only(&parts.headers, "x-esper-key").and_then(|key| service.key(key));
        let key = key.ok_or_else(ApiError::no_beacon_key)?;
        service.admit(key)?;
        Ok(Self(key))
    }
}

/// The value of a header that came once. Of several keys, none is right.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

/// The key in `Bearer KEY`; the scheme's name may be in any case.
fn bearer(credentials: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = credentials.split_at_checked(SCHEME.len())?;
    (scheme.eq_ignore_ascii_case(SCHEME) && key.starts_with(b" ")).then(|| key.trim_ascii())
}

const SCHEME: &[u8] = b"bearer";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        for good in ["Bearer key", "bearer key", "BEARER  key"] {
            assert_eq!(bearer(good.as_bytes()), Some(&b"key"[..]), "{good}");
        }
        for bad in ["", "key", "Bearer", "Bearerkey", "Basic key", "Bearer\tkey"] {
            assert_eq!(bearer(bad.as_bytes()), None, "{bad}");
        }
    }
}
