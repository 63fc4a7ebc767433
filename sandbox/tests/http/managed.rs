//! The managed challenge, from the decision over its page to the proof.

use std::sync::Arc;
use std::time::Duration;

use esper_sandbox::Sandbox;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::caller::Answer;
use crate::visit::{IP, Page, RETURN_URL, Visit, quick};

#[tokio::test]
async fn a_visitor_who_solves_the_page_comes_back_with_a_proof_and_is_allowed() {
    let visit = Visit::to(quick()).await;
    let location = visit.page().await.solve(&visit.caller).await;
    let (before, rest) = location.split_once("esper_challenge_proof=").expect("a proof");
    let (proof, fragment) = rest.split_once('#').expect("a fragment");
    assert_eq!((before, fragment), ("http://shop.localhost:3000/cart?x=1&", "top"));
    assert_eq!(visit.decide(RETURN_URL).await["action"], "challenge", "not before the proof");
    assert!(visit.verify(proof).await);
    assert_eq!(visit.decide(RETURN_URL).await["action"], "allow");
    assert!(!visit.verify(proof).await, "a proof is good once");
}

#[tokio::test]
async fn a_proof_is_good_for_its_visitor_alone() {
    let visit = Visit::to(quick()).await;
    let proof = visit.proof().await;
    for other in [
        json!({ "proof": proof, "ip": "203.0.113.8" }),
        json!({ "proof": proof, "ip": IP, "user_agent": "curl" }),
    ] {
        assert!(!visit.verify_for(other).await);
    }
    let mapped = json!({ "proof": proof, "ip": format!("::ffff:{IP}"), "user_agent": "" });
    assert!(visit.verify_for(mapped).await, "the same visitor, written in another way");
}

#[tokio::test]
async fn a_proof_that_is_not_the_sandboxs_is_merely_invalid() {
    let (visit, elsewhere) = (Visit::to(quick()).await, Visit::to(quick()).await);
    let page = visit.page().await.url;
    let token = page.rsplit('/').next().expect("a token");
    let long = "A".repeat(500_000);
    let foreign = elsewhere.proof().await;
    let changed = format!("x{}", visit.proof().await);
    for proof in ["x", ".", "a.b", token, &foreign, &changed, &long] {
        assert!(!visit.verify(proof).await, "{proof}");
    }
    assert_eq!(visit.decide(RETURN_URL).await["action"], "challenge");
}

#[tokio::test]
async fn of_fifty_uses_of_a_page_or_a_proof_at_once_one_counts() {
    let visit = Arc::new(Visit::to(quick()).await);
    let page = Arc::new(visit.page().await);
    let solution = page.solution();
    let mut answers = JoinSet::new();
    for _ in 0..50 {
        let request = page.hand_in(&visit.caller, &solution);
        answers.spawn(async move { Answer::to(request).await.status.as_u16() });
    }
    let mut answers = answers.join_all().await;
    answers.sort_unstable();
    assert_eq!((answers[0], &answers[1..]), (200, &[410; 49][..]));

    let proof = visit.proof().await;
    let mut verdicts = JoinSet::new();
    for _ in 0..50 {
        let (visit, proof) = (visit.clone(), proof.clone());
        verdicts.spawn(async move { visit.verify(&proof).await });
    }
    let verdicts = verdicts.join_all().await;
    assert_eq!(verdicts.into_iter().filter(|valid| *valid).count(), 1);
}

#[tokio::test]
async fn each_tab_has_a_challenge_of_its_own() {
    let visit = Visit::to(quick()).await;
    let one = visit.page().await;
    let solution = one.solution();
    // Of 256 challenges one is solved by the same nonce.
    for _ in 0..10 {
        let other = visit.page().await;
        let answer = Answer::to(other.hand_in(&visit.caller, &solution)).await;
        if answer.status != StatusCode::OK {
            answer.refusal(400, "invalid_request");
            other.solve(&visit.caller).await;
            one.solve(&visit.caller).await;
            return;
        }
    }
    panic!("one nonce solves every challenge");
}

#[tokio::test]
async fn a_wrong_answer_leaves_the_page_to_be_solved() {
    let visit = Visit::to(Sandbox::builder().challenge_difficulty(16)).await;
    let page = visit.page().await;
    for wrong in ["x", "-1", " ", "1e3"] {
        let answer = Answer::to(page.hand_in(&visit.caller, wrong)).await;
        assert_eq!(
            answer.refusal(400, "invalid_request"),
            "response: does not solve the challenge"
        );
    }
    let empty = Answer::to(page.hand_in(&visit.caller, "")).await;
    assert_eq!(empty.refusal(400, "invalid_request"), "response: must not be empty");
    page.solve(&visit.caller).await;
}

#[tokio::test]
async fn a_page_that_was_solved_says_so_and_gives_the_way_back() {
    let visit = Visit::to(quick()).await;
    let page = visit.page().await;
    let solution = page.solution();
    page.solve(&visit.caller).await;
    let again = Answer::to(page.hand_in(&visit.caller, &solution)).await;
    assert_eq!(again.refusal(410, "gone"), "this challenge was solved already");
    let page = Page::open(&visit.caller, page.url).await;
    assert_eq!(page.answer.status, StatusCode::GONE);
    let way_back = format!("href=\"{}\"", RETURN_URL.replace('&', "&amp;"));
    assert!(page.html().contains(&way_back), "{}", page.html());
}

#[tokio::test]
async fn a_page_expires_when_it_was_told_to() {
    let instant = Duration::from_nanos(1);
    let visit = Visit::to(quick().challenge_lifetime(instant)).await;
    let page = visit.page().await;
    assert_eq!(page.answer.status, StatusCode::GONE);
    assert!(page.html().contains("This check has expired"), "{}", page.html());
    let answer = Answer::to(page.hand_in(&visit.caller, "1")).await;
    assert_eq!(answer.refusal(410, "gone"), "this challenge has expired");
}

#[tokio::test]
async fn a_page_that_nobody_issued_is_not_there() {
    let (visit, elsewhere) = (Visit::to(quick()).await, Visit::to(quick()).await);
    let foreign = elsewhere.page().await.url;
    let foreign = foreign.rsplit('/').next().expect("a token");
    let long = "A".repeat(9000);
    for token in ["x", "a.b", "%ff", "%3Cscript%3E", foreign, &long] {
        let url = format!("{}/challenge/{token}", visit.sandbox.url());
        let page = Page::open(&visit.caller, url).await;
        assert_eq!(page.answer.status, StatusCode::NOT_FOUND, "{token}");
        assert!(page.html().contains("There is no such check") && !page.html().contains("<script"));
        let answer = Answer::to(page.hand_in(&visit.caller, "1")).await;
        assert!(answer.refusal(404, "not_found").contains("not issued by this sandbox"), "{token}");
    }
}

#[tokio::test]
async fn everything_that_a_browser_loads_is_under_a_strict_policy() {
    let visit = Visit::to(quick()).await;
    let page = visit.page().await;
    let unknown = format!("{}/challenge/x", visit.sandbox.url());
    let assets = ["challenge.css", "challenge.js", "proof-of-work.js", "icon.svg"];
    let assets = assets.map(|name| format!("{}/assets/{name}", visit.sandbox.url()));
    for url in [page.url, unknown].into_iter().chain(assets) {
        let headers = Page::open(&visit.caller, url.clone()).await.answer.headers;
        let policy = headers["content-security-policy"].to_str().expect("a policy");
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "worker-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|one| one == directive), "{url}: {policy}");
        }
        assert_eq!(headers["referrer-policy"], "no-referrer", "{url}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{url}");
        assert_eq!(headers["cache-control"], "no-store", "{url}");
    }
    let missing = format!("{}/assets/other.js", visit.sandbox.url());
    Answer::to(visit.caller.http.get(missing)).await.refusal(404, "not_found");
}

#[tokio::test]
async fn a_page_is_only_got_and_posted_to() {
    let visit = Visit::to(quick()).await;
    let page = visit.page().await;
    for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = Answer::to(visit.caller.http.request(method.clone(), &page.url)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        let allow: Vec<_> = answer.headers.get_all("allow").iter().collect();
        assert_eq!(allow, ["GET, POST"], "{method}");
    }
    let form = visit.caller.http.post(&page.url).body("response=1");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    Answer::to(form).await.refusal(415, "unsupported_media_type");
}

#[tokio::test]
async fn another_sites_page_cannot_hand_in_an_answer() {
    let visit = Visit::to(quick().public_url("https://esper.shop.example/sandbox/")).await;
    let decision = visit.decide(RETURN_URL).await;
    let page = decision["redirect_url"].as_str().expect("a page");
    let path = page.strip_prefix("https://esper.shop.example/sandbox").expect("the public URL");
    let page = Page::open(&visit.caller, format!("{}{path}", visit.sandbox.url())).await;
    let solution = page.solution();
    let here = visit.sandbox.url();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("origin", "null"),
        ("origin", "https://evil.example"),
        ("origin", "https://esper.shop.example.evil.example"),
        ("origin", "https://esper.shop.example:8443"),
        ("origin", "http://esper.shop.example"),
    ] {
        let request = page.hand_in(&visit.caller, &solution).header(name, value);
        Answer::to(request).await.refusal(403, "cross_site");
    }
    for origin in ["https://esper.shop.example", here] {
        let request = page.hand_in(&visit.caller, "x").header("origin", origin);
        let request = request.header("sec-fetch-site", "same-origin");
        Answer::to(request).await.refusal(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_host_that_is_not_allowed_gets_the_challenge_without_a_page() {
    let visit = Visit::to(quick().return_host("shop.example").return_host("10.0.0.7")).await;
    for good in ["https://shop.example/cart", "http://10.0.0.7:8080/", "http://[::1]/"] {
        let decision = visit.decide(good).await;
        let page = decision["redirect_url"].as_str().expect("a page");
        assert!(page.starts_with(&format!("{}/challenge/", visit.sandbox.url())), "{page}");
        assert_eq!(decision["metadata"]["managed_challenge"], Value::Null);
    }
    for (bad, why) in [
        ("https://shop.example.net/checkout", "--return-host"),
        ("https://www.shop.example/", "--return-host"),
        ("http://localhost.evil.example/", "--return-host"),
        ("http://localhost@evil.example/", "user name"),
        ("http://evil.example@localhost/", "user name"),
        (&format!("http://localhost/{}", "x".repeat(4096)), "4096 bytes"),
    ] {
        let decision = visit.decide(bad).await;
        assert_eq!(decision["action"], "challenge", "{bad}");
        assert_eq!(decision["challenge"]["type"], "proof_of_work", "{bad}");
        assert_eq!(decision["redirect_url"], Value::Null, "{bad}");
        let advice = decision["metadata"]["managed_challenge"].as_str().expect("an advice");
        assert!(advice.contains(why) && !advice.contains("evil"), "{advice}");
    }
}

#[tokio::test]
async fn only_a_challenge_for_a_browser_that_can_come_back_has_a_page() {
    let visit = Visit::to(quick()).await;
    assert_eq!(visit.caller.decide(IP).await["redirect_url"], Value::Null);
    let stranger = json!({ "ip": "203.0.113.9", "return_url": RETURN_URL });
    let decision = visit.caller.decide_about(stranger).await;
    assert_eq!((&decision["action"], &decision["redirect_url"]), (&json!("allow"), &Value::Null));
    visit.caller.events(IP, 140).await;
    let decision = visit.decide(RETURN_URL).await;
    assert_eq!((&decision["action"], &decision["redirect_url"]), (&json!("block"), &Value::Null));
}

#[tokio::test]
async fn what_a_return_url_contains_stays_within_the_page() {
    let visit = Visit::to(quick()).await;
    for hostile in ["'", "`", "\"", "<", ">", "{{salt}}", "</script><script>alert(1)</script>"] {
        let url = format!("http://localhost/{hostile}?{hostile}#{hostile}");
        let decision = visit.decide(&url).await;
        let page = decision["redirect_url"].as_str().expect("a page").to_owned();
        let page = Page::open(&visit.caller, page).await;
        page.solve(&visit.caller).await;
        let closed = Page::open(&visit.caller, page.url).await;
        assert_eq!(closed.answer.status, StatusCode::GONE);
        // The link's own two quotes, and nothing that ends its tag.
        let (_, link) = closed.html().split_once("<a ").expect("a link");
        let (tag, _) = link.split_once('>').expect("its end");
        assert_eq!(tag.matches('"').count(), 6, "{tag}");
        assert!(tag.ends_with("rel=\"noreferrer\"") && !tag.contains(['<', '\'', '`']), "{tag}");
        assert!(!closed.html().contains("<script"), "{}", closed.html());
    }
}

#[tokio::test]
async fn options_that_could_not_work_are_refused_at_the_start() {
    for builder in [
        quick().return_host("https://shop.example"),
        quick().return_host("*.shop.example"),
        quick().challenge_lifetime(Duration::ZERO),
        quick().public_url("shop.example"),
        quick().public_url("ftp://shop.example"),
        quick().public_url("https://user@shop.example"),
        quick().public_url("https://shop.example/?x=1"),
        quick().public_url("https://shop.example/#x"),
    ] {
        let error = builder.start().await.expect_err("no sandbox");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
    }
}
