//! Clearances, and attacks on them.

use std::time::{Duration, UNIX_EPOCH};

use http::header::COOKIE;

use super::*;
use crate::enforce::ClearanceBinding;
use crate::enforce::fixtures::{MS, at, key, keys, logged, now, visitor};
use crate::enforce::signed::validity::CLOCK_SKEW;

const HOUR: Duration = Duration::from_secs(3600);

fn clearances_with(options: ClearanceOptions) -> Clearances {
    Clearances::new(keys(1), options)
}

fn clearances() -> Clearances {
    clearances_with(ClearanceOptions::new())
}

fn bound_to(binding: ClearanceBinding) -> Clearances {
    clearances_with(ClearanceOptions::new().with_binding(binding))
}

/// What a browser sends back.
fn pair(set_cookie: &HeaderValue) -> String {
    set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn value(set_cookie: &HeaderValue) -> String {
    pair(set_cookie).split_once('=').unwrap().1.to_owned()
}

fn sending(cookies: impl AsRef<[u8]>) -> HeaderMap {
    HeaderMap::from_iter([(COOKIE, HeaderValue::from_bytes(cookies.as_ref()).unwrap())])
}

fn with_cookie(value: impl AsRef<[u8]>) -> HeaderMap {
    sending([NAME.as_bytes(), b"=", value.as_ref()].concat())
}

#[test]
fn a_clearance_holds_for_its_visitor_at_every_replica_that_has_the_key() {
    let cookie = sending(pair(&clearances().issue(&visitor(), now())));
    assert!(clearances().holds(&cookie, &visitor(), now()));
    let stranger = Clearances::new(keys(2), ClearanceOptions::new());
    assert!(!stranger.holds(&cookie, &visitor(), now()));
    let rotated = keys(2).with_previous(key(1));
    assert!(Clearances::new(rotated, ClearanceOptions::new()).holds(&cookie, &visitor(), now()));
}

#[test]
fn the_cookie_is_for_this_host_alone_and_for_no_script() {
    let set = clearances().issue(&visitor(), now());
    assert!(set.is_sensitive());
    let set = set.to_str().unwrap();
    let (pair, attributes) = set.split_once("; ").unwrap();
    assert!(pair.starts_with("__Host-esper_challenge="), "{set}");
    let mut attributes: Vec<_> = attributes.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=3600", "Path=/", "SameSite=Lax", "Secure"]);
    assert!(pair.len() < 200, "{}", pair.len());
    let day = ClearanceOptions::new().with_lifetime(24 * HOUR);
    let set = clearances_with(day).issue(&visitor(), now());
    assert!(set.to_str().unwrap().contains("; Max-Age=86400;"));
}

#[test]
fn on_this_machine_the_cookie_works_without_tls() {
    for (site, address) in [
        ("localhost", "127.0.0.1"),
        ("LOCALHOST:3000", "::1"),
        ("app.localhost:3000", "127.0.0.1"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("127.9.9.9", "::ffff:127.0.0.1"),
        ("[::1]:3000", "::1"),
        ("localhost:3000", "172.17.0.1"),
        ("localhost:3000", "fd00::1"),
    ] {
        let clearances = clearances();
        let here = VisitorIdentity { site, ..at(address) };
        let set = clearances.issue(&here, now());
        let text = set.to_str().unwrap();
        assert!(text.starts_with("esper_challenge=") && !text.contains("Secure"), "{site}");
        assert!(text.contains("; HttpOnly") && text.contains("; SameSite=Lax"), "{text}");
        assert!(clearances.holds(&sending(pair(&set)), &here, now()), "{site}");
        let prefixed = with_cookie(value(&set));
        assert!(!clearances.holds(&prefixed, &here, now()), "{site}");
    }
}

#[test]
fn the_cookie_of_a_public_site_is_secure_whatever_host_is_claimed() {
    for (site, address) in [
        ("shop.example", "127.0.0.1"),
        ("localhost.example", "127.0.0.1"),
        ("127.0.0.1.example", "127.0.0.1"),
        ("notlocalhost", "127.0.0.1"),
        ("10.0.0.1", "10.0.0.2"),
        ("[::2]", "::1"),
        ("", "127.0.0.1"),
        ("[", "127.0.0.1"),
        ("localhost", "192.0.2.1"),
        ("[::1]", "2001:db8::1"),
    ] {
        let claimed = VisitorIdentity { site, ..at(address) };
        let set = clearances().issue(&claimed, now());
        assert!(set.to_str().unwrap().starts_with(NAME), "{site}");
        assert!(set.to_str().unwrap().contains("; Secure"), "{site}");
        let plain = sending(format!("{PLAIN_NAME}={}", value(&set)));
        assert!(!clearances().holds(&plain, &claimed, now()), "{site}");
    }
    let unix_socket = VisitorIdentity { site: "localhost", address: None, ..visitor() };
    assert!(clearances().issue(&unix_socket, now()).to_str().unwrap().starts_with(NAME));
}

#[test]
fn a_cookie_without_secure_is_warned_about_once() {
    let log = logged(|| {
        let clearances = clearances();
        clearances.issue(&visitor(), now());
        let here = VisitorIdentity { site: "localhost", ..at("::1") };
        (0..3).for_each(|_| drop(clearances.issue(&here, now())));
    });
    assert_eq!(log.matches("without Secure").count(), 1, "{log}");
}

#[test]
fn a_clearance_ends_with_its_hour_and_does_not_begin_before_it() {
    let clearances = clearances();
    let cookie = sending(pair(&clearances.issue(&visitor(), now())));
    for (moment, holds) in [
        (now() + HOUR - MS, true),
        (now() + HOUR, false),
        (now() + 2 * HOUR, false),
        (now() - CLOCK_SKEW, true),
        (now() - CLOCK_SKEW - MS, false),
        (UNIX_EPOCH, false),
    ] {
        assert_eq!(clearances.holds(&cookie, &visitor(), moment), holds, "{moment:?}");
    }
    assert_eq!(CLOCK_SKEW, Duration::from_secs(60));
}

#[test]
fn a_clearance_is_for_its_site_and_user_agent() {
    for binding in [ClearanceBinding::Nothing, ClearanceBinding::Network, ClearanceBinding::Address]
    {
        let firefox = visitor().user_agent;
        let clearances = bound_to(binding);
        let cookie = sending(pair(&clearances.issue(&visitor(), now())));
        for (site, user_agent, holds) in [
            ("shop.example", firefox, true),
            ("SHOP.example", firefox, true),
            ("shop.example:8443", firefox, false),
            ("admin.shop.example", firefox, false),
            ("", firefox, false),
            ("shop.example", b"curl/8", false),
            ("shop.example", b"", false),
            ("shop.example", &firefox[1..], false),
        ] {
            let who = VisitorIdentity { site, user_agent, ..visitor() };
            assert_eq!(clearances.holds(&cookie, &who, now()), holds, "{who:?}");
        }
    }
}

#[test]
fn roaming_is_tolerated_as_far_as_the_binding_says() {
    use ClearanceBinding::{Address, Network, Nothing};
    for (binding, place, holds) in [
        (Network, "192.0.2.200", true),
        (Network, "::ffff:192.0.2.200", true),
        (Network, "192.0.3.1", false),
        (Network, "2001:db8::1", true),
        (Nothing, "198.51.100.1", true),
        (Nothing, "2001:db8::1", true),
        (Address, "192.0.2.1", true),
        (Address, "192.0.2.2", false),
        (Address, "2001:db8::1", false),
    ] {
        let clearances = bound_to(binding);
        let cookie = sending(pair(&clearances.issue(&visitor(), now())));
        assert_eq!(clearances.holds(&cookie, &at(place), now()), holds, "{binding:?} {place}");
        let nowhere = VisitorIdentity { address: None, ..visitor() };
        assert_eq!(clearances.holds(&cookie, &nowhere, now()), binding == Nothing);
    }
}

#[test]
fn a_visitor_with_both_kinds_of_address_changes_between_them_at_will() {
    for (first, second) in [("192.0.2.1", "2001:db8:1::1"), ("2001:db8:1::1", "192.0.2.1")] {
        let clearances = clearances();
        let cookie = sending(pair(&clearances.issue(&at(first), now())));
        for address in [first, second, first, second, second, first] {
            assert!(clearances.holds(&cookie, &at(address), now()), "{address}");
        }
    }
}

#[test]
fn one_solved_challenge_opens_one_network_of_the_other_kind_and_not_all() {
    let clearances = clearances();
    let cookie = sending(pair(&clearances.issue(&visitor(), now())));
    let networks: Vec<_> = (0..100).map(|number| format!("2001:db8:{number:x}::1")).collect();
    let opened =
        || networks.iter().filter(|at_| clearances.holds(&cookie, &at(at_), now())).count();
    assert_eq!((opened(), opened()), (1, 1));
    assert!(clearances.holds(&cookie, &at("2001:db8::77"), now()), "elsewhere in the first one");
    assert!(clearances.holds(&cookie, &visitor(), now()), "and where it was issued");

    let other = sending(pair(&clearances.issue(&at("192.0.2.9"), now() + MS)));
    assert!(clearances.holds(&other, &at("2001:db8:5::1"), now() + MS), "another visitor's");
}

#[test]
fn a_clearance_of_another_binding_counts_no_more() {
    use ClearanceBinding::{Address, Network, Nothing};
    for (before, after) in
        [(Nothing, Network), (Nothing, Address), (Network, Address), (Address, Network)]
    {
        let cookie = sending(pair(&bound_to(before).issue(&at("192.0.2.0"), now())));
        assert!(!bound_to(after).holds(&cookie, &at("192.0.2.0"), now()), "{before:?} {after:?}");
    }
}

#[test]
fn a_cookie_of_that_name_with_other_content_counts_as_absent() {
    let clearances = clearances();
    let own = value(&clearances.issue(&visitor(), now()));
    let envelope = keys(1).sign(Domain::Challenge, [b"a", b"b", b"c"]);
    let validity = Validity::new(now(), HOUR).to_bytes();
    let digest = visitor().digest();
    let signed = |fields: [&[u8]; 3]| keys(1).sign(Domain::Clearance, fields);
    let junk: [Vec<u8>; 14] = [
        b"".to_vec(),
        b"1".to_vec(),
        b"true".to_vec(),
        b"\xff\xfe".to_vec(),
        b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.".to_vec(),
        envelope.into_bytes(),
        own.to_uppercase().into_bytes(),
        format!("{own}{own}").into_bytes(),
        format!("{own}=").into_bytes(),
        vec![b'A'; 64 << 10],
        own.as_bytes()[1..].to_vec(),
        signed([&validity[1..], &digest, b"any"]).into_bytes(),
        signed([&validity, &digest, b"nonsense"]).into_bytes(),
        signed([&validity, &digest[1..], b"192.0.2.0/24"]).into_bytes(),
    ];
    for junk in junk {
        assert!(!clearances.holds(&with_cookie(&junk), &visitor(), now()), "{junk:?}");
    }
    assert!(!clearances.holds(&HeaderMap::new(), &visitor(), now()));
    let known_good = signed([&validity, &digest, b"192.0.2.0/24"]);
    assert!(clearances.holds(&with_cookie(known_good), &visitor(), now()));
}

#[test]
fn a_flipped_bit_anywhere_in_the_cookie_is_refused() {
    let clearances = clearances();
    let own = value(&clearances.issue(&visitor(), now())).into_bytes();
    for place in 0..own.len() {
        for bit in 0..8 {
            let mut flipped = own.clone();
            flipped[place] ^= 1 << bit;
            let Ok(header) = HeaderValue::from_bytes(&[NAME.as_bytes(), b"=", &flipped].concat())
            else {
                continue;
            };
            let headers = HeaderMap::from_iter([(COOKIE, header)]);
            assert!(!clearances.holds(&headers, &visitor(), now()), "{place} {bit}");
        }
        assert!(!clearances.holds(&with_cookie(&own[..place]), &visitor(), now()));
    }
}

#[test]
fn one_valid_cookie_of_several_counts_and_garbage_hides_it_not() {
    let clearances = clearances();
    let good = pair(&clearances.issue(&visitor(), now()));
    for before in ["a=b", "__Host-esper_challenge=1", "__Host-esper_challenge", ";;=", "=", "\"="] {
        let line = format!("{before}; {good}; __Host-esper_challenge=x");
        assert!(clearances.holds(&sending(&line), &visitor(), now()), "{line}");
        let mut lines = sending(before);
        lines.append(COOKIE, HeaderValue::try_from(&good).unwrap());
        assert!(clearances.holds(&lines, &visitor(), now()), "{before}");
    }
    let long = format!("{NAME}={}; ", "A".repeat(300));
    let line = format!("{}{good}", long.repeat(50));
    assert!(clearances.holds(&sending(&line), &visitor(), now()), "what is too long costs no look");
}

#[test]
fn of_many_cookies_of_that_name_a_bounded_number_is_looked_at() {
    let clearances = clearances();
    let good = pair(&clearances.issue(&visitor(), now()));
    let forged = format!("{NAME}={}; ", "A".repeat(200));
    let line = |number| format!("{}{good}", forged.repeat(number));
    assert!(clearances.holds(&sending(line(CANDIDATES - 1)), &visitor(), now()));
    assert!(!clearances.holds(&sending(line(CANDIDATES)), &visitor(), now()));
}

#[test]
fn a_second_tab_that_solves_its_own_challenge_ends_no_clearance() {
    let clearances = clearances();
    let first = clearances.issue(&visitor(), now());
    let second = clearances.issue(&visitor(), now() + MS);
    assert_ne!(first, second);
    for cookie in [first, second] {
        assert!(clearances.holds(&sending(pair(&cookie)), &visitor(), now() + MS));
    }
}
