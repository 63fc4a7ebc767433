//! The page of a managed challenge.

use esper_sandbox::solve_proof_of_work;
use reqwest::Client;
use serde_json::{Value, json};

/// Solves the page of a managed challenge, as a browser would: the URL that leads back, with the proof.
pub(crate) async fn solve_page(http: &Client, page: &str) -> String {
    let html = http.get(page).send().await.unwrap().text().await.unwrap();
    let data = |name: &str| {
        let (_, rest) = html.split_once(&format!("data-{name}=\"")).expect(name);
        rest.split('"').next().unwrap()
    };
    let nonce = solve_proof_of_work(data("salt"), data("difficulty").parse().unwrap());
    let answer = http.post(page).json(&json!({ "response": nonce })).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["location"].as_str().unwrap().to_owned()
}
