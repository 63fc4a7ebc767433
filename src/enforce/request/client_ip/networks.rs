//! Networks whose word is believed.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use crate::EsperError;

/// Networks of proxies; at least one, and none that is everybody.
#[derive(Clone, Debug)]
pub(super) struct Networks(Vec<IpNet>);

impl Networks {
    pub(super) fn parse(
        texts: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, EsperError> {
        let mut networks = Vec::new();
        for text in texts {
            match text.as_ref() {
                "loopback" => networks.extend(LOOPBACK.iter().filter_map(|text| network(text))),
                "private" => networks.extend(PRIVATE.iter().filter_map(|text| network(text))),
                text => networks.push(network(text).ok_or_else(|| {
                    invalid(
                        "has an entry that is no network; it looks like 10.0.0.0/8, 2001:db8::/32, \
                         an address, loopback or private",
                    )
                })?),
            }
        }
        if networks.is_empty() {
            return Err(invalid("is empty; give the networks of your proxies"));
        }
        if networks.iter().any(|network| network.prefix_len() == 0) {
            return Err(invalid(
                "has a network of every address, so that anybody could pass for anybody; give the \
                 networks of your proxies",
            ));
        }
        Ok(Self(networks))
    }

    /// Whether one of them has this canonical address.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// A network, or an address that means itself, with IPv4 as IPv4.
fn network(text: &str) -> Option<IpNet> {
    let network = match IpAddr::from_str(text) {
        Ok(address) => IpNet::from(address),
        Err(_) => IpNet::from_str(text).ok()?,
    };
    if let IpNet::V6(v6) = network
        && let (Some(v4), Some(prefix)) =
            (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96))
    {
        return Ipv4Net::new(v4, prefix).ok().map(IpNet::V4);
    }
    Some(network)
}

fn invalid(what: &str) -> EsperError {
    EsperError::validation("trusted_proxies", format!("trusted_proxies {what}"))
}

const LOOPBACK: &[&str] = &["127.0.0.0/8", "::1/128"];
const PRIVATE: &[&str] = &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

#[cfg(test)]
mod tests {
    use super::*;

    fn contain(networks: &[&str], address: &str) -> bool {
        Networks::parse(networks).unwrap().contain(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn trusted_entries_are_networks_and_never_text_patterns() {
        assert!(contain(&["1.2.3.4"], "1.2.3.4"));
        for other in ["11.2.3.45", "1.2.3.45", "11.2.3.4", "1.2.3.5", "::1.2.3.4"] {
            assert!(!contain(&["1.2.3.4"], other), "{other}");
        }
        assert!(contain(&["10.1.2.3/8"], "10.255.0.1"), "the bits of a host do not matter");
        assert!(!contain(&["10.0.0.0/8"], "11.0.0.1"));
        assert!(contain(&["::ffff:10.0.0.0/104"], "10.9.9.9"));
        assert!(contain(&["::ffff:10.0.0.1"], "10.0.0.1"));
        assert!(contain(&["2001:db8::/32"], "2001:db8:1::1"));
        assert!(contain(&["192.0.2.1", "::1"], "::1"));
    }

    #[test]
    fn the_words_for_networks_mean_all_of_them() {
        for address in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert!(
                contain(&["loopback"], address) && !contain(&["private"], address),
                "{address}"
            );
        }
        for address in ["10.0.0.1", "172.31.0.1", "192.168.9.9", "fd00::1"] {
            assert!(
                contain(&["private"], address) && !contain(&["loopback"], address),
                "{address}"
            );
        }
        assert!(!contain(&["loopback", "private"], "172.32.0.1"));
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_next_step() {
        for text in ["", " ", "10.0.0.0/33", "10.0.0", "10.*", "proxy", "Private", "fe80::1%eth0"] {
            let error = Networks::parse(["10.0.0.0/8", text]).unwrap_err().to_string();
            assert!(
                error.starts_with("trusted_proxies has an entry that is no network"),
                "{error}"
            );
        }
        for text in ["0.0.0.0/0", "::/0", "1.2.3.4/0", "::ffff:0.0.0.0/96"] {
            let error = Networks::parse([text]).unwrap_err().to_string();
            assert!(error.contains("every address"), "{text}: {error}");
        }
        let error = Networks::parse([""; 0]).unwrap_err().to_string();
        assert_eq!(error, "trusted_proxies is empty; give the networks of your proxies");
    }
}
