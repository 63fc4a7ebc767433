//! A client of the sandbox that knows nothing but the spec.

use esper_sandbox::Sandbox;
use reqwest::{Client, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Every operation that takes a body, with a body that it accepts.
pub(crate) fn posts() -> [(&'static str, Value); 4] {
    [
        ("/v1/mitigate", json!({ "ip": "203.0.113.7" })),
        ("/v1/verify", json!({ "token": "x", "response": "1" })),
        ("/api/v1/challenge/proof/verify", json!({ "proof": "x", "ip": "203.0.113.7" })),
        ("/v1/events", json!({ "type": "http_request" })),
    ]
}

pub(crate) struct Caller {
    pub(crate) http: Client,
    url: String,
    key: String,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Caller {
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        let http = Client::builder().no_proxy().build().expect("a client");
        Self { http, url: sandbox.url().to_owned(), key: sandbox.api_key().to_owned() }
    }

    pub(crate) fn with_key(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// A POST with a key where the operation wants it, and no body yet.
    pub(crate) fn request(&self, path: &str) -> RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.url));
        match path {
            "/v1/events" => request.header("X-Esper-Key", &self.key),
            _ => request.bearer_auth(&self.key),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(path).json(&body)).await
    }

    pub(crate) async fn decide(&self, ip: &str) -> Value {
        self.decide_about(json!({ "ip": ip })).await
    }

    pub(crate) async fn decide_about(&self, request: Value) -> Value {
        let answer = self.post("/v1/mitigate", request).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body
    }

    pub(crate) async fn events(&self, ip: &str, count: usize) {
        for _ in 0..count {
            self.event(json!({ "type": "http_request", "ip": ip })).await;
        }
    }

    pub(crate) async fn event(&self, event: Value) {
        let answer = self.post("/v1/events", event).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    }

    pub(crate) async fn verify(&self, token: &str, response: &str) -> bool {
        let answer = self.post("/v1/verify", json!({ "token": token, "response": response })).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body["valid"].as_bool().expect("a verdict")
    }

    pub(crate) async fn usage(&self) -> Answer {
        let request = self.http.get(format!("{}/v1/usage", self.url));
        Answer::to(request.bearer_auth(&self.key)).await
    }
}

impl Answer {
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a whole answer");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    /// Asserts that this is the documented error body, and returns its message.
    #[track_caller]
    pub(crate) fn refusal(&self, status: u16, code: &str) -> &str {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(self.body["code"], code, "{}", self.body);
        let members = self.body.as_object().expect("an object").keys();
        for member in members {
            assert!(["message", "code", "details"].contains(&member.as_str()), "{member}");
        }
        self.body["message"].as_str().expect("a message")
    }
}

/// Finds the nonce that solves a challenge, as a browser would.
pub(crate) fn solve(challenge: &Value) -> String {
    assert_eq!(challenge["type"], "proof_of_work");
    let params = &challenge["params"];
    assert_eq!(params["algorithm"], "sha256");
    let salt = params["salt"].as_str().expect("a salt");
    let difficulty = params["difficulty"].as_u64().expect("a difficulty");
    (0_u64..)
        .map(|nonce| nonce.to_string())
        .find(|nonce| {
            let hash = Sha256::digest(format!("{salt}:{nonce}"));
            let zeros = hash.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
            zeros.take_while(|bit| *bit == 0).count() as u64 >= difficulty
        })
        .expect("a nonce")
}

pub(crate) fn token(challenge: &Value) -> &str {
    challenge["token"].as_str().expect("a token")
}
