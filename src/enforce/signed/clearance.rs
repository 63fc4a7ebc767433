//! The cookie of a visitor who solved a challenge.
//!
//! It is signed and not encrypted: who has it can read when it ends and which network it is for.
//! Nothing here ever removes one: a challenge that fails in one tab leaves what another tab got.

mod options;

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Once;
use std::time::SystemTime;

use http::{HeaderMap, HeaderValue};
use tracing::warn;

pub use options::ClearanceOptions;

use super::expiring_lru::ExpiringLru;
use super::identity::{NetworkRelation, NetworkScope, VisitorIdentity};
use super::keys::ClearanceKeys;
use super::token::{Domain, Verified};
use super::validity::{Validity, millis};
use crate::enforce::refusal::Refusal;
use crate::enforce::request::cookies;

/// Issues clearances and recognises them.
pub(in crate::enforce) struct Clearances {
    keys: ClearanceKeys,
    options: ClearanceOptions,
    /// The network of the other kind in which a cookie was first shown.
    second_scopes: ExpiringLru<Option<NetworkScope>>,
    plain_warning: Once,
}

impl Clearances {
    pub(in crate::enforce) fn new(keys: ClearanceKeys, options: ClearanceOptions) -> Self {
        let second_scopes = ExpiringLru::new(SECOND_SCOPES);
        Self { keys, options, second_scopes, plain_warning: Once::new() }
    }

    /// The `Set-Cookie` for a visitor whose solution Esper accepted. It replaces the visitor's
    /// earlier clearance.
    pub(in crate::enforce) fn issue(
        &self,
        visitor: &VisitorIdentity<'_>,
        now: SystemTime,
    ) -> HeaderValue {
        let validity = Validity::new(now, self.options.lifetime);
        let scope = visitor.scope(self.options.binding).to_text();
        let fields: [&[u8]; 3] = [&validity.to_bytes(), &visitor.digest(), scope.as_bytes()];
        let value = self.keys.sign(Domain::Clearance, fields);

        let (name, secure) =
            if self.is_plain(visitor) { (PLAIN_NAME, "") } else { (NAME, "; Secure") };
        let seconds = self.options.lifetime.as_secs();
        let cookie =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        let mut cookie = HeaderValue::try_from(cookie).expect("base64url fits into a header");
        cookie.set_sensitive(true);
        cookie
    }

    /// Whether a request shows a clearance that is its visitor's. Anything else in cookies of that
    /// name counts as absent.
    pub(in crate::enforce) fn holds(
        &self,
        headers: &HeaderMap,
        visitor: &VisitorIdentity<'_>,
        now: SystemTime,
    ) -> bool {
        let name = if is_on_this_machine(visitor) { PLAIN_NAME } else { NAME };
        cookies::named(headers, name)
            .filter(|value| !value.is_empty() && value.len() <= Domain::Clearance.longest())
            .take(CANDIDATES)
            .any(|value| self.check(value, visitor, now).is_ok())
    }

    fn check(
        &self,
        value: &[u8],
        visitor: &VisitorIdentity<'_>,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let Verified { fields: [validity, digest, scope], id } =
            self.keys.verify(Domain::Clearance, value)?;
        let validity = Validity::from_bytes(&validity).ok_or(Refusal::Malformed)?;
        let scope = NetworkScope::from_text(&scope).ok_or(Refusal::Malformed)?;
        validity.check(now)?;
        if digest != visitor.digest() {
            return Err(Refusal::OtherVisitor);
        }
        let here = visitor.scope(self.options.binding);
        let admitted = match scope.relation_to(here) {
            NetworkRelation::Same => true,
            NetworkRelation::Elsewhere => false,
            // Else one solved challenge would be good for every network of the other kind.
            NetworkRelation::OtherFamily => {
                let (until, now) = (validity.expires(), millis(now));
                self.second_scopes.with(id, until, now, |first| *first.get_or_insert(here) == here)
            }
        };
        if admitted { Ok(()) } else { Err(Refusal::OtherVisitor) }
    }

    fn is_plain(&self, visitor: &VisitorIdentity<'_>) -> bool {
        let plain = is_on_this_machine(visitor);
        if plain {
            self.plain_warning.call_once(|| {
                warn!(
                    "the clearance cookie for a site on this machine is set without Secure, as \
                     {PLAIN_NAME}; if this is a proxy in front of a public site, let it pass the \
                     Host header on and name it as trusted"
                );
            });
        }
        plain
    }
}

/// Whether a visitor looks at a site on their own machine, where there is usually no TLS.
///
/// The host alone does not say so: a proxy may put its own in place of the public one. A private
/// address is that of a container's host.
fn is_on_this_machine(visitor: &VisitorIdentity<'_>) -> bool {
    let host = match visitor.site.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => visitor.site.split(':').next(),
    };
    let host = host.unwrap_or_default().to_ascii_lowercase();
    let local = host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
    local
        && visitor.address.is_some_and(|address| match address.to_canonical() {
            IpAddr::V4(address) => address.is_loopback() || address.is_private(),
            IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
        })
}

/// The prefix makes browsers refuse it from a sibling domain, from plain http, and for less than
/// the whole site.
const NAME: &str = "__Host-esper_challenge";
const PLAIN_NAME: &str = "esper_challenge";
/// How many cookies of the name are looked at. A browser has one.
const CANDIDATES: usize = 8;
/// About 2 MiB when it is full.
const SECOND_SCOPES: NonZeroUsize = NonZeroUsize::new(16 * 1024).unwrap();

#[cfg(test)]
mod tests;
