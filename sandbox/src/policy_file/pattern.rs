//! Compile the patterns of a policy file, within bounds.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};
use regex::{Regex, RegexBuilder};

/// Compiles a regular expression. It takes linear time to match.
pub(super) fn regex(pattern: &str) -> Result<Regex, String> {
    let regex = RegexBuilder::new(pattern).size_limit(SIZE).dfa_size_limit(SIZE).build();
    regex.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!("this pattern takes more than {} KiB; make it smaller", SIZE / 1024)
        }
        // The library draws the pattern with a mark below it; what it says comes last.
        error => {
            let said = error.to_string();
            let last = said.lines().last().unwrap_or_default();
            format!("bad regex: {}", last.trim_start_matches("error: "))
        }
    })
}

/// Compiles a glob, by way of a regular expression so that it takes linear time as well. There is
/// no more to it than is documented: no classes, no alternatives.
pub(super) fn glob(pattern: &str) -> Result<Regex, String> {
    let mut expression = String::from("(?s)^");
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => expression.push_str(".*"),
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            c => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push('$');
    regex(&expression)
}

/// Reads a network, or an address, which is a network of its own.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| IpNet::from(ip)));
    match network {
        Ok(IpNet::V6(network)) if MAPPED.contains(&network) => Err(format!(
            "{text:?} has IPv4 addresses in it, which are looked at as such; write it as an IPv4 \
             network"
        )),
        Ok(network) => Ok(network.trunc()),
        Err(_) => Err(format!("{text:?} is no network, expected one such as 203.0.113.0/24")),
    }
}

/// Reads an address, and writes it as addresses are compared.
pub(super) fn address(text: &str) -> Result<String, String> {
    let ip = text.parse::<IpAddr>().map_err(|_| {
        format!("{text:?} is no IP address, expected one such as 203.0.113.7; networks go into network_in")
    })?;
    Ok(ip.to_canonical().to_string())
}

/// The most memory that a compiled pattern may take, and what it is cached in again.
const SIZE: usize = 256 * 1024;

/// IPv4 addresses as IPv6 addresses.
const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_fits_the_whole_text() {
        for (pattern, text, fits) in [
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/*", "/x/a/b", false),
            ("/a/**", "/a/b/c", true),
            ("/**/c", "/a/b/c", true),
            ("/?.php", "/a.php", true),
            ("/?.php", "/axphp", false),
            ("/?", "/é", true),
            ("/[a]", "/a", false),
            ("/[a]", "/[a]", true),
            ("*", "a\nb", true),
        ] {
            let glob = glob(pattern).expect("a glob");
            assert_eq!(glob.is_match(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_is_bounded() {
        assert!(regex(r"\w{9999}").expect_err("too large").contains("256 KiB"));
        assert!(regex(&"(".repeat(100_000)).is_err());
        assert_eq!(regex("a(").expect_err("open"), "bad regex: unclosed group");
    }

    #[test]
    fn an_address_is_a_network_of_its_own_and_a_mapped_network_is_refused() {
        assert_eq!(network("203.0.113.7"), network("203.0.113.7/32"));
        assert_eq!(network("203.0.113.7/24"), network("203.0.113.0/24"));
        assert!(network("::ffff:203.0.113.0/120").is_err());
        assert!(network("::/0").is_ok());
        for bad in ["", "203.0.113.0/33", "203.0.113/24", "localhost", " 203.0.113.7"] {
            assert!(network(bad).is_err(), "{bad}");
        }
        assert_eq!(address("2001:0DB8::1").as_deref(), Ok("2001:db8::1"));
    }
}
