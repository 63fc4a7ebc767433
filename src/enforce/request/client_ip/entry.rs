//! An address, read as the proxies of this world write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address in an entry, if there is one that somebody can have.
///
/// It may have a port, with or without brackets as its kind demands, and a zone.
pub(super) fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = entry.trim_ascii();
    if entry.len() > LONGEST {
        return None;
    }
    let text = str::from_utf8(entry).ok()?;
    let address = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']')?;
            if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
                return None;
            }
            v6(address)?.into()
        }
        // One colon is that of a port, for no IPv6 address has so few.
        None => match text.split_once(':') {
            None => text.parse::<Ipv4Addr>().ok()?.into(),
            Some((address, port)) if is_port(port) && !address.is_empty() => {
                address.parse::<Ipv4Addr>().ok()?.into()
            }
            Some(_) => v6(text)?.into(),
        },
    };
    let address = IpAddr::to_canonical(&address);
    (!address.is_unspecified() && !address.is_multicast()).then_some(address)
}

/// An IPv6 address, whose zone means nothing on another machine.
fn v6(text: &str) -> Option<Ipv6Addr> {
    let address = match text.split_once('%') {
        None => text,
        Some((address, zone)) => {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-%".contains(&byte);
            if zone.is_empty() || !zone.bytes().all(fits) {
                return None;
            }
            address
        }
    };
    address.parse().ok()
}

/// A number, or the name that RFC 7239 lets a proxy put in its place.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !name.is_empty() && name.bytes().all(fits)
        }
        None => text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok(),
    }
}

/// The longest entry, in bytes, without the blanks around it.
const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_brackets_zones_and_mapped_addresses_normalise_to_one_key() {
        let v4 = ["192.0.2.1", " 192.0.2.1\t", "192.0.2.1:80", "192.0.2.1:_x", "::ffff:192.0.2.1"];
        let mapped = ["[::ffff:192.0.2.1]:80", "[::FFFF:c000:201%eth0]", "::ffff:c000:201%1"];
        for text in v4.iter().chain(&mapped) {
            assert_eq!(address(text.as_bytes()), "192.0.2.1".parse().ok(), "{text}");
        }
        for text in ["2001:db8::1", "[2001:DB8:0::1]", "[2001:db8::1]:65535", "2001:db8::1%25en0"] {
            assert_eq!(address(text.as_bytes()), "2001:db8::1".parse().ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_of_anybody_is_none() {
        let refused = [
            "",
            " ",
            "unknown",
            "_hidden",
            "_",
            "-",
            "null",
            "localhost",
            "a.example",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "0x1.2.3.4",
            "16909060",
            "1.2.3.256",
            "1.2.3.4:",
            "1.2.3.4:x",
            "1.2.3.4:65536",
            "1.2.3.4:+1",
            "1.2.3.4:_",
            "1.2.3.4:_a b",
            "1.2.3.4/32",
            "1.2.3.4%eth0",
            "1.2.3.4 5",
            "1.2.3.4\0",
            "[1.2.3.4]",
            "[1.2.3.4]:80",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:",
            "[::1]:99999",
            "[::1%]",
            "::1%",
            "::1%a b",
            ":80",
            "[]",
            "[]:80",
            "\"1.2.3.4\"",
            "1.2.3.4;6.6.6.6",
            "1.2.3.4\n6.6.6.6",
            "<script>",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "::g",
        ];
        for text in refused {
            assert_eq!(address(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(address("1.2.3.4 \u{a0}".as_bytes()), None);
        assert_eq!(address(b"1.2.3.4\xff"), None);
        assert_eq!(address(format!("::1%{}", "z".repeat(LONGEST)).as_bytes()), None);
    }
}
