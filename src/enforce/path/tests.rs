//! What holds of a path, however it is read.

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::Request;
use proptest::prelude::*;
use reqwest::Url;
use tower::Service;

use super::*;

/// How strict: 0 is exempt, 1 the rule for all paths, 2 the one for `/admin`, and for `/pay` alone.
fn rules() -> PathRules<u8> {
    PathRules::new(1)
        .with(PathPattern::below("/health").unwrap(), 0)
        .with(PathPattern::exactly("/metrics").unwrap(), 0)
        .with(PathPattern::below("/static/").unwrap(), 0)
        .with(PathPattern::below("/static/private").unwrap(), 2)
        .with(PathPattern::below("/admin").unwrap(), 2)
        .with(PathPattern::exactly("/admin/health").unwrap(), 0)
        .with(PathPattern::exactly("/pay").unwrap(), 2)
}

fn value(path: &str) -> u8 {
    rules().strictest(path, u8::max)
}

#[test]
fn a_path_gets_the_policy_of_its_route_or_the_stricter() {
    for path in [
        "/admin",
        "//admin",
        "/./admin",
        "/x/../admin",
        "/%61dmin",
        "/admin/",
        "/admin;x",
        "/admin;x=1/users",
        "///admin//",
        "/%2561dmin",
        "/x/%2e%2e/admin",
        "/x/%252e%252e/admin",
        "/x/..%2fadmin",
        "/x%2f..%2fadmin",
        "\\admin",
        "/\\admin",
        "/x\\..\\admin",
        "/%5cadmin",
        "/x/..;/admin",
        "/x/..;a=b/admin",
        "/;/admin",
        "/.;/admin",
        "/health/../admin",
        "/health/..%5cadmin",
        "/metrics/../admin",
        "/static/../admin",
        "/b%2fx/../%61dmin",
        "/../admin",
        "/../../admin",
        "/admin/.",
        "/admin/x/..",
        "/a/b/../../admin",
        "/./././admin",
        "/admin%2f",
        "/admin%00",
        "/admin%0a",
        "/%c0%afadmin",
        "/admin\\",
        "/admin%3bx",
        "/admin%3fx",
        "/admin%23x",
        "/admin%253f/../x",
        "/static/private/x",
        "/static//private",
        "/static/x/../private",
        "/static/%70rivate",
        "/admin/health/",
        "/admin//health",
        "/admin/./health",
        "/admin/health;x",
        "/pay",
        "/pay/",
    ] {
        assert_eq!(value(path), 2, "{path}");
    }
}

#[test]
fn an_exclusion_is_for_whole_segments() {
    for (path, expected) in [
        ("/health", 0),
        ("/health/", 0),
        ("/health/live", 0),
        ("/health/a%20b", 0),
        ("/health/x;v=1", 0),
        ("/health//live", 0),
        ("/health/./live", 0),
        ("/metrics", 0),
        ("/static/css/a.min.css", 0),
        ("/static/.hidden", 0),
        ("/admin/health", 0),
        ("/healthz", 1),
        ("/healthz-admin", 1),
        ("/health-admin", 1),
        ("/health.json", 1),
        ("/Health", 1),
        ("/x/health", 1),
        ("/health/..", 1),
        ("/health/../x", 1),
        ("/health/%2e%2e/x", 1),
        ("/health/..%2fx", 1),
        ("/health/..;/x", 1),
        ("/health%2f..%2fx", 1),
        ("/health\\..\\x", 1),
        // Not the path that the rule is for, to a server that does not do this step.
        ("//health", 1),
        ("/./health", 1),
        ("/%68ealth", 1),
        ("/health;x", 1),
        ("/health%2flive", 1),
        ("/health%3flive", 1),
        ("/metrics/", 1),
        ("/metrics/x", 1),
        ("/", 1),
        ("", 1),
        ("*", 1),
        ("health/..", 1),
    ] {
        assert_eq!(value(path), expected, "{path}");
    }
}

#[test]
fn a_path_with_too_many_variants_gets_the_strictest_of_all() {
    let long = format!("/health/{}", "%41".repeat(700));
    let deep = format!("/health/{}x{}", "%2561;//.\\".repeat(40), "/..%5c".repeat(40));
    for path in ["/health/\u{7f}", "/health/%00", "/health/%ff", "/health/%25%30%30", &long, &deep]
    {
        assert_eq!(value(path), 2, "{path}");
    }
    // Not because it is long.
    assert_eq!(value(&format!("/health/{}", "x".repeat(9_000))), 0);
}

#[test]
fn an_odd_path_that_is_meant_well_has_few_variants() {
    let odd = "/img//a%20b;v=1/../c%2Fd/%E2%82%AC\\e/";
    let PathVariants::Several(variants) = PathVariants::of(odd) else {
        panic!("{:?}", PathVariants::of(odd))
    };
    assert!(variants.len() < 64 && variants.contains(&odd.to_owned()), "{variants:?}");
    assert!(matches!(PathVariants::of("/a/b-c.d/é"), PathVariants::Plain("/a/b-c.d/é")));
}

#[test]
fn the_longest_rule_counts_and_of_equal_ones_the_last() {
    let below = |path| PathPattern::below(path).unwrap();
    let rules = PathRules::new(1).with(below("/"), 2).with(below("/a/b"), 3).with(below("/a"), 4);
    let value = |path| rules.strictest(path, u8::max);
    assert_eq!(["/", "/x", "/a", "/a/b", "/a/b/c"].map(value), [2, 2, 4, 3, 3]);
    let rules = rules.clone().with(below("/a"), 1).with(PathPattern::exactly("/a").unwrap(), 5);
    let value = |path| rules.strictest(path, u8::max);
    assert_eq!(["/a", "/a/c", "/a/b"].map(value), [5, 1, 3]);
    let rules = rules.clone().with(PathPattern::exactly("/").unwrap(), 6);
    let value = |path| rules.strictest(path, u8::max);
    assert_eq!(["/", "/x", ""].map(value), [6, 2, 2]);
}

#[test]
fn a_rule_for_all_paths_takes_the_place_of_the_one_before_for_malformed_paths_too() {
    let below = |path| PathPattern::below(path).unwrap();
    let rules = PathRules::new(2).with(below("/"), 1).with(below("/health"), 0);
    let value = |path| rules.strictest(path, u8::max);
    assert_eq!(["/x", "", "*", "/%ff", "/health/%ff"].map(value), [1; 5]);
    let rules = rules.clone().with(below("/admin"), 2);
    assert_eq!(rules.strictest("/%ff", u8::max), 2);
}

#[test]
fn a_rule_is_written_as_people_read_it() {
    let rules = PathRules::new(1).with(PathPattern::below("/über uns").unwrap(), 0);
    let value = |path| rules.strictest(path, u8::max);
    assert_eq!(["/%C3%BCber%20uns", "/%C3%BCber%20uns/wir", "/%C3%BCber"].map(value), [0, 0, 1]);
}

#[test]
fn a_rule_that_would_not_mean_what_it_says_is_refused() {
    for path in [
        "",
        "health",
        "*",
        "/health/*",
        "/users/{id}",
        "/users/:id",
        "/:tenant/orders",
        "/a//b",
        "//",
        "//a",
        "/.",
        "/a/../b",
        "/a/.",
        "/%61",
        "/a;b",
        "/a\\b",
        "/a?b",
        "/a#b",
        "/a\nb",
        "/a//",
        "https://a.example/x",
    ] {
        assert!(PathPattern::below(path).is_err(), "{path}");
        assert!(PathPattern::exactly(path).is_err(), "{path}");
    }
    let error = PathPattern::exactly("/health/").unwrap_err().to_string();
    assert!(error.starts_with("the path of a rule ends with a slash"), "{error}");
    assert_eq!(PathPattern::below("/a/").unwrap(), PathPattern::below("/a").unwrap());
}

/// Paths of few names, with everything that servers disagree about.
fn paths() -> impl Strategy<Value = String> {
    let pieces = [
        "/", "/", "/", "health", "admin", "x", "metrics", "..", ".", ";v", "\\", "%2f", "%5c",
        "%2e", "%61dmin", "%68ealth", "%252f", "%252e", "%3f", "%3b", "z", "",
    ];
    let path = proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..12);
    path.prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// What a server makes of a path that does these steps, one after the other.
fn read(path: &str, steps: &[u8]) -> String {
    steps.iter().fold(path.to_owned(), |path, step| match step {
        0 => percent_encoding::percent_decode_str(&path).decode_utf8_lossy().into_owned(),
        1 => path.replace('\\', "/"),
        2 => path
            .split('/')
            .map(|part| part.split(';').next().unwrap())
            .collect::<Vec<_>>()
            .join("/"),
        3 => path
            .split('/')
            .filter(|part| !part.is_empty())
            .fold(String::new(), |all, part| all + "/" + part),
        4 => Url::parse("http://a.example")
            .unwrap()
            .join(&format!("/.{path}"))
            .unwrap()
            .path()
            .to_owned(),
        5 => path.split(['?', '#']).next().unwrap().to_owned(),
        _ => path.trim_end_matches('/').to_owned(),
    })
}

/// The value of a path for a server that takes it literally.
fn literally(path: &str) -> u8 {
    let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
    match segments[..] {
        ["admin", "health"] | ["metrics"] | ["health", ..] => 0,
        ["admin", ..] => 2,
        _ => 1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_reading_of_a_path_leads_to_a_stricter_policy_than_the_one_that_holds(
        path in paths(),
        steps in Just(vec![0, 0, 1, 2, 3, 4, 5, 6]).prop_shuffle(),
        most in 0_usize..=8,
    ) {
        let reading = read(&path, &steps[..most]);
        // A row of slashes at the beginning is none to a server that takes it literally.
        prop_assume!(!reading.starts_with("//"));
        prop_assert!(literally(&reading) <= value(&path), "{} as {}", path, reading);
    }

    #[test]
    fn the_route_that_axum_dispatches_has_no_stricter_policy_than_the_one_that_holds(
        path in paths(),
    ) {
        let policy = |value: u8| any(move || async move { value.to_string() });
        let mut router: Router = Router::new().fallback(|| async { "1" });
        for (route, value) in [("/health", 0), ("/admin", 2)] {
            let below = [route, "/{*rest}"].concat();
            let slash = [route, "/"].concat();
            router = router.route(route, policy(value)).route(&slash, policy(value));
            router = router.route(&below, policy(value));
        }
        let mut router = router.route("/metrics", policy(0)).route("/admin/health", policy(0));
        let request = Request::builder().uri(path.as_str()).body(Body::empty());
        prop_assume!(request.is_ok());
        let answer = pollster::block_on(router.call(request.unwrap())).unwrap();
        let body = pollster::block_on(axum::body::to_bytes(answer.into_body(), 1)).unwrap();
        prop_assert!(body[0] - b'0' <= value(&path), "{}", path);
    }

    #[test]
    fn no_path_panics(path in ".{0,200}") {
        prop_assert!(value(&path) <= 2);
    }
}
