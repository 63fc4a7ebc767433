//! What becomes of a request.

use esper_sandbox::solve_proof_of_work;
use serde_json::{Value, json};

use super::site::{Site, VISITOR};

#[tokio::test]
async fn an_allowed_request_reaches_the_application() {
    let site = Site::new().await;
    let answer = site.call("/checkout").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), "from the application");
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn a_blocked_request_is_answered_by_the_layer_alone() {
    let site = Site::new().await;
    site.sandbox.block(VISITOR);
    let machine = site.call("/checkout").send().await.unwrap();
    assert_eq!(machine.status(), 403);
    assert_eq!(machine.headers()["content-type"], "application/problem+json");
    assert_eq!(machine.headers()["cache-control"], "no-store");
    let body: Value = machine.json().await.unwrap();
    assert_eq!((&body["status"], &body["error"]), (&json!(403), &json!("blocked")));
    let browser = site.visit("/checkout").send().await.unwrap();
    assert_eq!(browser.status(), 403);
    assert_eq!(browser.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(site.calls(), 0);
}

#[tokio::test]
async fn a_solved_challenge_gives_a_clearance() {
    let site = Site::new().await;
    site.sandbox.challenge(VISITOR);
    let challenged = site.call("/checkout?step=2").send().await.unwrap();
    assert_eq!(challenged.status(), 429);
    let body: Value = challenged.json().await.unwrap();
    let challenge = &body["challenge"];
    let (salt, difficulty) = (&challenge["params"]["salt"], &challenge["params"]["difficulty"]);
    let difficulty = u8::try_from(difficulty.as_u64().unwrap()).unwrap();
    let nonce = solve_proof_of_work(salt.as_str().unwrap(), difficulty);
    let solution = json!({ "envelope": challenge["token"], "response": nonce });
    let redeem = || {
        let post = site.http.post(site.url(body["verify"].as_str().unwrap()));
        post.header("user-agent", "curl/8.5.0").json(&solution).send()
    };
    let redeemed = redeem().await.unwrap();
    assert_eq!(redeemed.status(), 200);
    let cookie = redeemed.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert_eq!(redeemed.json::<Value>().await.unwrap(), json!({ "location": "/checkout?step=2" }));
    assert_eq!(redeem().await.unwrap().status(), 403, "once");

    // Challenged anew, the visitor is let through by the cookie.
    site.sandbox.challenge(VISITOR);
    assert_eq!(site.call("/checkout").send().await.unwrap().status(), 429);
    let (pair, _) = cookie.split_once(';').unwrap();
    let cleared = site.call("/checkout").header("cookie", pair).send().await.unwrap();
    assert_eq!(cleared.status(), 200);
    assert_eq!(site.calls(), 1);
}
