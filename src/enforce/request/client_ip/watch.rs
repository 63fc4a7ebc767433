//! What looks wrong with the addresses, counted and logged once.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use http::header::HeaderMap;
use tracing::{error, warn};

use super::rules::MissingAddress;
use crate::stats::Counter;

/// A count of what [`ClientIpRules`](crate::enforce::ClientIpRules) and all of their clones met, since they
/// were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientIpStats {
    /// Requests whose connection had no address.
    pub missing: u64,
}

/// What the clones of rules share.
#[derive(Debug, Default)]
pub(super) struct Watch {
    missing: Counter,
    missing_is_told: AtomicBool,
    /// Whether the beginning is over, and with it the look at the addresses.
    settled: AtomicBool,
    beginning: Mutex<Beginning>,
}

/// The first requests, by which one sees whether a proxy hides all clients.
#[derive(Debug, Default)]
struct Beginning {
    requests: usize,
    forwarded: usize,
    /// The private addresses that forwarded requests came from; few.
    from: Vec<IpAddr>,
}

/// What the first requests say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    NotYet,
    Fine,
    HiddenByProxy,
}

impl Watch {
    pub(super) fn stats(&self) -> ClientIpStats {
        ClientIpStats { missing: self.missing.get() }
    }

    /// Notes a request whose connection has no address.
    pub(super) fn note_missing(&self, then: MissingAddress) {
        self.missing.add_one();
        if self.missing_is_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let then = match then {
            MissingAddress::Pass => {
                "every such request passes unchecked, unless its failure policy is closed"
            }
            MissingAddress::Refuse => "every such request is refused",
            MissingAddress::StandIn(_) => "every such request counts as that of the stand-in",
        };
        error!(
            then,
            "a connection has no address; serve the application with \
             into_make_service_with_connect_info::<SocketAddr>(), or see \
             ClientIpRules::with_missing_address"
        );
    }

    /// Notes the address that was found.
    pub(super) fn note_address(&self, address: IpAddr, headers: &HeaderMap) {
        // Nearly every time, this is all.
        if self.settled.load(Ordering::Relaxed) {
            return;
        }
        let mut beginning = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        let finding =
            beginning.note(address, || FORWARDING.iter().any(|name| headers.contains_key(*name)));
        if finding == Finding::NotYet || self.settled.swap(true, Ordering::Relaxed) {
            return;
        }
        drop(beginning);
        if finding == Finding::HiddenByProxy {
            warn!(
                %address,
                "all requests so far seem to come from a private address, with a forwarding header; \
                 behind a proxy? give its networks to ClientIpRules::behind_proxies"
            );
        }
    }
}

impl Beginning {
    fn note(&mut self, address: IpAddr, is_forwarded: impl FnOnce() -> bool) -> Finding {
        if !is_private(address) {
            return Finding::Fine;
        }
        self.requests += 1;
        if is_forwarded() {
            self.forwarded += 1;
            if !self.from.contains(&address) {
                self.from.push(address);
            }
        }
        if self.from.len() > FEW || self.requests == MANY {
            Finding::Fine
        } else if self.forwarded == ENOUGH {
            Finding::HiddenByProxy
        } else {
            Finding::NotYet
        }
    }
}

/// Whether an address says nothing about who a client is on the Internet.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Headers that nobody sends to an application that is reached directly.
const FORWARDING: &[&str] =
    &["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip"];
/// How many forwarded requests show that a proxy hides the clients.
const ENOUGH: usize = 100;
/// How many requests are looked at, at the most; probes carry no such header.
const MANY: usize = 10 * ENOUGH;
/// How many addresses the proxies before one application have, at the most.
const FEW: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(addresses: &[&str], is_forwarded: bool, times: usize) -> Finding {
        let mut beginning = Beginning::default();
        let mut addresses = addresses.iter().map(|text| text.parse().unwrap()).cycle();
        let findings =
            (0..times).map(|_| beginning.note(addresses.next().unwrap(), || is_forwarded));
        findings.last().unwrap()
    }

    #[test]
    fn where_every_request_shares_one_private_address_the_first_hundred_show_it() {
        for proxies in [&["10.0.0.1"][..], &["::1"], &["100.64.0.1", "fd00::1", "169.254.0.1"]] {
            assert_eq!(after(proxies, true, ENOUGH - 1), Finding::NotYet);
            assert_eq!(after(proxies, true, ENOUGH), Finding::HiddenByProxy);
        }
    }

    #[test]
    fn public_addresses_many_addresses_and_plain_requests_are_fine() {
        assert_eq!(after(&["203.0.113.7"], true, 1), Finding::Fine);
        let many: Vec<_> = (1..=5).map(|last| format!("10.0.0.{last}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(after(&many, true, 5), Finding::Fine);
        assert_eq!(after(&["10.0.0.1"], false, MANY - 1), Finding::NotYet);
        assert_eq!(after(&["10.0.0.1"], false, MANY), Finding::Fine);
    }
}
