//! Envelopes, and attacks on them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::enforce::ClearanceBinding;
use crate::enforce::fixtures::{MS, at, keys, now, visitor};
use crate::enforce::signed::validity::CLOCK_SKEW;

const TEN_MINUTES: Duration = Duration::from_secs(600);
const TOKEN: &str = "esper.token/+=\u{e9}\0.sig";

fn envelopes() -> Envelopes {
    Envelopes::new(keys(1), ClearanceOptions::new())
}

fn wrapped(envelopes: &Envelopes) -> String {
    wrapped_token(envelopes, TOKEN)
}

fn wrapped_token(envelopes: &Envelopes, token: &str) -> String {
    let return_to = ReturnTo::parse("/cart?id=1").unwrap();
    envelopes.wrap(token, &return_to, &visitor(), now()).unwrap()
}

#[test]
fn the_token_and_the_return_path_come_out_as_they_went_in() {
    for (token, return_to) in [
        (TOKEN.to_owned(), "/cart?id=1".to_owned()),
        (String::new(), "/".to_owned()),
        ("t".repeat(LONGEST_TOKEN), format!("/{}", "r".repeat(2047))),
    ] {
        let return_to = ReturnTo::parse(&return_to).unwrap();
        let envelope = envelopes().wrap(&token, &return_to, &visitor(), now()).unwrap();
        assert!(envelope.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        let replica = envelopes();
        let content = replica.open(&envelope, &visitor(), now()).unwrap();
        assert_eq!((content.token, content.return_to), (token, return_to));
    }
}

#[test]
fn a_token_that_is_too_long_is_not_wrapped() {
    let token = "t".repeat(LONGEST_TOKEN + 1);
    assert_eq!(envelopes().wrap(&token, &ReturnTo::default(), &visitor(), now()), None);
}

#[test]
fn each_tab_has_an_envelope_of_its_own() {
    let envelopes = envelopes();
    // Esper issues a token to each.
    let all: HashSet<_> =
        (0..100).map(|tab| wrapped_token(&envelopes, &format!("token {tab}"))).collect();
    assert_eq!(all.len(), 100);
    let mut tabs = all.iter();
    let (one, other) = (tabs.next().unwrap(), tabs.next().unwrap());
    let content = envelopes.open(one, &visitor(), now()).unwrap();
    envelopes.spend(&content, now());
    assert!(envelopes.open(other, &visitor(), now()).is_ok(), "the other tab's is still good");
}

#[test]
fn a_flipped_bit_anywhere_in_an_envelope_is_refused() {
    let envelopes = envelopes();
    let envelope = wrapped(&envelopes);
    for place in 0..envelope.len() {
        for bit in 0..7 {
            let mut flipped = envelope.clone().into_bytes();
            flipped[place] ^= 1 << bit;
            let flipped = String::from_utf8(flipped).unwrap();
            let refusal = envelopes.open(&flipped, &visitor(), now()).unwrap_err();
            let of_forgeries = [Refusal::Malformed, Refusal::UnknownKey, Refusal::BadSignature];
            assert!(of_forgeries.contains(&refusal), "{place} {bit} {refusal:?}");
        }
        assert!(envelopes.open(&envelope[..place], &visitor(), now()).is_err());
    }
    assert!(envelopes.open(&envelope, &visitor(), now()).is_ok());
}

#[test]
fn an_envelope_ends_with_its_time_and_is_not_from_the_future() {
    for (moment, expected) in [
        (now(), None),
        (now() + TEN_MINUTES - MS, None),
        (now() + TEN_MINUTES, Some(Refusal::Expired)),
        (now() - CLOCK_SKEW, None),
        (now() - CLOCK_SKEW - MS, Some(Refusal::FromTheFuture)),
    ] {
        let envelopes = envelopes();
        let opened = envelopes.open(&wrapped(&envelopes), &visitor(), moment);
        assert_eq!(opened.err(), expected, "{moment:?}");
    }
    let minute = ClearanceOptions::new().with_challenge_lifetime(Duration::from_secs(60));
    let envelopes = Envelopes::new(keys(1), minute);
    let opened = envelopes.open(&wrapped(&envelopes), &visitor(), now() + Duration::from_secs(60));
    assert_eq!(opened.unwrap_err(), Refusal::Expired);
}

#[test]
fn an_envelope_is_for_its_visitor() {
    let other_site = VisitorIdentity { site: "other.example", ..visitor() };
    let other_agent = VisitorIdentity { user_agent: b"curl/8", ..visitor() };
    let nowhere = VisitorIdentity { address: None, ..visitor() };
    for (who, expected) in [
        (at("192.0.2.200"), None),
        // The page came over IPv4, and its answer goes over IPv6.
        (at("2001:db8::1"), None),
        (at("192.0.3.1"), Some(Refusal::OtherVisitor)),
        (other_site, Some(Refusal::OtherVisitor)),
        (other_agent, Some(Refusal::OtherVisitor)),
        (nowhere, Some(Refusal::OtherVisitor)),
    ] {
        let envelopes = envelopes();
        assert_eq!(envelopes.open(&wrapped(&envelopes), &who, now()).err(), expected, "{who:?}");
    }
    let strict = ClearanceOptions::new().with_binding(ClearanceBinding::Address);
    let envelopes = Envelopes::new(keys(1), strict);
    let opened = envelopes.open(&wrapped(&envelopes), &at("2001:db8::1"), now());
    assert_eq!(opened.unwrap_err(), Refusal::OtherVisitor);
}

#[test]
fn neither_a_clearance_nor_anything_else_is_an_envelope() {
    let (ours, envelopes) = (keys(1), envelopes());
    let fields: [&[u8]; 5] = [&[0; 16], &[0; 32], b"any", b"t", b"/"];
    let clearance = ours.sign(Domain::Clearance, fields);
    let opened = |text: &str| envelopes.open(text, &visitor(), now()).unwrap_err();
    assert_eq!(opened(&clearance), Refusal::BadSignature);
    for text in ["", "x", TOKEN, &"A".repeat(64 << 10), "eyJhbGciOiJub25lIn0.e30."] {
        assert_eq!(opened(text), Refusal::Malformed);
    }
    // What only a mistake of ours could sign.
    for (place, wrong) in
        [(0, b"x" as &[u8]), (2, b"nonsense"), (3, b"\xff"), (4, b"\xff"), (4, b"//evil.example")]
    {
        let mut fields = fields;
        fields[place] = wrong;
        assert_eq!(opened(&ours.sign(Domain::Challenge, fields)), Refusal::Malformed, "{place}");
    }
    let stranger = Envelopes::new(keys(2), ClearanceOptions::new());
    assert_eq!(opened(&wrapped(&stranger)), Refusal::UnknownKey);
}

#[test]
fn a_redeemed_envelope_costs_no_further_call() {
    let envelopes = envelopes();
    let envelope = wrapped(&envelopes);
    let content = envelopes.open(&envelope, &visitor(), now()).unwrap();
    envelopes.spend(&content, now());
    for _ in 0..100 {
        assert_eq!(envelopes.open(&envelope, &visitor(), now()).unwrap_err(), Refusal::Spent);
    }
    let late = now() + TEN_MINUTES;
    assert_eq!(envelopes.open(&envelope, &visitor(), late).unwrap_err(), Refusal::Expired);
}

#[test]
fn wrong_solutions_of_one_challenge_cost_a_few_calls() {
    let (envelopes, calls) = (envelopes(), AtomicUsize::new(0));
    let envelope = wrapped(&envelopes);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    match envelopes.open(&envelope, &visitor(), now()) {
                        Ok(_) => drop(calls.fetch_add(1, Ordering::Relaxed)),
                        Err(refusal) => assert_eq!(refusal, Refusal::TooManyAttempts),
                    }
                }
            });
        }
    });
    assert_eq!(calls.into_inner(), MOST_ATTEMPTS as usize);
}

#[test]
fn a_stranger_spends_nobodys_attempts() {
    let envelopes = envelopes();
    let envelope = wrapped(&envelopes);
    for _ in 0..100 {
        assert!(envelopes.open(&envelope, &at("198.51.100.1"), now()).is_err());
    }
    assert!(envelopes.open(&envelope, &visitor(), now()).is_ok());
}

#[test]
fn neither_the_token_nor_the_return_path_is_printed() {
    let envelopes = envelopes();
    let content = envelopes.open(&wrapped(&envelopes), &visitor(), now()).unwrap();
    let shown = format!("{content:?} {content:#?}");
    assert!(!shown.contains("esper.token") && !shown.contains("cart"), "{shown}");
}
