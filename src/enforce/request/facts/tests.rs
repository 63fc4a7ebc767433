//! What makes two requests the same, and what Esper is told.

use http::Request;
use proptest::prelude::*;

use super::*;

/// Texts that could run into each other, if anything that joins them were taken for a part of them.
fn text() -> impl Strategy<Value = String> {
    "[ab\\x00\\x1f|:;,/\\n \"\u{ff}]{0,4}"
}

fn all_facts() -> impl Strategy<Value = RequestFacts> {
    let address = prop_oneof![Just([192, 0, 2, 1]), Just([192, 0, 2, 11])].prop_map(IpAddr::from);
    let name = prop_oneof![Just("accept"), Just("accept-language"), Just("host")];
    let headers = prop::collection::vec((name.prop_map(HeaderName::from_static), text()), 0..3);
    let optional = || prop::option::of(text());
    let parts = (address, optional(), text(), text(), headers, optional(), optional());
    parts.prop_map(|(address, user_agent, method, path, headers, session, request_id)| {
        RequestFacts { address, user_agent, method, path, headers, session, request_id }
    })
}

fn same(one: &RequestFacts, other: &RequestFacts) -> bool {
    one.address == other.address
        && one.user_agent == other.user_agent
        && one.method == other.method
        && one.path == other.path
        && one.headers == other.headers
        && one.session == other.session
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

    #[test]
    fn keys_are_equal_for_equal_requests_alone(one in all_facts(), other in all_facts()) {
        let hasher = CacheKeyHasher::new();
        let equal = hasher.key(&one, None) == hasher.key(&other, None);
        prop_assert_eq!(equal, same(&one, &other));
    }

    #[test]
    fn no_byte_can_move_from_one_member_to_the_next(left in text(), right in text(), split in 0_usize..8) {
        let hasher = CacheKeyHasher::new();
        let joined = format!("{left}{right}");
        let mut split = split.min(joined.len());
        while !joined.is_char_boundary(split) {
            split -= 1;
        }
        let (left_too, right_too) = joined.split_at(split);
        let facts = |path: &str, value: &str, session: Option<&str>| RequestFacts {
            address: IpAddr::from([192, 0, 2, 1]),
            user_agent: Some(value.to_owned()),
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: vec![(HeaderName::from_static("accept"), value.to_owned())],
            session: session.map(str::to_owned),
            request_id: None,
        };
        let one = facts(&left, &right, Some(&left));
        let other = facts(left_too, right_too, Some(left_too));
        let equal = hasher.key(&one, None) == hasher.key(&other, None);
        prop_assert_eq!(equal, left == left_too);
        let without = facts(&left, &right, None);
        prop_assert_ne!(hasher.key(&without, None), hasher.key(&facts(&left, &right, Some("")), None));
        prop_assert_ne!(hasher.key(&one, None), hasher.key(&one, Some(FailurePolicy::open())));
    }
}

#[test]
fn no_two_processes_have_the_same_keys() {
    let (parts, ()) = Request::get("/").body(()).unwrap().into_parts();
    let facts = RequestFacts::of(&parts, IpAddr::from([192, 0, 2, 1]), &Disclosure::default());
    assert_ne!(CacheKeyHasher::new().key(&facts, None), CacheKeyHasher::new().key(&facts, None));
}

fn facts(request: http::request::Builder, disclosure: &Disclosure) -> RequestFacts {
    let parts = request.body(()).unwrap().into_parts().0;
    RequestFacts::of(&parts, "192.0.2.1".parse().unwrap(), disclosure)
}

#[test]
fn the_order_in_which_a_visitor_sends_headers_makes_no_difference() {
    let (hasher, disclosure) = (CacheKeyHasher::new(), Disclosure::default());
    let one = Request::get("/").header("accept", "a").header("origin", "o").header("x-odd", "1");
    let two = Request::get("/").header("X-Odd", "2").header("Origin", "o").header("Accept", "a");
    let (one, two) = (facts(one, &disclosure), facts(two, &disclosure));
    assert_eq!(one.headers, two.headers);
    assert_eq!(hasher.key(&one, None), hasher.key(&two, None));
}

#[test]
fn a_host_is_told_whichever_way_http_says_it() {
    let (hasher, disclosure) = (CacheKeyHasher::new(), Disclosure::default());
    let of = |uri: &str, header: &[&str]| {
        let request =
            header.iter().fold(Request::get(uri), |request, host| request.header("host", *host));
        facts(request, &disclosure)
    };
    let http2 = of("https://shop.example/", &[]);
    assert_eq!(http2.headers, of("/", &["shop.example"]).headers);
    let other = of("https://admin.example/", &[]);
    assert_ne!(hasher.key(&http2, None), hasher.key(&other, None));
    assert_eq!(of("https://shop.example/", &["other.example"]).headers, http2.headers);
}

#[test]
fn a_value_under_another_header_is_another_request() {
    let (hasher, disclosure) = (CacheKeyHasher::new(), Disclosure::default());
    let one = facts(Request::get("/").header("accept", "x"), &disclosure);
    let two = facts(Request::get("/").header("origin", "x"), &disclosure);
    assert_ne!(hasher.key(&one, None), hasher.key(&two, None));
}

#[test]
fn what_is_not_on_the_list_is_not_told() {
    let secret = "canary";
    let request = ["cookie", "authorization", "x-api-key", "referer", "x-forwarded-for", "x-odd"]
        .iter()
        .fold(Request::post("/pay?token=canary"), |request, name| request.header(*name, secret));
    let facts = facts(request.header("accept", "a"), &Disclosure::default());
    let asked = serde_json::to_string(&facts.request()).unwrap();
    let debug = format!("{facts:?}");
    let told = serde_json::to_string(&facts.event()).unwrap();
    for text in [&asked, &debug, &told] {
        assert!(!text.contains(secret), "{text}");
        assert!(text.contains("/pay"), "{text}");
    }
    assert!(asked.contains(r#""accept":"a""#), "{asked}");
}

#[test]
fn a_query_is_told_where_that_is_asked_for() {
    let disclosure = Disclosure { query: true, ..Disclosure::default() };
    assert_eq!(facts(Request::get("/pay?a=b"), &disclosure).path, "/pay?a=b");
    assert_eq!(facts(Request::get("/pay?a=b"), &Disclosure::default()).path, "/pay");
    assert_eq!(facts(Request::options("*"), &disclosure).path, "*");
}

#[test]
fn no_header_with_a_secret_can_be_put_on_the_list() {
    for name in [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie2",
        "api-key",
        "apikey",
        "x-api-key",
        "x-esper-key",
        "x-esper-api-key",
        "x-auth-token",
        "x-access-token",
        "x-amz-security-token",
        "x-goog-api-key",
        "x-vault-token",
        "private-token",
        "x-csrf-token",
        "x-xsrf-token",
        "x-client-secret",
        "x-password",
    ] {
        for name in [name.to_owned(), name.to_uppercase()] {
            let error = Disclosure::default().set_headers([name.as_str()]).unwrap_err();
            assert!(error.to_string().contains("holds a secret"), "{error}");
        }
    }
    assert!(
        Disclosure::default().set_headers(["accept-language", "x-device", "dpop-kind"]).is_ok()
    );
    assert!(Disclosure::default().set_headers(["not a name"]).is_err());
    assert!(Disclosure::default().set_headers(HEADERS).is_ok());
}

#[test]
fn a_text_is_cut_between_characters() {
    for (text, longest, expected) in [
        ("abc", 3, "abc"),
        ("abc", 2, "ab"),
        ("aü", 2, "a"),
        ("ü", 1, ""),
        ("€€", 5, "€"),
        ("", 0, ""),
    ] {
        assert_eq!(cut(text, longest), expected);
    }
    let value = b"\xff\xff\xff\xff";
    assert_eq!(readable(value, 4), "\u{fffd}", "what stands for a byte is longer than it");
    assert_eq!(readable("a€".as_bytes(), 3), "a");
}
