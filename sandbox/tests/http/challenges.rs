//! What becomes of an answer to a challenge.

use std::sync::Arc;

use esper_sandbox::Sandbox;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::caller::{Caller, solve, token};

const IP: &str = "203.0.113.7";

/// A sandbox whose challenges are solved at once.
async fn sandbox() -> Sandbox {
    Sandbox::builder().challenge_difficulty(8).start().await.expect("a sandbox")
}

async fn challenge(caller: &Caller) -> Value {
    let decision = caller.decide(IP).await;
    assert_eq!(decision["action"], "challenge", "{decision}");
    decision["challenge"].clone()
}

#[tokio::test]
async fn a_correct_answer_lifts_the_challenge_and_old_events_bring_no_other() {
    let sandbox = sandbox().await;
    let caller = Caller::of(&sandbox);
    caller.events(IP, 61).await;
    let challenge = challenge(&caller).await;
    assert!(caller.verify(token(&challenge), &solve(&challenge)).await);
    assert_eq!(caller.decide(IP).await["action"], "allow");
    caller.events(IP, 1).await;
    assert_eq!(caller.decide(IP).await["action"], "allow");
}

#[tokio::test]
async fn a_challenge_of_the_default_difficulty_can_be_solved() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    caller.events(IP, 61).await;
    let challenge = challenge(&caller).await;
    assert!(caller.verify(token(&challenge), &solve(&challenge)).await);
}

#[tokio::test]
async fn of_fifty_correct_answers_at_once_one_passes() {
    let sandbox = sandbox().await;
    let caller = Arc::new(Caller::of(&sandbox));
    caller.events(IP, 61).await;
    let challenge = challenge(&caller).await;
    let answer = solve(&challenge);
    let mut answers = JoinSet::new();
    for _ in 0..50 {
        let (caller, challenge, answer) = (caller.clone(), challenge.clone(), answer.clone());
        answers.spawn(async move { caller.verify(token(&challenge), &answer).await });
    }
    let verdicts = answers.join_all().await;
    assert_eq!(verdicts.into_iter().filter(|passed| *passed).count(), 1);
}

#[tokio::test]
async fn a_wrong_answer_leaves_the_challenge_to_be_solved() {
    let sandbox = sandbox().await;
    let caller = Caller::of(&sandbox);
    caller.events(IP, 61).await;
    let challenge = challenge(&caller).await;
    let right = solve(&challenge);
    let long = "1".repeat(500_000);
    for wrong in ["x", "-1", " ", "1e3", long.as_str()] {
        assert!(!caller.verify(token(&challenge), wrong).await);
    }
    assert_eq!(caller.decide(IP).await["action"], "challenge");
    assert!(caller.verify(token(&challenge), &right).await);
}

#[tokio::test]
async fn a_token_that_is_not_the_sandboxs_is_merely_invalid() {
    let (sandbox, other) = (sandbox().await, sandbox().await);
    let (caller, elsewhere) = (Caller::of(&sandbox), Caller::of(&other));
    elsewhere.events(IP, 61).await;
    let foreign = challenge(&elsewhere).await;
    assert!(!caller.verify(token(&foreign), &solve(&foreign)).await);
    let long = "A".repeat(500_000);
    for garbage in ["x", ".", "a.b", "eyJ2IjoxfQ.c2lnbmF0dXJl", long.as_str()] {
        assert!(!caller.verify(garbage, "1").await);
    }
}

#[tokio::test]
async fn a_correct_answer_lifts_no_block() {
    let sandbox = sandbox().await;
    let caller = Caller::of(&sandbox);
    caller.events(IP, 61).await;
    let challenge = challenge(&caller).await;
    caller.events(IP, 140).await;
    assert_eq!(caller.decide(IP).await["action"], "block");
    assert!(caller.verify(token(&challenge), &solve(&challenge)).await);
    assert_eq!(caller.decide(IP).await["action"], "block");
}

#[tokio::test]
async fn a_correct_answer_lifts_the_challenge_of_its_own_visitor_alone() {
    let sandbox = sandbox().await;
    let caller = Caller::of(&sandbox);
    caller.events(IP, 61).await;
    caller.events("203.0.113.8", 61).await;
    let challenge = challenge(&caller).await;
    assert!(caller.verify(token(&challenge), &solve(&challenge)).await);
    assert_eq!(caller.decide("203.0.113.8").await["action"], "challenge");
}

#[tokio::test]
async fn a_challenge_that_nobody_could_solve_is_refused_at_the_start() {
    let error = Sandbox::builder().challenge_difficulty(33).start().await.expect_err("too hard");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
