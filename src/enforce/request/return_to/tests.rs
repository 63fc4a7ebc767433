//! What holds of a return path, whoever wrote it.

use http::HeaderValue;
use proptest::prelude::*;
use reqwest::Url;

use super::*;
use crate::enforce::public_origin::PublicOrigin;

const HERE: &str = "https://good.example";

fn of(uri: &str) -> String {
    ReturnTo::of(&uri.parse().unwrap()).to_string()
}

/// Whether a return path is on this site to a browser, and fits where it is put.
fn check(to: &ReturnTo) {
    let text = to.as_str();
    for base in ["https://good.example/", "https://good.example/a/b?c=/d#e"] {
        let url = Url::parse(base).unwrap().join(text).unwrap();
        assert_eq!(url.origin().ascii_serialization(), HERE, "{text}");
        assert!(url.username().is_empty() && url.password().is_none(), "{text}");
        assert!(!url.path().starts_with("//"), "{text}");
    }
    let joined = PublicOrigin::parse(HERE).unwrap().join(to);
    assert_eq!(Url::parse(&joined).unwrap().origin().ascii_serialization(), HERE, "{joined}");
    assert!(text.len() <= 2048 && text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
    assert!(!text.contains(['"', '\'', '<', '>', '`', '\\', '#']), "{text}");
    assert!(HeaderValue::from_str(text).is_ok());
    assert_eq!(ReturnTo::parse(text).as_ref(), Some(to), "it is read as it was written");
}

#[test]
fn what_a_browser_could_take_for_another_site_is_no_return_path() {
    let (long, grows) = (format!("/{}", "a".repeat(8 * 1024)), format!("/{}", "\"".repeat(1_000)));
    for text in [
        "//evil",
        "///evil",
        "/\\evil",
        "\\\\evil",
        "\\/evil",
        "https:evil",
        "https:/evil",
        "https://evil",
        "javascript:alert(1)",
        "data:text/html,x",
        "/%2f%2fevil",
        "/%2F/evil",
        "/%5cevil",
        "/%5C%5Cevil",
        "/%252fevil",
        "/%255cevil",
        "/\t/evil",
        "/\n/evil",
        "\t//evil",
        "/%09/evil",
        "/%0a/evil",
        "/%0d%0aevil",
        "/%2509/evil",
        " //evil",
        "/ /evil",
        "/\u{a0}/evil",
        "http://good@evil",
        "//good.example@evil",
        "@evil",
        "good.evil",
        "evil",
        "",
        "?x",
        "#x",
        "/a\r\nSet-Cookie: x=1",
        "/a\0",
        "/a%00",
        "/a\u{7f}",
        "/a\u{2028}",
        "/x#y",
        "/.//evil",
        "/..//evil",
        "/x/..//evil",
        "/%2e//evil",
        "/%2e%2e//evil",
        "/.%2f/evil",
        "/x/%2e%2e",
        "/.",
        "/a\\b",
        "/a%0ab",
        "/%2fevil%ff",
        "/%ff/%2e%2e/evil",
        &long,
        &grows,
    ] {
        assert_eq!(ReturnTo::parse(text), None, "{text:.60}");
        if let Ok(uri) = text.parse::<Uri>() {
            let to = ReturnTo::of(&uri);
            check(&to);
            assert!(!to.as_str().contains("evil"), "{text:.60}: {to:.60}");
        }
    }
}

#[test]
fn what_was_asked_for_is_the_return_path() {
    for path in [
        "/",
        "/a",
        "/a/",
        "/a//b",
        "/a;b/c=d,e",
        "/a?b=c&d=e",
        "/a?",
        "/?q=a%0d%0ab",
        "/a?next=//evil",
        "/a?x=%5c%00",
        "/%E2%82%AC",
        "/%ff",
        "/a%2fb",
        "/a%5cb",
        "/.well-known/x",
        "/a..b/...",
        "/@good:80",
        "/:evil",
        "/proxy/https://x.example/y",
        "/a%25%32%30",
        "/100%",
    ] {
        assert_eq!(of(path), path);
        check(&ReturnTo::parse(path).unwrap());
    }
    assert_eq!(of("https://evil.example/a?b"), "/a?b");
    assert_eq!(of("https://evil.example"), "/");
    for other in ["*", "evil.example:443"] {
        assert_eq!(of(other), "/");
    }
    let exact = format!("/{}", "a".repeat(2047));
    assert_eq!(of(&exact), exact);
    assert_eq!(of(&format!("{exact}a")), "/");
}

#[test]
fn what_has_a_meaning_in_html_is_encoded() {
    assert_eq!(of("/a?q='x'"), "/a?q=%27x%27");
    assert_eq!(of("/a?q=\\d"), "/a?q=%5Cd");
    let to = ReturnTo::parse("/\"><script>`é?'}{|").unwrap();
    assert_eq!(to.as_str(), "/%22%3E%3Cscript%3E%60%C3%A9?%27%7D%7B%7C");
    check(&to);
}

#[test]
fn the_proof_of_a_managed_challenge_is_left_out_and_nothing_else() {
    for (uri, expected) in [
        ("/a?esper_challenge_proof=x", "/a"),
        ("/a?esper_challenge_proof", "/a"),
        ("/a?b=c&esper_challenge_proof=x&d", "/a?b=c&d"),
        ("/a?esper_challenge_proof=x&esper_challenge_proof=y&b", "/a?b"),
        ("/a?esper%5Fchallenge_proof=x&b", "/a?b"),
        ("/a?esper_challenge_proofs=x", "/a?esper_challenge_proofs=x"),
        ("/a?x=esper_challenge_proof", "/a?x=esper_challenge_proof"),
        ("/esper_challenge_proof=x", "/esper_challenge_proof=x"),
        ("/a?&&", "/a?&&"),
    ] {
        assert_eq!(of(uri), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_return_path_is_on_this_site_whatever_it_was_made_of(
        text in prop_oneof![
            ".{0,60}",
            "/.{0,60}",
            "[/\\\\.:@%a-f0-9?#\t\n]{0,20}",
            "/(/|\\\\|\\.|%2[eEfF]|%5[cC]|%25|2[eEfF]|%0[9aAdD]|evil|@|:|\\?|&|;){0,12}",
        ],
    ) {
        if let Some(to) = ReturnTo::parse(&text) {
            check(&to);
        }
        if let Ok(uri) = text.parse::<Uri>() {
            check(&ReturnTo::of(&uri));
        }
    }
}
