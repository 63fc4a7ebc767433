//! Managed challenges: a browser is sent to a page of Esper's, and comes back with a proof.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use esper_rs_client::enforce::PublicOrigin;
use esper_sandbox::{Fault, Operation, Visitor};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::select;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::{Layer, Service, service_fn};

use super::echo::layer;
use super::site::{BROWSER, Site, VISITOR, until};
use super::solving::{Challenge, calls, cookie};
use crate::support::solve_page;

/// A site that browsers find under a public origin.
async fn site() -> Site {
    Site::with(|layer| layer.with_public_origin(origin()).with_query_strings()).await
}

fn origin() -> PublicOrigin {
    ORIGIN.parse().unwrap()
}

fn location(answer: &Response) -> Option<String> {
    answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned())
}

/// Follows a visitor to the page of Esper's and back to the site: the path with the proof.
async fn return_path(site: &Site, path: &str) -> String {
    site.sandbox.challenge(VISITOR);
    let sent = site.visit(path).send().await.unwrap();
    assert_eq!(sent.status(), 303);
    let url = location(&sent).unwrap();
    let back = solve_page(&site.http, &url).await;
    back.strip_prefix(ORIGIN).unwrap().to_owned()
}

#[tokio::test]
async fn a_browser_is_sent_to_the_managed_challenge_and_comes_back_with_a_clearance() {
    let site = site().await;
    site.sandbox.challenge(VISITOR);
    let sent = site.visit("/checkout?step=2&x=%C3%A9").send().await.unwrap();
    assert_eq!(sent.status(), 303);
    assert_eq!(sent.headers()["cache-control"], "no-store");
    assert!(location(&sent).unwrap().starts_with(site.sandbox.url()));
    assert_eq!(sent.text().await.unwrap(), "");

    let back = return_path(&site, "/checkout?step=2&x=%C3%A9").await;
    assert!(back.starts_with("/checkout?step=2&x=%C3%A9&esper_challenge_proof="), "{back}");
    let returned = site.visit(&back).send().await.unwrap();
    assert_eq!(returned.status(), 303);
    assert_eq!(location(&returned).unwrap(), "/checkout?step=2&x=%C3%A9");
    assert_eq!(returned.headers()["cache-control"], "no-store");
    let clearance = cookie(&returned).unwrap();
    let proven = calls(&site.sandbox, Operation::VerifyChallengeProof);
    assert_eq!(proven.len(), 1);
    let body = proven[0].body().unwrap();
    assert_eq!((&body["ip"], &body["user_agent"]), (&json!(VISITOR), &json!(BROWSER)));
    assert_eq!(site.calls(), 0);

    site.sandbox.challenge(VISITOR);
    let clean = site.visit("/checkout?step=2").header("cookie", clearance).send().await.unwrap();
    assert_eq!(clean.status(), 200);
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn esper_learns_where_a_visitor_goes_back_to_without_an_earlier_proof() {
    let site = site().await;
    site.sandbox.challenge(VISITOR);
    let visit = |path: &str| site.visit(path).header("host", "evil.example").send();
    visit("/a?esper_challenge_proof=old&b=1").await.unwrap();
    visit("/a").await.unwrap();
    let asked = calls(&site.sandbox, Operation::CheckMitigation);
    let told = |number: usize| asked[number].body().unwrap()["return_url"].clone();
    assert_eq!(told(0), json!(format!("{ORIGIN}/a?b=1")));
    assert_eq!(told(1), json!(format!("{ORIGIN}/a")));
}

/// Promise 32.
#[tokio::test]
async fn a_return_path_tells_esper_no_query_unless_it_is_asked_for() {
    let site = Site::with(|layer| layer.with_public_origin(origin())).await;
    site.visit("/a?token=1").send().await.unwrap();
    let asked = calls(&site.sandbox, Operation::CheckMitigation);
    assert_eq!(asked[0].body().unwrap()["return_url"], json!(format!("{ORIGIN}/a")));
}

#[tokio::test]
async fn neither_a_post_nor_a_program_is_sent_to_the_managed_challenge() {
    let site = site().await;
    site.sandbox.challenge(VISITOR);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let posted = site
            .http
            .request(method, site.url("/order"))
            .header("accept", "text/html")
            .header("user-agent", BROWSER)
            .body("item=1");
        let posted = posted.send().await.unwrap();
        assert_eq!((posted.status().as_u16(), location(&posted)), (429, None));
        let page = posted.text().await.unwrap();
        assert!(page.contains("data-posted=\"true\""), "{page}");
    }
    let program = site.call("/order").send().await.unwrap();
    assert_eq!(location(&program), None);
    let problem = Challenge::of(program).await.problem;
    assert_eq!(problem["challenge"]["type"], "proof_of_work");
    let fetch = site.call("/order").header("sec-fetch-dest", "empty").header("accept", "text/html");
    assert_eq!(fetch.send().await.unwrap().status(), 429);
}

#[tokio::test]
async fn a_wrong_or_used_proof_passes_nobody() {
    let site = site().await;
    let back = return_path(&site, "/a?b=1").await;
    let refused = |answer: Response| async move {
        assert_eq!(
            (answer.status().as_u16(), cookie(&answer), location(&answer)),
            (403, None, None)
        );
        assert_eq!(answer.headers()["cache-control"], "no-store");
        answer.text().await.unwrap()
    };
    let wrong = site.visit("/a?b=1&esper_challenge_proof=wrong").send().await.unwrap();
    let page = refused(wrong).await;
    assert!(page.contains("href=\"/a?b=1\""), "{page}");

    // Somebody else's is wrong as well.
    let thief = Visitor::new(VISITOR).with_user_agent("curl/8.5.0");
    site.sandbox.challenge(thief);
    let stolen = site.call(&back).header("accept", "text/html").send().await.unwrap();
    refused(stolen).await;

    assert_eq!(site.visit(&back).send().await.unwrap().status(), 303);
    site.sandbox.challenge(VISITOR);
    refused(site.visit(&back).send().await.unwrap()).await;
    // A program learns the same in its own words.
    site.sandbox.challenge(VISITOR);
    let program = site.call("/a?esper_challenge_proof=wrong").send().await.unwrap();
    assert_eq!(program.headers()["content-type"], "application/problem+json");
    assert_eq!(program.status(), 403);
    assert_eq!(site.calls(), 0);
}

#[tokio::test]
async fn any_error_of_the_verification_of_a_proof_mints_nothing() {
    let site = Site::impatient(|layer| layer.with_public_origin(origin())).await;
    for fault in [
        Fault::status(200),
        Fault::status(401),
        Fault::status(500),
        Fault::html(200),
        Fault::truncated(),
        Fault::reset(),
        Fault::lost_answer(),
        Fault::silence(),
    ] {
        let name = fault.to_string();
        let back = return_path(&site, "/a").await;
        let id = site.sandbox.faults().add(fault.on(Operation::VerifyChallengeProof));
        let answer = site.visit(&back).send().await.unwrap();
        site.sandbox.faults().remove(id);
        assert_eq!((answer.status().as_u16(), cookie(&answer)), (503, None), "{name}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        // The same again, with the proof.
        assert!(answer.text().await.unwrap().contains("href=\"\""), "{name}");
    }
    assert_eq!(site.calls(), 0);
}

#[tokio::test]
async fn a_proof_that_cannot_be_verified_for_a_while_is_still_good_afterwards() {
    let site = Site::impatient(|layer| layer.with_public_origin(origin())).await;
    let back = return_path(&site, "/a").await;
    let fault = Fault::status(500).on(Operation::VerifyChallengeProof);
    let fault = site.sandbox.faults().add(fault);
    assert_eq!(site.visit(&back).send().await.unwrap().status(), 503);
    let program = site.call("/a?esper_challenge_proof=x").send().await.unwrap();
    assert_eq!(program.status(), 503);
    assert_eq!(program.json::<Value>().await.unwrap()["error"], "unavailable");
    site.sandbox.faults().remove(fault);
    let returned = site.visit(&back).send().await.unwrap();
    assert_eq!(returned.status(), 303);
    assert!(cookie(&returned).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_proofs_cost_a_bounded_number_of_calls_and_crowd_no_answer_out() {
    let site = Arc::new(site().await);
    site.sandbox.challenge(VISITOR);
    let solution = site.challenge().await.solution();
    let silence = Fault::silence().on(Operation::VerifyChallengeProof);
    site.sandbox.faults().add(silence);
    let mut flood = JoinSet::new();
    for number in 0..200 {
        let proof = format!("/?esper_challenge_proof={number}");
        flood.spawn(site.call(&proof).send());
    }
    // Those who are too many are answered at once, while the others wait for Esper.
    for _ in 0..200 - AT_ONCE {
        let refused = timeout(Duration::from_secs(20), flood.join_next()).await;
        assert_eq!(refused.unwrap().unwrap().unwrap().unwrap().status(), 503);
    }
    let proven = || calls(&site.sandbox, Operation::VerifyChallengeProof).len();
    until(|| proven() == AT_ONCE).await;
    let answer = site.hand_in(&solution).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(proven(), AT_ONCE);
}

#[tokio::test]
async fn wrong_proofs_one_after_the_other_cost_a_bounded_number_of_calls() {
    let site = site().await;
    site.sandbox.challenge(VISITOR);
    for number in 0..PROOFS_A_MINUTE + 20 {
        let path = format!("/?esper_challenge_proof={number}");
        let status = site.call(&path).send().await.unwrap().status();
        assert_eq!(status, if number < PROOFS_A_MINUTE { 403 } else { 503 }, "{number}");
    }
    // A browser, which may be that of an honest neighbour, can still solve the layer's own challenge.
    let neighbour = site.visit("/cart?esper_challenge_proof=right").send().await.unwrap();
    assert_eq!((neighbour.status().as_u16(), location(&neighbour)), (429, None));
    let page = neighbour.text().await.unwrap();
    assert!(page.contains("data-envelope"), "{page}");
    let proven = calls(&site.sandbox, Operation::VerifyChallengeProof).len();
    assert_eq!(proven, PROOFS_A_MINUTE);
}

#[tokio::test]
async fn a_proof_counts_where_esper_refuses_it_and_not_where_esper_fails() {
    for (status, verified) in [(400, PROOFS_A_MINUTE), (500, PROOFS_A_MINUTE + 5)] {
        let site = site().await;
        site.sandbox.challenge(VISITOR);
        let fault = Fault::status(status).on(Operation::VerifyChallengeProof);
        site.sandbox.faults().add(fault);
        for number in 0..PROOFS_A_MINUTE + 5 {
            let path = format!("/?esper_challenge_proof={number}");
            assert_eq!(site.call(&path).send().await.unwrap().status(), 503, "{number}");
        }
        let calls = calls(&site.sandbox, Operation::VerifyChallengeProof).len();
        assert_eq!(calls, verified, "{status}");
    }
}

#[tokio::test]
async fn what_esper_cannot_have_made_is_no_proof_and_costs_no_call() {
    let site = site().await;
    site.sandbox.challenge(VISITOR);
    for proof in ["", "%ff", &"x".repeat(4097)] {
        let path = format!("/a?esper_challenge_proof={proof}&b=1");
        let sent = site.visit(&path).send().await.unwrap();
        assert_eq!(sent.status(), 303);
        assert!(location(&sent).unwrap().starts_with(site.sandbox.url()), "a challenge, as before");
    }
    assert_eq!(calls(&site.sandbox, Operation::VerifyChallengeProof).len(), 0);
}

#[tokio::test]
async fn a_proof_that_nobody_asked_for_is_taken_off_and_not_verified() {
    let site = site().await;
    let proven = || calls(&site.sandbox, Operation::VerifyChallengeProof).len();
    let allowed = site.visit("/a?esper_challenge_proof=x&b=1").send().await.unwrap();
    assert_eq!((allowed.status().as_u16(), cookie(&allowed)), (303, None));
    assert_eq!(location(&allowed).unwrap(), "/a?b=1");
    assert_eq!(site.visit("/a?b=1").send().await.unwrap().status(), 200);

    // So it is for a second tab, when the first one has passed.
    let back = return_path(&site, "/first").await;
    let clearance = cookie(&site.visit(&back).send().await.unwrap()).unwrap();
    assert_eq!(proven(), 1);
    site.sandbox.challenge(VISITOR);
    let second = site.visit("/second?esper_challenge_proof=y").header("cookie", clearance);
    let second = second.send().await.unwrap();
    assert_eq!((second.status().as_u16(), location(&second).unwrap().as_str()), (303, "/second"));

    // However it is written, and also if nothing is in it.
    site.sandbox.lift(VISITOR);
    for query in ["esper_challenge_proof=", "esper_challenge_proof", "esper%5Fchallenge_proof=x"] {
        let allowed = site.visit(&format!("/a?{query}&b=1")).send().await.unwrap();
        assert_eq!(location(&allowed).as_deref(), Some("/a?b=1"), "{query}");
    }

    // A form is not, because that would lose it.
    site.sandbox.lift(VISITOR);
    let posted =
        site.http.post(site.url("/a?esper_challenge_proof=x")).header("accept", "text/html");
    assert_eq!(posted.send().await.unwrap().status(), 200);

    site.sandbox.block(VISITOR);
    let blocked = site.visit("/a?esper_challenge_proof=x").send().await.unwrap();
    assert_eq!(blocked.status(), 403);
    assert_eq!(proven(), 1);
    assert_eq!(site.calls(), 2);
}

#[tokio::test]
async fn without_a_public_origin_there_is_no_managed_challenge_and_no_proof() {
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let visit = site.visit("/a?esper_challenge_proof=x").send().await.unwrap();
    assert_eq!(visit.status(), 429);
    assert!(visit.text().await.unwrap().contains("data-return-to=\"/a\""));
    let asked = calls(&site.sandbox, Operation::CheckMitigation);
    assert_eq!(asked[0].body().unwrap().get("return_url"), None);
    assert_eq!(calls(&site.sandbox, Operation::VerifyChallengeProof).len(), 0);
}

/// The application may be behind a limit, of which each service that is ready holds a part.
#[tokio::test]
async fn while_a_proof_is_verified_no_service_of_the_application_is_held() {
    let site = site().await;
    site.sandbox.challenge(VISITOR);
    site.sandbox.faults().add(Fault::silence().on(Operation::VerifyChallengeProof));
    let held = Arc::new(());
    let part = Arc::clone(&held);
    let application = service_fn(move |_| {
        let _part = Arc::clone(&part);
        async { Ok::<_, Infallible>(http::Response::new(Body::empty())) }
    });
    let layer = layer(site.sandbox.url()).with_public_origin(origin());
    let mut service = layer.layer(application);
    let mut request = http::Request::get("/?esper_challenge_proof=x").body(Body::empty()).unwrap();
    let peer: SocketAddr = format!("{VISITOR}:1").parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    let mut answer = service.call(request);
    assert_eq!(Arc::strong_count(&held), 3);
    select! {
        _ = &mut answer => panic!("nobody verifies it"),
        () = until(|| calls(&site.sandbox, Operation::VerifyChallengeProof).len() == 1) => {}
    }
    assert_eq!(Arc::strong_count(&held), 2, "the next one's, and the test's");
}

/// Loopback, as a test has no certificate. The port is not the site's, so nothing takes the one for
/// the other.
const ORIGIN: &str = "http://localhost:3000";
/// Those of one network that are verified, if they are not right.
const PROOFS_A_MINUTE: usize = 60;
/// Proofs of a network that are verified at once.
const AT_ONCE: usize = 8;
