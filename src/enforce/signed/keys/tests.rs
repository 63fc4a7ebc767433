//! Which keys are refused, and what is seen of the others.

use std::fs;
use std::path::Path;

use super::*;
use crate::enforce::fixtures::logged;

const GOOD: &str = "pY3zqW0rT8mK5vN1xB7cL2dF9gH4jS6aQeRuIoPlMnk=";

#[test]
fn a_key_that_is_short_or_hardly_random_stops_the_start() {
    let refused: [(&[u8], &str); 12] = [
        (b"", "32 bytes"),
        (&GOOD.as_bytes()[..31], "32 bytes"),
        (&[0; 32], "random"),
        (&[0; 64], "random"),
        (&[0xff; 32], "random"),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "random"),
        (b"00000000000000000000000000000000", "random"),
        (b"abcabcabcabcabcabcabcabcabcabcabcabc", "random"),
        (b"pY3zqW0rT8mK5vN1xB7cL2dF9gH4jS6aQeRuIoPlMnk=\n", "white space"),
        (b" pY3zqW0rT8mK5vN1xB7cL2dF9gH4jS6aQeRuIoPlMnk=", "white space"),
        (b"                                      ", "white space"),
        (b"replace-me-with-the-output-of-openssl-rand-base64-32", "documentation"),
    ];
    for (secret, why) in refused {
        let error = ClearanceKey::new(secret).unwrap_err();
        assert!(matches!(error, EsperError::Validation { field: "clearance_key", .. }));
        let text = error.to_string();
        assert!(text.contains(why) && text.contains("openssl rand -base64 32"), "{text}");
    }
    let good = GOOD.as_bytes();
    let six_digits: &[u8] = b"01234501234501234501234501234501";
    for secret in [good, &good[..32], b"31415926535897932384626433832795", six_digits] {
        assert!(ClearanceKey::new(secret).is_ok());
    }
}

#[test]
fn every_key_in_the_documentation_is_refused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guides = fs::read_dir(root.join("src/guide")).unwrap().map(|file| file.unwrap().path());
    let others = ["README.md", "src/enforce/guide.md", "src/enforce/signed/keys.rs"];
    let texts =
        guides.chain(others.iter().map(|file| root.join(file))).filter(|path| path.is_file());
    let texts: Vec<_> = texts.map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(texts.len() > others.len(), "there are guides");
    let shown = texts.iter().flat_map(|text| text.split("ClearanceKey::new(\"").skip(1));
    let shown: Vec<_> = shown.filter_map(|rest| rest.split('"').next()).collect();
    assert!(!shown.is_empty());
    for example in shown {
        assert!(ClearanceKey::new(example).is_err(), "{example}");
        assert_eq!(example.as_bytes(), EXAMPLE);
    }
}

#[test]
fn a_key_is_never_printed() {
    let keys = ClearanceKeys::new(ClearanceKey::new(GOOD).unwrap())
        .with_previous(ClearanceKey::new(GOOD.to_lowercase()).unwrap());
    let shown = format!("{keys:?} {keys:#?}");
    assert!(shown.contains("[redacted]"));
    for secret in [GOOD, &GOOD.to_lowercase()] {
        for part in secret.as_bytes().windows(4) {
            assert!(!shown.contains(std::str::from_utf8(part).unwrap()), "{shown}");
        }
        let numbers = format!("{:?}", &secret.as_bytes()[..3]);
        assert!(!shown.contains(numbers.trim_matches(['[', ']'])), "{shown}");
    }
    let error = ClearanceKey::new(&GOOD[..20]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&GOOD[..4]));
}

#[test]
fn a_key_has_the_same_id_everywhere_and_another_key_has_another() {
    let ids = |secret: &str| ClearanceKey::new(secret).unwrap().id();
    assert_eq!(ids(GOOD), ClearanceKey::new(GOOD.as_bytes()).unwrap().id());
    assert_ne!(ids(GOOD), ids(&GOOD.replace('p', "q")));
    assert!(!GOOD.as_bytes().starts_with(&ids(GOOD)));
}

#[test]
fn random_keys_differ_and_a_process_keeps_its_one() {
    let [one, other] = [ClearanceKey::random().unwrap(), ClearanceKey::random().unwrap()];
    assert_ne!(one.secret.expose_secret(), other.secret.expose_secret());
    assert_eq!(one.secret.expose_secret().len(), 32);
    assert!(ClearanceKey::check(one.secret.expose_secret()).is_ok());
    let ours = || ClearanceKeys::of_this_process().unwrap().current().id();
    assert_eq!(ours(), ours());
}

#[test]
fn a_made_up_key_is_said_to_be_one_with_what_it_means() {
    let key = ClearanceKey::new(GOOD).unwrap();
    let log = logged(|| drop(made_up(key)));
    assert!(log.contains("WARN") && log.contains("restart") && log.contains("replica"), "{log}");
    assert!(!log.contains(&GOOD[..4]));
    assert_eq!(log.lines().count(), 1);
}
