//! Attacks on tokens.

use proptest::prelude::*;

use super::*;
use crate::enforce::fixtures::{key, keys};

const DOMAINS: [Domain; 2] = [Domain::Clearance, Domain::Challenge];

fn refusal<const N: usize>(keys: &ClearanceKeys, domain: Domain, text: &[u8]) -> Refusal {
    keys.verify::<N>(domain, text).unwrap_err()
}

/// A text with one byte of its decoded form changed, and a MAC that is not made anew.
fn changed(text: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
    change(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn what_was_signed_is_read_as_it_was_and_fits_into_a_cookie() {
    let keys = keys(1);
    for domain in DOMAINS {
        let text = keys.sign(domain, [b"", b"one", b"\0\xff"]);
        assert_eq!(
            keys.verify(domain, text.as_bytes()).unwrap().fields,
            [b"" as &[u8], b"one", b"\0\xff"]
        );
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    }
}

#[test]
fn a_token_of_one_domain_is_one_of_no_other() {
    let keys = keys(1);
    for (one, other) in
        [(Domain::Clearance, Domain::Challenge), (Domain::Challenge, Domain::Clearance)]
    {
        let text = keys.sign(one, [b"a", b"b"]);
        assert_eq!(refusal::<2>(&keys, other, text.as_bytes()), Refusal::BadSignature);
    }
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let keys = keys(1);
    let text = keys.sign(Domain::Clearance, [b"some", b"fields"]);
    for place in 0..text.len() {
        for bit in 0..8 {
            let mut flipped = text.clone().into_bytes();
            flipped[place] ^= 1 << bit;
            assert!(keys.verify::<2>(Domain::Clearance, &flipped).is_err(), "{place} {bit}");
        }
    }
    for place in 0..URL_SAFE_NO_PAD.decode(&text).unwrap().len() {
        for bit in 0..8 {
            let flipped = changed(&text, |bytes| bytes[place] ^= 1 << bit);
            let expected = match place {
                0 => Refusal::Malformed,
                1..5 => Refusal::UnknownKey,
                _ => Refusal::BadSignature,
            };
            assert_eq!(refusal::<2>(&keys, Domain::Clearance, flipped.as_bytes()), expected);
        }
    }
}

#[test]
fn another_version_algorithm_or_key_id_is_refused() {
    let keys = keys(1);
    let text = keys.sign(Domain::Clearance, [b"x"]);
    for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
        let text = changed(&text, |bytes| bytes[0] = version);
        assert_eq!(refusal::<1>(&keys, Domain::Clearance, text.as_bytes()), Refusal::Malformed);
    }
    for id in [[0; 4], [0xff; 4], key(2).id()] {
        let text = changed(&text, |bytes| bytes[1..5].copy_from_slice(&id));
        assert_eq!(refusal::<1>(&keys, Domain::Clearance, text.as_bytes()), Refusal::UnknownKey);
    }
    // {"alg":"none"} and {"alg":"HS256"}, with and without a signature.
    for jwt in [
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
        "none",
    ] {
        assert_eq!(refusal::<1>(&keys, Domain::Clearance, jwt.as_bytes()), Refusal::Malformed);
    }
}

#[test]
fn a_text_signed_by_a_stranger_with_our_key_id_is_refused() {
    let (ours, theirs) = (keys(1), keys(2));
    let forged = changed(&theirs.sign(Domain::Clearance, [b"x"]), |bytes| {
        bytes[1..5].copy_from_slice(&key(1).id());
    });
    assert_eq!(refusal::<1>(&ours, Domain::Clearance, forged.as_bytes()), Refusal::BadSignature);
    let empty = changed(&ours.sign(Domain::Clearance, [b"x"]), |bytes| {
        let from = bytes.len() - MAC;
        bytes[from..].fill(0);
    });
    assert_eq!(refusal::<1>(&ours, Domain::Clearance, empty.as_bytes()), Refusal::BadSignature);
}

#[test]
fn what_is_cut_off_padded_or_followed_by_more_is_refused() {
    let keys = keys(1);
    let text = keys.sign(Domain::Challenge, [b"some", b"field!"]);
    for length in 0..text.len() {
        assert!(
            keys.verify::<2>(Domain::Challenge, &text.as_bytes()[..length]).is_err(),
            "{length}"
        );
        assert!(keys.verify::<2>(Domain::Challenge, &text.as_bytes()[length + 1..]).is_err());
    }
    for more in ["A", "AA", "AAAA", "=", "==", " ", "\n", ".", "\0", &text] {
        for text in [format!("{text}{more}"), format!("{more}{text}")] {
            assert!(keys.verify::<2>(Domain::Challenge, text.as_bytes()).is_err(), "{more:?}");
        }
    }
    for standard in ["+", "/"] {
        let text = text.replacen(|c: char| c.is_ascii_alphabetic(), standard, 1);
        assert_eq!(refusal::<2>(&keys, Domain::Challenge, text.as_bytes()), Refusal::Malformed);
    }
    assert_eq!(refusal::<2>(&keys, Domain::Challenge, b"\xff\xfe"), Refusal::Malformed);
}

#[test]
fn another_number_of_fields_is_refused() {
    let keys = keys(1);
    let text = keys.sign(Domain::Clearance, [b"a", b"b"]);
    assert_eq!(refusal::<1>(&keys, Domain::Clearance, text.as_bytes()), Refusal::Malformed);
    assert_eq!(refusal::<3>(&keys, Domain::Clearance, text.as_bytes()), Refusal::Malformed);
    for lengths in [&[0_u8, 0, 0, 9, b'x'] as &[u8], &[0xff; 4], &[0, 0, 0], &[0; 9]] {
        assert_eq!(decode_fields::<1>(lengths), None, "{lengths:?}");
    }
}

#[test]
fn what_is_too_long_is_refused_even_if_it_is_ours() {
    let keys = keys(1);
    for domain in DOMAINS {
        let text = keys.sign(domain, [&vec![7; domain.longest()]]);
        assert_eq!(refusal::<1>(&keys, domain, text.as_bytes()), Refusal::Malformed);
        let fits = keys.sign(domain, [&vec![7; domain.longest() * 3 / 4 - MAC - KEY_ID - 1 - 4]]);
        assert_eq!(fits.len(), domain.longest());
        assert!(keys.verify::<1>(domain, fits.as_bytes()).is_ok());
    }
    assert_eq!(refusal::<1>(&keys, Domain::Challenge, &vec![b'A'; 64 << 10]), Refusal::Malformed);
}

#[test]
fn the_previous_key_is_believed_until_it_is_removed() {
    let before = keys(1).sign(Domain::Clearance, [b"x"]);
    let during = keys(2).with_previous(key(1)).with_previous(key(3));
    let after = keys(2);
    assert!(during.verify::<1>(Domain::Clearance, before.as_bytes()).is_ok());
    assert_eq!(refusal::<1>(&after, Domain::Clearance, before.as_bytes()), Refusal::UnknownKey);

    let now = during.sign(Domain::Clearance, [b"x"]);
    assert!(after.verify::<1>(Domain::Clearance, now.as_bytes()).is_ok(), "the new one signs");
    assert_eq!(refusal::<1>(&keys(1), Domain::Clearance, now.as_bytes()), Refusal::UnknownKey);
    let early = keys(1).with_previous(key(2));
    assert!(early.verify::<1>(Domain::Clearance, now.as_bytes()).is_ok(), "before it signs here");
}

#[test]
fn the_id_of_a_text_is_its_own() {
    let keys = keys(1);
    let id = |text: &str| keys.verify::<1>(Domain::Clearance, text.as_bytes()).unwrap().id;
    let [one, other] = [keys.sign(Domain::Clearance, [b"1"]), keys.sign(Domain::Clearance, [b"2"])];
    assert_eq!(id(&one), id(&one));
    assert_ne!(id(&one), id(&other));
}

/// All that the MAC is made over.
fn signed(domain: Domain, fields: &[Vec<u8>]) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(Vec::as_slice).collect();
    [domain_separator(domain), encode_fields(key(1).id(), &fields)].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_two_lists_of_fields_give_the_same_bytes(
        // Few different bytes, so that a field can look like another's length.
        bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(4), any::<u8>()], 0..40),
        cuts in proptest::collection::vec(0_usize..40, 0..6),
        other_cuts in proptest::collection::vec(0_usize..40, 0..6),
        domains in (0_usize..2, 0_usize..2),
    ) {
        let pieces = |cuts: &[usize]| {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| (*cut).min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            cuts.windows(2).map(|cut| bytes[cut[0]..cut[1]].to_vec()).collect::<Vec<_>>()
        };
        let one = (DOMAINS[domains.0], pieces(&cuts));
        let other = (DOMAINS[domains.1], pieces(&other_cuts));
        prop_assert_eq!(signed(one.0, &one.1) == signed(other.0, &other.1), one == other);
    }

    #[test]
    fn bytes_read_as_fields_are_those_that_the_fields_give(
        bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(0), 0_u8..9], 0..30),
    ) {
        if let Some(fields) = decode_fields::<2>(&bytes) {
            let mut again = Vec::new();
            fields.iter().for_each(|field| put_field(&mut again, field));
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn no_bytes_open_or_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(keys(1).verify::<2>(Domain::Challenge, &text).is_err());
        let encoded = URL_SAFE_NO_PAD.encode(&text);
        prop_assert!(keys(1).verify::<2>(Domain::Challenge, encoded.as_bytes()).is_err());
    }
}
