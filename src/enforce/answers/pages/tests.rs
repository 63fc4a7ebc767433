//! What every page is, whatever it reflects.

use proptest::prelude::*;

use super::*;

/// What tries to break out of the place where it is put.
const HOSTILE: &[&str] = &[
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "`${alert(1)}`",
    "<!--<script>",
    "-->",
    "]]>",
    "</template></main></title>",
    "</style>",
    "\u{2028}\u{2029}\r\n\0",
    "&lt;script&gt;&#x3c;",
    "{{nonce}}{{script}}",
    "javascript:alert(1)",
];

fn calculation(posted: bool) -> Challenge<'static> {
    Challenge {
        task: Task::ProofOfWork { salt: "5f2c9a1e", difficulty: 16 },
        envelope: "v1.abc-_",
        endpoint: "/.well-known/esper/challenge",
        return_to: "/cart?q=a%20b",
        posted,
    }
}

/// Every page there is, with one text in all of its places.
fn pages_of(text: &str) -> Vec<String> {
    let of =
        |task, posted| Challenge { task, envelope: text, endpoint: text, return_to: text, posted };
    let mut pages =
        vec![blocked(None), blocked(Some(text)), unproven(text), unverified(), unchecked()];
    for posted in [false, true] {
        let calculation = Task::ProofOfWork { salt: text, difficulty: 16 };
        pages.push(challenge(&of(calculation, posted)));
        pages.push(challenge(&of(Task::Turnstile { site_key: text }, posted)));
        pages.push(challenge(&of(Task::Unsupported { name: text }, posted)));
    }
    pages.iter().map(body).collect()
}

fn body(response: &Response<Bytes>) -> String {
    String::from_utf8(response.body().to_vec()).expect("text")
}

fn header(response: &Response<Bytes>, name: &str) -> String {
    let value = response.headers().get(name).unwrap_or_else(|| panic!("no {name}"));
    value.to_str().expect("a text").to_owned()
}

/// The directives of a policy, by name.
fn policy(response: &Response<Bytes>) -> Vec<(String, String)> {
    let policy = header(response, "content-security-policy");
    let directives = policy.split("; ").map(|directive| {
        let (name, value) = directive.split_once(' ').expect("a directive with a value");
        (name.to_owned(), value.to_owned())
    });
    directives.collect()
}

fn directive(response: &Response<Bytes>, name: &str) -> Option<String> {
    policy(response).into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// What gives a page its structure.
fn skeleton(page: &str) -> Vec<char> {
    page.chars().filter(|character| "<>\"'`".contains(*character)).collect()
}

/// The value of the first attribute of a name, as a browser reads it.
fn attribute(page: &str, name: &str) -> Option<String> {
    let (_, after) = page.split_once(&format!(" {name}=\""))?;
    let (value, _) = after.split_once('"')?;
    let characters = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#96;", "`"),
        ("&#13;", "\r"),
        ("&amp;", "&"),
    ];
    Some(characters.iter().fold(value.to_owned(), |value, (from, to)| value.replace(from, to)))
}

/// Whether the paragraph with a text is not hidden.
fn shows(page: &str, text: &str) -> bool {
    let (before, _) = page.split_once(text).expect("the text");
    let (_, tag) = before.rsplit_once("<p").expect("a paragraph");
    !tag.contains(" hidden")
}

#[test]
fn what_is_reflected_does_not_break_out() {
    let plain: Vec<_> = pages_of("x").iter().map(|page| skeleton(page)).collect();
    for text in HOSTILE {
        for (page, plain) in pages_of(text).iter().zip(&plain) {
            assert_eq!(&skeleton(page), plain, "{text:?} in {page}");
        }
    }
}

#[test]
fn a_script_and_a_style_end_where_they_should() {
    for script in [CALCULATION, TURNSTILE] {
        let script = script.to_ascii_lowercase();
        assert!(!script.contains("</script") && !script.contains("<!--"), "{script}");
    }
    assert!(!STYLE.contains('<'));
}

#[test]
fn every_place_of_every_page_is_filled() {
    for page in pages_of("x") {
        assert!(!page.contains("{{") && !page.contains("}}"), "{page}");
    }
}

#[test]
fn a_word_that_a_script_says_is_in_its_page() {
    let pages = pages_of("x");
    let working: Vec<_> = pages.iter().filter(|page| page.contains("id=\"words\"")).collect();
    assert_eq!(working.len(), 4);
    for page in working {
        let script = page.split("<script").nth(1).expect("a script");
        let said = ["new Failure(\"", "tell(\"", "SLOW, \""].iter().flat_map(|before| {
            script.split(before).skip(1).map(|after| after.split('"').next().expect("a word"))
        });
        let said: Vec<_> = said.collect();
        assert!(said.len() >= 8, "{said:?}");
        for word in said {
            assert_eq!(page.matches(&format!("data-word=\"{word}\"")).count(), 1, "{word}");
        }
    }
}

#[test]
fn a_challenge_page_runs_its_own_script_alone() {
    let response = challenge(&calculation(false));
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let script = directive(&response, "script-src").expect("a script");
    let nonce = script.strip_prefix("'nonce-").and_then(|nonce| nonce.strip_suffix('\''));
    let nonce = nonce.expect("nothing but a nonce");
    assert_eq!(body(&response).matches("<script").count(), 1);
    assert_eq!(attribute(&body(&response), "nonce").as_deref(), Some(nonce));
    let style = format!("'sha256-{}'", *STYLE_HASH);
    for (name, value) in [
        ("default-src", "'none'"),
        ("worker-src", "'self'"),
        ("connect-src", "'self'"),
        ("style-src", style.as_str()),
        ("img-src", "data:"),
        ("base-uri", "'none'"),
        ("form-action", "'none'"),
        ("frame-ancestors", "'none'"),
    ] {
        assert_eq!(directive(&response, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(policy(&response).len(), 9);
}

#[test]
fn no_two_pages_have_the_same_nonce() {
    let nonces = ["v1.one", "v1.other"].map(|envelope| {
        let page = challenge(&Challenge { envelope, ..calculation(false) });
        attribute(&body(&page), "nonce")
    });
    assert_ne!(nonces[0], nonces[1]);
    assert_eq!(nonces[0].as_ref().map(String::len), Some(24));
}

#[test]
fn another_host_is_named_only_where_the_challenge_needs_it() {
    let turnstile =
        Challenge { task: Task::Turnstile { site_key: "0x4AAA" }, ..calculation(false) };
    let turnstile = challenge(&turnstile);
    let script = directive(&turnstile, "script-src").expect("a script");
    assert!(script.ends_with(" https://challenges.cloudflare.com"), "{script}");
    let frame = directive(&turnstile, "frame-src");
    assert_eq!(frame.as_deref(), Some("https://challenges.cloudflare.com"));
    assert_eq!(directive(&turnstile, "worker-src"), None);
    assert_eq!(attribute(&body(&turnstile), "data-site-key").as_deref(), Some("0x4AAA"));
    let unsupported =
        Challenge { task: Task::Unsupported { name: "riddle" }, ..calculation(false) };
    for response in [
        challenge(&calculation(true)),
        challenge(&unsupported),
        blocked(Some("r-1")),
        unproven("/cart"),
        unverified(),
        unchecked(),
    ] {
        let text = header(&response, "content-security-policy") + &body(&response);
        assert!(!text.contains("https:") && !text.contains("src=\"/"), "{text}");
    }
}

#[test]
fn a_page_is_kept_out_of_caches_frames_and_search_results() {
    let unsupported =
        Challenge { task: Task::Unsupported { name: "riddle" }, ..calculation(false) };
    for (response, status) in [
        (challenge(&calculation(false)), 429),
        (challenge(&unsupported), 429),
        (blocked(None), 403),
        (unproven("/cart"), 403),
        (unverified(), 503),
        (unchecked(), 503),
    ] {
        assert_eq!(response.status(), status);
        assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8");
        assert_eq!(header(&response, "cache-control"), "no-store");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header(&response, "referrer-policy"), "same-origin");
        assert_eq!(header(&response, "x-robots-tag"), "noindex");
        assert!(header(&response, "vary").contains("Accept"));
        assert_eq!(directive(&response, "default-src").as_deref(), Some("'none'"));
        assert_eq!(directive(&response, "frame-ancestors").as_deref(), Some("'none'"));
    }
}

#[test]
fn a_page_that_solves_nothing_has_no_script() {
    let unsupported = Challenge { task: Task::Unsupported { name: "riddle" }, ..calculation(true) };
    for response in [
        blocked(Some("r-1")),
        unproven("/cart"),
        challenge(&unsupported),
        unverified(),
        unchecked(),
    ] {
        assert!(!body(&response).contains("<script"));
        assert_eq!(directive(&response, "script-src"), None);
    }
}

#[test]
fn a_form_that_was_posted_is_not_silently_lost() {
    let notice = "What you just sent has not arrived";
    for task in [
        Task::ProofOfWork { salt: "s", difficulty: 1 },
        Task::Turnstile { site_key: "k" },
        Task::Unsupported { name: "riddle" },
    ] {
        let mut it = Challenge { task, ..calculation(true) };
        let posted = body(&challenge(&it));
        assert!(shows(&posted, notice), "{posted}");
        it.posted = false;
        let got = body(&challenge(&it));
        assert!(got.contains(notice) && !shows(&got, notice), "{got}");
    }
    assert_eq!(attribute(&body(&challenge(&calculation(true))), "data-posted").unwrap(), "true");
    assert_eq!(attribute(&body(&challenge(&calculation(false))), "data-posted").unwrap(), "false");
}

#[test]
fn a_block_says_what_finds_the_request_and_nothing_else() {
    let without = body(&blocked(None));
    assert!(without.contains("<p class=\"reference\" hidden>"), "{without}");
    let with = body(&blocked(Some("0198-ab")));
    assert!(with.contains("<p class=\"reference\">"), "{with}");
    assert!(with.contains("<code>0198-ab</code>"));
    let long = "é".repeat(10_000);
    assert!(body(&blocked(Some(&long))).len() < with.len() + 200);
}

#[test]
fn the_worker_of_a_page_is_an_asset_that_may_be_kept() {
    let page = body(&challenge(&calculation(false)));
    let address = attribute(&page, "data-worker").expect("a worker");
    let name = address.strip_prefix("/.well-known/esper/challenge/").expect("the endpoint");
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)));
    let worker = asset(name).expect("an asset");
    assert_eq!(worker.status(), StatusCode::OK);
    assert_eq!(header(&worker, "content-type"), "text/javascript; charset=utf-8");
    assert_eq!(header(&worker, "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header(&worker, "x-content-type-options"), "nosniff");
    assert_eq!(worker.body(), WORKER.as_bytes());
    for other in ["", "proof-of-work.js", "challenge.js", "../pages.rs", &name.to_uppercase()] {
        assert!(asset(other).is_none(), "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_page_has_the_same_structure_whatever_it_reflects(text in any::<String>()) {
        let plain = pages_of("x");
        for (page, plain) in pages_of(&text).iter().zip(&plain) {
            prop_assert_eq!(skeleton(page), skeleton(plain));
        }
    }

    #[test]
    fn a_script_reads_what_was_put_into_the_page(text in any::<String>()) {
        let it = Challenge {
            task: Task::ProofOfWork { salt: &text, difficulty: 3 },
            envelope: &text,
            return_to: &text,
            ..calculation(false)
        };
        let page = body(&challenge(&it));
        for name in ["data-salt", "data-envelope", "data-return-to"] {
            let read = attribute(&page, name);
            prop_assert_eq!(read.as_deref(), Some(text.as_str()), "{}", name);
        }
    }
}
