//! Challenges, as those who are challenged see them.

use esper_sandbox::{Operation, RecordedRequest, Sandbox, solve_proof_of_work};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use super::site::Site;

/// A challenge that a program got.
pub(crate) struct Challenge {
    pub(crate) problem: Value,
}

impl Challenge {
    pub(crate) async fn of(answer: Response) -> Self {
        assert_eq!(answer.status(), 429);
        Self { problem: answer.json().await.unwrap() }
    }

    pub(crate) fn token(&self) -> &str {
        self.problem["challenge"]["token"].as_str().unwrap()
    }

    /// The smallest nonce that solves it.
    pub(crate) fn answer(&self) -> String {
        let params = &self.problem["challenge"]["params"];
        let difficulty = u8::try_from(params["difficulty"].as_u64().unwrap()).unwrap();
        solve_proof_of_work(params["salt"].as_str().unwrap(), difficulty)
    }

    /// What is handed in.
    pub(crate) fn solution(&self) -> Value {
        self.handed_in_with(&self.answer())
    }

    pub(crate) fn handed_in_with(&self, answer: &str) -> Value {
        json!({ "envelope": self.token(), "response": answer })
    }
}

impl Site {
    /// Gets a program of this machine challenged.
    pub(crate) async fn challenge(&self) -> Challenge {
        Challenge::of(self.call("/checkout?step=2").send().await.unwrap()).await
    }

    /// Hands a solution in, as the same program.
    pub(crate) fn hand_in(&self, solution: &Value) -> RequestBuilder {
        self.http.post(self.url(ENDPOINT)).header("user-agent", "curl/8.5.0").json(solution)
    }

    /// Challenges a program of this machine, and gets it a clearance.
    pub(crate) async fn clearance(&self) -> String {
        self.sandbox.challenge(super::site::VISITOR);
        let solution = self.challenge().await.solution();
        cookie(&self.hand_in(&solution).send().await.unwrap()).expect("a clearance")
    }
}

/// The cookie that an answer sets, as a browser sends it back.
pub(crate) fn cookie(answer: &Response) -> Option<String> {
    let mut cookies = answer.headers().get_all("set-cookie").iter();
    let cookie = cookies.next()?.to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(cookies.next(), None);
    Some(cookie)
}

/// The calls of an operation that a sandbox has seen.
pub(crate) fn calls(sandbox: &Sandbox, operation: Operation) -> Vec<RecordedRequest> {
    let mut requests = sandbox.requests();
    requests.retain(|request| request.operation() == Some(operation));
    requests
}

pub(crate) const ENDPOINT: &str = "/.well-known/esper/challenge";
