//! Challenges: whom they are for, what solves them, and what they cost.

use std::sync::Arc;
use std::time::Duration;

use esper_rs_client::enforce::{ClearanceKey, ClearanceKeys, EnforceLayer, PublicOrigin};
use esper_sandbox::{Fault, Operation, Sandbox};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tracing::Level;

use super::echo::layer;
use super::site::{Site, VISITOR, until};
use super::solving::{Challenge, calls, cookie};
use crate::support::thread_log::ThreadLog;
use crate::support::{Answer, RawServer};

#[tokio::test]
async fn esper_is_always_asked_and_a_clearance_turns_only_a_challenge_into_an_allow() {
    let site = Site::new().await;
    let cookie = site.clearance().await;
    let asked = || calls(&site.sandbox, Operation::CheckMitigation).len();
    let before = asked();
    let visit = || site.call("/checkout").header("cookie", &cookie).send();

    assert_eq!(visit().await.unwrap().status(), 200, "allowed");
    assert_eq!(asked(), before + 1);
    site.sandbox.challenge(VISITOR);
    assert_eq!(visit().await.unwrap().status(), 200, "challenged and cleared");
    assert_eq!(asked(), before + 2);
    site.sandbox.block(VISITOR);
    assert_eq!(visit().await.unwrap().status(), 403, "blocked");
    assert_eq!(asked(), before + 3);
    assert_eq!(site.calls(), 2);
}

#[tokio::test]
async fn a_solved_challenge_is_redeemed_once_and_leads_back_to_where_it_came_from() {
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let solution = site.challenge().await.solution();
    let redeemed = site.hand_in(&solution).send().await.unwrap();
    assert_eq!(redeemed.status(), 200);
    assert!(cookie(&redeemed).is_some());
    assert_eq!(redeemed.json::<Value>().await.unwrap(), json!({ "location": "/checkout?step=2" }));
    assert_eq!(site.hand_in(&solution).send().await.unwrap().status(), 403, "once");
    let verified = calls(&site.sandbox, Operation::VerifyChallenge).len();
    assert_eq!(verified, 1, "what is known to be redeemed costs no call");
}

#[tokio::test]
async fn the_token_of_a_challenge_stays_opaque_inside_a_signed_envelope() {
    const TOKEN: &str = "no.token \u{2603} of ours; \"at all\"\u{1}";
    let esper = RawServer::start(|_, request| match request.target.as_str() {
        "/v1/mitigate" => {
            let challenge = json!({ "type": "proof_of_work", "token": TOKEN, "params": {} });
            let body = json!({ "action": "challenge", "challenge": challenge });
            Answer::json(200, &body.to_string())
        }
        _ => Answer::json(200, r#"{"valid":true}"#),
    });
    let site = Site::before(Arc::new(Sandbox::start().await), layer(&esper.url())).await;
    let challenge = site.challenge().await;
    assert!(!challenge.problem.to_string().contains("of ours"), "{}", challenge.problem);
    let redeemed = site.hand_in(&challenge.handed_in_with("42")).send().await.unwrap();
    assert_eq!(redeemed.status(), 200);
    let received = esper.received();
    let verified = received.iter().find(|request| request.target == "/v1/verify").unwrap();
    assert_eq!(verified.json(), json!({ "token": TOKEN, "response": "42" }));
}

#[tokio::test]
async fn a_solution_of_one_challenge_fails_for_another() {
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let (mut one, mut other) = (site.challenge().await, site.challenge().await);
    let number = |challenge: &Challenge| challenge.answer().parse::<u64>().unwrap();
    while number(&one) == number(&other) {
        other = site.challenge().await;
    }
    if number(&one) < number(&other) {
        std::mem::swap(&mut one, &mut other);
    }
    // The smaller nonce does not solve the challenge whose smallest one is greater.
    let crossed = one.handed_in_with(&other.answer());
    let refused = site.hand_in(&crossed).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), cookie(&refused)), (403, None));
    let redeemed = site.hand_in(&one.solution()).send().await.unwrap();
    assert_eq!(redeemed.status(), 200, "a wrong answer leaves it to be solved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_verifications_of_one_solution_over_two_replicas_give_one_success() {
    // Their ports are not the visitor's business.
    let origin = PublicOrigin::parse("https://shop.example").unwrap();
    let keyed = |layer: EnforceLayer| {
        layer.with_clearance_keys(shared_keys()).with_public_origin(origin.clone())
    };
    let site = Site::with(keyed).await;
    let replica = site.beside(keyed).await;
    site.sandbox.challenge(VISITOR);
    let solution = site.challenge().await.solution();

    let mut posts = JoinSet::new();
    for _ in 0..50 {
        posts.spawn(site.hand_in(&solution).send());
        posts.spawn(replica.hand_in(&solution).send());
    }
    let answers = posts.join_all().await.into_iter().map(Result::unwrap);
    let (passed, refused): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status() == 200);
    assert_eq!((passed.len(), refused.len()), (1, 99));
    assert!(refused.iter().all(|answer| [403, 503].contains(&answer.status().as_u16())));
    assert!(refused.iter().all(|answer| cookie(answer).is_none()));
    assert!(calls(&site.sandbox, Operation::VerifyChallenge).len() <= 10);

    // Either replica knows the clearance that one of them issued.
    let clearance = cookie(&passed[0]).unwrap();
    site.sandbox.challenge(VISITOR);
    for site in [&site, &replica] {
        let cleared = site.call("/").header("cookie", &clearance).send().await.unwrap();
        assert_eq!(cleared.status(), 200);
    }
}

#[tokio::test]
async fn any_error_of_a_verification_mints_nothing() {
    let site = Site::impatient(|layer| layer).await;
    for fault in [
        Fault::status(200),
        Fault::status(204),
        Fault::status(401),
        Fault::status(429),
        Fault::status(500),
        Fault::status(503),
        Fault::html(200),
        Fault::html(502),
        Fault::truncated(),
        Fault::reset(),
        Fault::reset_in_body(),
        Fault::lost_answer(),
        Fault::silence(),
    ] {
        site.sandbox.challenge(VISITOR);
        let solution = site.challenge().await.solution();
        let name = fault.to_string();
        let id = site.sandbox.faults().add(fault.on(Operation::VerifyChallenge));
        let answer = site.hand_in(&solution).send().await.unwrap();
        site.sandbox.faults().remove(id);
        assert_eq!((answer.status().as_u16(), cookie(&answer)), (503, None), "{name}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{name}");
    }
    assert_eq!(site.calls(), 0);
}

#[tokio::test]
async fn each_tab_has_its_own_challenge_and_any_success_clears_all() {
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let tabs = [site.challenge().await, site.challenge().await, site.challenge().await];
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        assert_ne!(tabs[one].token(), tabs[other].token());
        assert_ne!(
            tabs[one].problem["challenge"]["params"],
            tabs[other].problem["challenge"]["params"]
        );
    }
    let solved = site.hand_in(&tabs[1].solution()).send().await.unwrap();
    let clearance = cookie(&solved).unwrap();
    site.sandbox.challenge(VISITOR);
    for path in ["/tab/0", "/tab/1", "/tab/2"] {
        let cleared = site.call(path).header("cookie", &clearance).send().await.unwrap();
        assert_eq!(cleared.status(), 200);
    }

    // A tab that fails clears nothing, and one that succeeds late is no harm.
    let wrong = site.hand_in(&tabs[0].handed_in_with("none")).header("cookie", &clearance);
    let wrong = wrong.send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), cookie(&wrong)), (403, None));
    let late = site.hand_in(&tabs[2].solution()).header("cookie", &clearance);
    assert_eq!(late.send().await.unwrap().status(), 200);
    site.sandbox.challenge(VISITOR);
    let cleared = site.call("/tab/0").header("cookie", &clearance).send().await.unwrap();
    assert_eq!(cleared.status(), 200);
}

#[tokio::test]
async fn a_form_that_was_posted_is_not_silently_lost() {
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let post = |cookie: &str| {
        site.http
            .post(site.url("/order"))
            .header("accept", "text/html")
            .header("sec-fetch-dest", "document")
            .header("user-agent", "curl/8.5.0")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", cookie)
            .body("item=1")
            .send()
    };
    let challenged = post("").await.unwrap();
    assert_eq!(challenged.status(), 429);
    assert!(challenged.headers().get("location").is_none(), "no way on that changes the method");
    let page = challenged.text().await.unwrap();
    assert!(page.contains("data-posted=\"true\""), "{page}");
    assert!(shows_notice(&page), "{page}");
    assert_eq!(site.calls(), 0);

    // Sent again after the check, it arrives.
    let clearance = site.clearance().await;
    site.sandbox.challenge(VISITOR);
    let arrived = post(&clearance).await.unwrap();
    assert_eq!(arrived.text().await.unwrap(), "from the application");
    assert_eq!(site.calls(), 1);

    let seen = site.visit("/order").send().await.unwrap().text().await.unwrap();
    assert!(seen.contains("data-posted=\"false\""), "{seen}");
    assert!(!shows_notice(&seen), "{seen}");
}

/// Whether a page says that what was posted is lost.
fn shows_notice(page: &str) -> bool {
    let (_, notice) = page.split_once("id=\"notice\"").expect("a notice");
    !notice.split('>').next().unwrap().contains("hidden")
}

#[tokio::test]
async fn a_forged_envelope_costs_no_call_and_a_genuine_one_a_few() {
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let challenge = site.challenge().await;
    let genuine = challenge.token().to_owned();
    let flipped = format!("{}{}", &genuine[..genuine.len() - 9], "AAAAAAAAA");
    for envelope in ["", "x", "null", &genuine[1..], &genuine[..genuine.len() - 1], &flipped] {
        let forged = json!({ "envelope": envelope, "response": "1" });
        assert_eq!(site.hand_in(&forged).send().await.unwrap().status(), 403, "{envelope}");
    }
    let verified = || calls(&site.sandbox, Operation::VerifyChallenge).len();
    assert_eq!(verified(), 0);
    for _ in 0..20 {
        let wrong = site.hand_in(&challenge.handed_in_with("none")).send().await.unwrap();
        assert_eq!(wrong.status(), 403);
    }
    assert_eq!(verified(), 5);
}

#[tokio::test]
async fn an_answer_that_can_solve_nothing_is_refused_without_a_call() {
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let challenge = site.challenge().await;
    let empty = site.hand_in(&challenge.handed_in_with("")).send().await.unwrap();
    // No failure of a moment, which a page would try again.
    assert_eq!(empty.status(), 403);
    assert_eq!(calls(&site.sandbox, Operation::VerifyChallenge).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn verifications_at_once_are_bounded_and_do_not_pile_up() {
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let mut solutions = Vec::new();
    for _ in 0..=LIMIT {
        solutions.push(site.challenge().await.handed_in_with("none"));
    }
    let last = solutions.pop().unwrap();
    let silence = site.sandbox.faults().add(Fault::silence().on(Operation::VerifyChallenge));
    let mut waiting = JoinSet::new();
    for solution in &solutions {
        waiting.spawn(site.hand_in(solution).send());
    }
    until(|| calls(&site.sandbox, Operation::VerifyChallenge).len() == LIMIT).await;

    let started = std::time::Instant::now();
    // More often than an answer may be sent to Esper.
    for _ in 0..6 {
        let refused = site.hand_in(&last).send().await.unwrap();
        assert_eq!(refused.status(), 503);
    }
    assert!(started.elapsed() < Duration::from_secs(5), "at once");
    assert_eq!(calls(&site.sandbox, Operation::VerifyChallenge).len(), LIMIT);
    // Whoever is not challenged is none the worse for it.
    site.sandbox.lift(VISITOR);
    assert_eq!(site.call("/").send().await.unwrap().status(), 200);

    // Those who hang up give way.
    waiting.shutdown().await;
    site.sandbox.faults().remove(silence);
    for _ in 0..500 {
        match site.hand_in(&last).send().await.unwrap().status().as_u16() {
            503 => tokio::time::sleep(Duration::from_millis(20)).await,
            status => {
                assert_eq!(status, 403);
                // However often it was handed in, it is Esper who refuses it.
                let verified = calls(&site.sandbox, Operation::VerifyChallenge).len();
                return assert_eq!(verified, LIMIT + 1);
            }
        }
    }
    panic!("nobody gave way");
}

#[tokio::test]
async fn a_refusal_to_verify_that_no_answer_brings_about_is_a_warning_too() {
    for (status, warnings) in [(400, 0), (413, 0), (404, 1), (405, 1), (403, 1), (429, 1)] {
        let (log, _subscribed) = ThreadLog::start_at(Level::WARN);
        let site = Site::new().await;
        site.sandbox.challenge(VISITOR);
        site.sandbox.faults().add(Fault::status(status).on(Operation::VerifyChallenge));
        for _ in 0..7 {
            let solution = site.challenge().await.solution();
            assert_eq!(site.hand_in(&solution).send().await.unwrap().status(), 503);
        }
        let said = log.text().matches("esper verifies no answers").count();
        assert_eq!(said, warnings, "{status} {}", log.text());
    }
}

#[tokio::test]
async fn verifications_that_esper_does_not_answer_are_one_warning_until_it_answers_again() {
    let (log, _subscribed) = ThreadLog::start_at(Level::INFO);
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let solution = site.challenge().await.solution();
    let fault = Fault::status(500).on(Operation::VerifyChallenge);
    let fault = site.sandbox.faults().add(fault);
    for _ in 0..7 {
        let given_up = site.challenge().await.solution();
        assert_eq!(site.hand_in(&given_up).send().await.unwrap().status(), 503);
    }
    let lines = |text: &str| log.text().lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("WARN esper_rs_client::guard::alarm: esper verifies no answers"), 1);
    site.sandbox.faults().remove(fault);
    assert_eq!(site.hand_in(&solution).send().await.unwrap().status(), 200);
    assert_eq!(lines("esper verifies answers to challenges again"), 1, "{}", log.text());
}

fn shared_keys() -> ClearanceKeys {
    ClearanceKeys::new(ClearanceKey::new("pY3zqW0rT8mK5vN1xB7cL2dF9gH4jS6aQeU").unwrap())
}

/// Verifications of one network at once.
const LIMIT: usize = 8;
