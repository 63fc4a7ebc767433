//! What holds of a client's address, whatever its headers say.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::networks::Networks;
use super::*;
use crate::enforce::fixtures::logged;

const CLIENT: &str = "203.0.113.7";
const FORGED: &str = "6.6.6.6";
const PROXIES: &[&str] = &["10.0.0.0/8", "2001:db8:10::/48"];
const SINGLE: &[&str] = &["x-real-ip", "cf-connecting-ip", "true-client-ip", "x-client-ip"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn headers<'a>(lines: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn proxies() -> ClientIpRules {
    ClientIpRules::behind_proxies(PROXIES).unwrap()
}

fn forwarded() -> ClientIpRules {
    ClientIpRules::behind_proxies_that_write(ForwardingHeader::Forwarded, PROXIES).unwrap()
}

fn cdn() -> ClientIpRules {
    ClientIpRules::behind_cdn("CF-Connecting-IP", PROXIES).unwrap()
}

/// What is found behind the peer 10.0.0.1.
fn found(rules: &ClientIpRules, name: &str, lines: &[&str]) -> (String, ClientIpSource) {
    let lines = headers(lines.iter().map(|line| (name, *line)));
    let client = rules.find(Some(ip("10.0.0.1")), &lines);
    (client.address().unwrap().to_string(), client.source())
}

#[test]
fn an_untrusted_peer_is_the_client_whatever_the_headers_say() {
    let forwarded_for = "for=6.6.6.6;host=evil.example;proto=https";
    let mut lines = headers(SINGLE.iter().map(|name| (*name, FORGED)));
    lines.extend(headers([
        ("x-forwarded-for", "6.6.6.6, 10.0.0.2"),
        ("forwarded", forwarded_for),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-original-uri", "/health"),
        ("x-rewrite-url", "/health"),
    ]));
    for rules in [ClientIpRules::default(), proxies(), forwarded(), cdn()] {
        for peer in [CLIENT, "11.0.0.1", "110.0.0.1", "2001:db8:11::1", "::a00:1"] {
            let client = rules.find(Some(ip(peer)), &lines);
            assert_eq!(client, ClientIp { address: Some(ip(peer)), source: ClientIpSource::Peer });
        }
    }
    let client = ClientIpRules::direct().find(Some(ip("10.0.0.1")), &lines);
    assert_eq!((client.address(), client.source()), (Some(ip("10.0.0.1")), ClientIpSource::Peer));
}

#[test]
fn a_peer_is_the_same_one_in_both_of_its_forms() {
    let mapped = Some(ip("::ffff:10.0.0.1"));
    let client = proxies().find(mapped, &headers([("x-forwarded-for", CLIENT)]));
    assert_eq!(client.address(), Some(ip(CLIENT)));
    let client = ClientIpRules::direct().find(mapped, &HeaderMap::new());
    assert_eq!(client.address(), Some(ip("10.0.0.1")));
}

#[test]
fn only_the_configured_header_is_looked_at() {
    let all = |but: &str| {
        let list = [("x-forwarded-for", FORGED), ("forwarded", "for=6.6.6.6")];
        let single = SINGLE.iter().map(|name| (*name, FORGED));
        headers(list.into_iter().chain(single).filter(|(name, _)| *name != but))
    };
    for (rules, name, source) in [
        (proxies(), "x-forwarded-for", ClientIpSource::OnlyTrusted { hops: 1 }),
        (forwarded(), "forwarded", ClientIpSource::OnlyTrusted { hops: 1 }),
        (cdn(), "cf-connecting-ip", ClientIpSource::CdnWithoutHeader),
    ] {
        let client = rules.find(Some(ip("10.0.0.1")), &all(name));
        assert_eq!((client.address(), client.source()), (Some(ip("10.0.0.1")), source));
    }
}

#[test]
fn an_entry_that_is_no_address_ends_the_walk_at_the_last_trusted_one() {
    let (long, spaced) = ("a".repeat(64 * 1024), format!("6.6.6.6{}", " ".repeat(70_000)));
    let digits = "1".repeat(300);
    let bad = [
        "",
        " ",
        "unknown",
        "_hidden",
        "6.6.6.6.6",
        "6.6.6.256",
        "6.6.6.6 6.6.6.6",
        "6.6.6.6:x",
        "0.0.0.0",
        "::",
        "a.example",
        "<script>alert(1)</script>",
        "'; drop table",
        "\u{2028}",
        "6.6.6.6\t;",
        "%00",
        "6.6.6.6%0a",
        "[6.6.6.6]",
        "[::1",
        &digits,
        &long,
        &spaced,
    ];
    for entry in bad {
        for (line, last, hops) in [
            (entry.to_owned(), "10.0.0.1", 1),
            (format!("6.6.6.6, {entry}"), "10.0.0.1", 1),
            (format!("6.6.6.6,{entry} ,[2001:db8:10::3]:1,10.0.0.2:80"), "2001:db8:10::3", 3),
        ] {
            let expected = (last.to_owned(), ClientIpSource::CutShort { hops });
            assert_eq!(found(&proxies(), "x-forwarded-for", &[&line]), expected, "{entry:.50}");
        }
        let line = format!("for=6.6.6.6, for=\"{entry}\", for=10.0.0.2");
        let expected = ("10.0.0.2".to_owned(), ClientIpSource::CutShort { hops: 2 });
        assert_eq!(found(&forwarded(), "forwarded", &[&line]), expected, "{entry:.50}");
        if entry == spaced {
            // The blanks around a value are no part of it.
            continue;
        }
        let expected = ("10.0.0.1".to_owned(), ClientIpSource::CdnWithoutHeader);
        assert_eq!(found(&cdn(), "cf-connecting-ip", &[entry]), expected, "{entry:.50}");
    }
}

#[test]
fn a_list_of_nothing_but_proxies_leads_to_the_farthest_and_is_not_followed_for_ever() {
    let expected = ("10.0.0.3".to_owned(), ClientIpSource::OnlyTrusted { hops: 3 });
    assert_eq!(found(&proxies(), "x-forwarded-for", &["10.0.0.3, 10.0.0.2"]), expected);
    let expected = ("10.0.0.1".to_owned(), ClientIpSource::OnlyTrusted { hops: 1 });
    assert_eq!(found(&proxies(), "x-forwarded-for", &[]), expected);
    let many = format!("6.6.6.6{}", ", 10.0.0.2".repeat(10_000));
    let expected = ("10.0.0.2".to_owned(), ClientIpSource::CutShort { hops: 64 });
    assert_eq!(found(&proxies(), "x-forwarded-for", &[&many]), expected);
}

#[test]
fn the_header_of_a_cdn_is_believed_if_it_is_there_once() {
    let expected = |address: &str, source| (address.to_owned(), source);
    let name = "cf-connecting-ip";
    assert_eq!(found(&cdn(), name, &[CLIENT]), expected(CLIENT, ClientIpSource::Cdn));
    assert_eq!(found(&cdn(), name, &["[2001:DB8::7]:1"]).0, "2001:db8::7");
    for lines in [&[][..], &[CLIENT, FORGED], &[CLIENT, CLIENT], &["6.6.6.6, 203.0.113.7"]] {
        let expected = expected("10.0.0.1", ClientIpSource::CdnWithoutHeader);
        assert_eq!(found(&cdn(), name, lines), expected, "{lines:?}");
    }
}

#[test]
fn a_header_that_is_none_or_holds_a_list_is_refused_for_a_cdn() {
    for name in ["", "a b", "x-é", "X-Forwarded-For", "forwarded"] {
        let error = ClientIpRules::behind_cdn(name, PROXIES).unwrap_err();
        assert!(error.to_string().starts_with("client_ip_header is "), "{error}");
    }
}

#[test]
fn without_an_address_the_configured_rule_holds_and_it_is_counted_and_logged_once() {
    let lines = headers([("x-forwarded-for", FORGED), ("cf-connecting-ip", FORGED)]);
    for (missing, expected) in [
        (MissingAddress::default(), (None, ClientIpSource::Missing)),
        (MissingAddress::Refuse, (None, ClientIpSource::Missing)),
        (
            MissingAddress::StandIn(ip("192.0.2.9")),
            (Some(ip("192.0.2.9")), ClientIpSource::StandIn),
        ),
    ] {
        for rules in [ClientIpRules::direct(), proxies(), forwarded(), cdn()] {
            let rules = rules.with_missing_address(missing);
            let log = logged(|| {
                for rules in [&rules, &rules.clone()] {
                    let client = rules.find(None, &lines);
                    assert_eq!((client.address(), client.source()), expected);
                }
            });
            assert_eq!(log.matches("into_make_service_with_connect_info").count(), 1, "{log}");
            assert!(!log.contains(FORGED), "{log}");
            assert_eq!((rules.stats().missing, rules.missing_address()), (2, missing));
        }
    }
}

#[test]
fn a_proxy_over_a_unix_socket_is_believed_where_a_trusted_address_stands_in() {
    let rules = proxies().with_missing_address(MissingAddress::StandIn(ip("10.0.0.1")));
    let client = rules.find(None, &headers([("x-forwarded-for", "6.6.6.6, 203.0.113.7")]));
    let source = ClientIpSource::Forwarded { hops: 1 };
    assert_eq!((client.address(), client.source()), (Some(ip(CLIENT)), source));
}

#[test]
fn where_every_request_shares_one_private_address_the_log_warns_once() {
    let lines = headers([("x-forwarded-for", CLIENT)]);
    let log = |rules: ClientIpRules, peer: &str| {
        logged(|| {
            for _ in 0..2_500 {
                let _ = rules.clone().find(Some(ip(peer)), &lines);
            }
        })
    };
    let warned = |log: &str| log.matches("behind a proxy? give its networks").count();
    assert_eq!(warned(&log(ClientIpRules::direct(), "10.0.0.1")), 1);
    assert_eq!(warned(&log(ClientIpRules::direct(), CLIENT)), 0);
    assert_eq!(warned(&log(proxies(), "10.0.0.1")), 0);
    assert_eq!(warned(&log(proxies(), "192.168.0.1")), 1, "another proxy than those given");
}

#[test]
fn every_source_says_why_in_few_words() {
    let hops = 64;
    for source in [
        ClientIpSource::Peer,
        ClientIpSource::Forwarded { hops },
        ClientIpSource::OnlyTrusted { hops },
        ClientIpSource::CutShort { hops },
        ClientIpSource::Cdn,
        ClientIpSource::CdnWithoutHeader,
        ClientIpSource::StandIn,
        ClientIpSource::Missing,
    ] {
        let address = Some(IpAddr::from([0xffff_u16; 8]));
        let client = ClientIp { address, source };
        assert!(client.to_string().ends_with(&format!(" ({source})")), "{client}");
        assert!(client.to_string().len() < 90 && format!("{client:?}").len() < 130, "{client:?}");
    }
}

/// Something that a client could write into an entry, believable or not.
fn forged() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(FORGED.to_owned()),
        Just("10.0.0.9".to_owned()),
        any::<IpAddr>().prop_map(|address| address.to_string()),
        "[ -~]{0,40}",
        Just("for=\"".to_owned()),
        Just("\\\"".to_owned()),
    ]
}

/// A trusted proxy, as the next one writes it.
fn proxy() -> impl Strategy<Value = String> {
    (0_u8..=255, 0_u16..=65535).prop_flat_map(|(host, port)| {
        let v4 = format!("10.1.2.{host}");
        let v6 = format!("2001:db8:10::{host:x}");
        prop_oneof![
            Just(v4.clone()),
            Just(format!("{v4}:{port}")),
            Just(format!("::ffff:{v4}")),
            Just(v6.clone()),
            Just(format!("[{v6}]")),
            Just(format!("[{v6}%eth0]:{port}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn over_k_trusted_hops_the_client_is_the_first_untrusted_entry_from_the_right(
        forged in proptest::collection::vec(forged(), 0..=100),
        // The peer is the first of them.
        proxies_behind in proptest::collection::vec(proxy(), 0..=4),
    ) {
        let hops = proxies_behind.len() + 1;
        let expected = || (CLIENT.to_owned(), ClientIpSource::Forwarded { hops });

        let ours = [&[CLIENT.to_owned()], &*proxies_behind].concat();
        let line = [&*forged, &*ours].concat().join(", ");
        prop_assert_eq!(found(&proxies(), "x-forwarded-for", &[&line]), expected());

        let ours = ours.iter().map(|entry| format!("by=_x;for=\"{entry}\";host=\"a, b\""));
        let theirs = forged.iter().map(|entry| format!("for={entry}"));
        let line = theirs.chain(ours).collect::<Vec<_>>().join(",");
        prop_assert_eq!(found(&forwarded(), "forwarded", &[&line]), expected());
    }

    #[test]
    fn without_a_trusted_hop_the_client_is_the_peer(
        forged in proptest::collection::vec(forged(), 0..=100),
    ) {
        for (rules, name) in [(proxies(), "x-forwarded-for"), (forwarded(), "forwarded")] {
            let client = rules.find(Some(ip(CLIENT)), &headers([(name, &*forged.join(", "))]));
            prop_assert_eq!(client.address(), Some(ip(CLIENT)));
            prop_assert_eq!(client.source(), ClientIpSource::Peer);
        }
    }

    #[test]
    fn several_lines_mean_the_same_as_one_joined_line(
        lines in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![3 => proxy(), 1 => forged()], 1..4),
            0..6,
        ),
    ) {
        for (rules, name, before) in
            [(proxies(), "x-forwarded-for", ""), (forwarded(), "forwarded", "for=")]
        {
            let line = |entries: &Vec<String>| {
                let entries = entries.iter().map(|entry| format!("{before}{entry}"));
                entries.collect::<Vec<_>>().join(",")
            };
            let lines: Vec<_> = lines.iter().map(line).collect();
            let several: Vec<_> = lines.iter().map(String::as_str).collect();
            let joined = several.join(", ");
            let joined = if several.is_empty() { vec![] } else { vec![joined.as_str()] };
            prop_assert_eq!(found(&rules, name, &several), found(&rules, name, &joined));
        }
    }

    #[test]
    fn no_header_takes_an_address_away_or_panics(
        lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..4),
        peer in prop_oneof![Just(Some(ip("10.0.0.1"))), Just(None), any::<IpAddr>().prop_map(Some)],
    ) {
        let trusted = Networks::parse(PROXIES).unwrap();
        let peer = peer.map(|peer| peer.to_canonical());
        let mut headers = HeaderMap::new();
        for (line, name) in lines.iter().zip(["x-forwarded-for", "forwarded"].iter().cycle()) {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append(*name, value.clone());
                headers.append("cf-connecting-ip", value);
            }
        }
        for rules in [ClientIpRules::direct(), proxies(), forwarded(), cdn()] {
            let client = rules.find(peer, &headers);
            prop_assert_eq!(client.address().is_some(), peer.is_some());
            if peer.is_some_and(|peer| !trusted.contain(peer)) {
                prop_assert_eq!(client.address(), peer);
            }
        }
    }
}
