//! A visitor with a managed challenge: the application's view, and the browser's.

use esper_sandbox::{Sandbox, SandboxBuilder, solve_proof_of_work};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::caller::{Answer, Caller};

pub(crate) const IP: &str = "203.0.113.7";
pub(crate) const RETURN_URL: &str =
    "http://shop.localhost:3000/cart?x=1&esper_challenge_proof=old#top";
pub(crate) const PROOF: &str = "/api/v1/challenge/proof/verify";

/// A sandbox whose challenges are solved at once.
pub(crate) fn quick() -> SandboxBuilder {
    Sandbox::builder().challenge_difficulty(8)
}

/// A visitor who is challenged, with the application's view and the browser's.
pub(crate) struct Visit {
    pub(crate) sandbox: Sandbox,
    pub(crate) caller: Caller,
}

impl Visit {
    pub(crate) async fn to(sandbox: SandboxBuilder) -> Self {
        let sandbox = sandbox.start().await.expect("a sandbox");
        let caller = Caller::of(&sandbox);
        caller.events(IP, 61).await;
        Self { sandbox, caller }
    }

    pub(crate) async fn decide(&self, return_url: &str) -> Value {
        self.caller.decide_about(json!({ "ip": IP, "return_url": return_url })).await
    }

    /// The page that a decision names.
    pub(crate) async fn page(&self) -> Page {
        let decision = self.decide(RETURN_URL).await;
        assert_eq!(decision["action"], "challenge", "{decision}");
        let url = decision["redirect_url"].as_str().expect("a page").to_owned();
        Page::open(&self.caller, url).await
    }

    /// The proof with which the visitor comes back from the page.
    pub(crate) async fn proof(&self) -> String {
        let location = self.page().await.solve(&self.caller).await;
        let location = Url::parse(&location).expect("a URL");
        let proof = location.query_pairs().find(|(name, _)| name == "esper_challenge_proof");
        proof.expect("a proof").1.into_owned()
    }

    pub(crate) async fn verify(&self, proof: &str) -> bool {
        self.verify_for(json!({ "proof": proof, "ip": IP })).await
    }

    pub(crate) async fn verify_for(&self, visitor: Value) -> bool {
        let answer = self.caller.post(PROOF, visitor).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body["valid"].as_bool().expect("a verdict")
    }
}

/// A page as a browser has it.
pub(crate) struct Page {
    pub(crate) url: String,
    pub(crate) answer: Answer,
}

impl Page {
    pub(crate) async fn open(caller: &Caller, url: String) -> Self {
        let answer = Answer::to(caller.http.get(&url)).await;
        Self { url, answer }
    }

    pub(crate) fn html(&self) -> &str {
        self.answer.body.as_str().expect("a text")
    }

    /// The answer that the page's script would find.
    pub(crate) fn solution(&self) -> String {
        let data = |name: &str| {
            let (_, rest) = self.html().split_once(&format!("data-{name}=\"")).expect(name);
            rest.split('"').next().expect("a value")
        };
        solve_proof_of_work(data("salt"), data("difficulty").parse().expect("a number"))
    }

    pub(crate) fn hand_in(&self, caller: &Caller, response: &str) -> RequestBuilder {
        caller.http.post(&self.url).json(&json!({ "response": response }))
    }

    pub(crate) async fn solve(&self, caller: &Caller) -> String {
        let answer = Answer::to(self.hand_in(caller, &self.solution())).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body["location"].as_str().expect("a location").to_owned()
    }
}
