//! Gives whatever bytes as the headers that say where a request comes from.
//!
//! From an untrusted peer they must change nothing. Behind a trusted proxy, which writes the last
//! entry, whatever stands before that entry must change nothing.

use std::net::{IpAddr, Ipv4Addr};

use esper_rs_client::enforce::{ClientIpRules, ForwardingHeader};
use http::{HeaderMap, HeaderValue};

/// Finds addresses with the input in their headers, and panics where one is not right.
pub fn run(input: &[u8]) {
    let Ok(forged) = HeaderValue::from_bytes(input) else { return };
    let (peer, visitor) = (Ipv4Addr::new(203, 0, 113, 7).into(), Ipv4Addr::new(198, 51, 100, 9));
    let proxies = || ["10.0.0.0/8"];
    let rules = [
        ("x-forwarded-for", ClientIpRules::behind_proxies(proxies())),
        (
            "forwarded",
            ClientIpRules::behind_proxies_that_write(ForwardingHeader::Forwarded, proxies()),
        ),
        ("x-real-ip", ClientIpRules::behind_cdn("x-real-ip", proxies())),
    ];
    for (name, rules) in rules {
        let rules = rules.expect("rules");
        let mut headers = HeaderMap::new();
        headers.append(name, forged.clone());
        assert_eq!(rules.find(Some(peer), &headers).address(), Some(peer), "{name}: {forged:?}");
        let proxy = IpAddr::from([10, 0, 0, 1]);
        let found = rules.find(Some(proxy), &headers);
        assert!(found.address().is_some() && found.to_string().len() < 200, "{found}");
        // A proxy that adds to the header writes whom it was reached by into a line of its own.
        let written = match name {
            "forwarded" => format!("for={visitor}"),
            _ => visitor.to_string(),
        };
        headers.append(name, HeaderValue::try_from(written).expect("an address"));
        let found = rules.find(Some(proxy), &headers).address();
        let expected = if name == "x-real-ip" { proxy } else { visitor.into() };
        assert_eq!(found, Some(expected), "{name}: {forged:?}");
    }
}
