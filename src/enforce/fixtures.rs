//! What the tests of everything signed have in common.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::signed::identity::VisitorIdentity;
use super::{ClearanceKey, ClearanceKeys};
use crate::test_log::TestLog;

pub(super) const MS: Duration = Duration::from_millis(1);

pub(super) fn key(number: u8) -> ClearanceKey {
    ClearanceKey::new(format!("{number:03} pY3zqW0rT8mK5vN1xB7cL2dF9gH4jS6aQ")).unwrap()
}

pub(super) fn keys(number: u8) -> ClearanceKeys {
    ClearanceKeys::new(key(number))
}

pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_800_000_000_123)
}

/// The same visitor at some address.
pub(super) fn at(address: &str) -> VisitorIdentity<'static> {
    let address = Some(address.parse().unwrap());
    VisitorIdentity {
        site: "shop.example",
        other_name: "",
        user_agent: b"Mozilla/5.0 Firefox/140.0",
        address,
    }
}

pub(super) fn visitor() -> VisitorIdentity<'static> {
    at("192.0.2.1")
}

/// What is logged meanwhile.
pub(super) fn logged(during: impl FnOnce()) -> String {
    let (log, _guard) = TestLog::start();
    during();
    log.text()
}
