//! The way from the peer to the client, over addresses that are trusted.

use std::net::IpAddr;

use super::ClientIpSource;
use super::networks::Networks;

/// Follows the entries of a header, from the right, for as long as they are trusted.
///
/// The peer has to be trusted already.
pub(super) fn from(
    peer: IpAddr,
    trusted: &Networks,
    entries: impl Iterator<Item = Option<IpAddr>>,
) -> (IpAddr, ClientIpSource) {
    let (mut last, mut hops) = (peer, 1);
    for entry in entries {
        match entry {
            Some(address) if !trusted.contain(address) => {
                return (address, ClientIpSource::Forwarded { hops });
            }
            Some(address) if hops < MOST_HOPS => (last, hops) = (address, hops + 1),
            _ => return (last, ClientIpSource::CutShort { hops }),
        }
    }
    (last, ClientIpSource::OnlyTrusted { hops })
}

/// More proxies than anybody has in a row. A header that names only trusted addresses is read no
/// further.
const MOST_HOPS: usize = 64;
