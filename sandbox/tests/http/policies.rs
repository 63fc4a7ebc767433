//! Policies of one's own, what is put by hand, and the challenges that follow.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use esper_sandbox::{Sandbox, SandboxBuilder, Visitor};
use serde_json::{Value, json};
use url::Url;

use crate::caller::{Caller, solve, token};
use crate::visit::Page;

const IP: &str = "203.0.113.7";

/// One event of an address brings a mitigation of the whole address.
fn on_one_event(mitigation: &str) -> String {
    format!(
        r#"
        entity = [{{ name = "address", key = ["client_ip"] }}]
        [[policy]]
        name = "any"
        entity = "address"
        mitigation = {mitigation}
        "#
    )
}

const CHALLENGE: &str = r#"{ action = "challenge", ttl_seconds = 60, difficulty = 3 }"#;
const BLOCK: &str = r#"{ action = "block", ttl_seconds = 60 }"#;
const TURNSTILE: &str =
    r#"{ action = "challenge", ttl_seconds = 60, site_key = "1x00000000000000000000AA" }"#;

async fn start(builder: SandboxBuilder) -> (Sandbox, Caller) {
    let sandbox = builder.start().await.expect("a sandbox");
    let caller = Caller::of(&sandbox);
    (sandbox, caller)
}

async fn with(mitigation: &str) -> (Sandbox, Caller) {
    start(Sandbox::builder().policies(on_one_event(mitigation))).await
}

#[tokio::test]
async fn a_challenge_has_the_difficulty_of_its_policy_and_is_passed_by_anybody_it_holds() {
    let (_sandbox, caller) = with(CHALLENGE).await;
    caller.event(json!({ "type": "x", "ip": IP, "user_agent": "curl" })).await;
    let decision = caller.decide_about(json!({ "ip": IP, "user_agent": "wget" })).await;
    assert_eq!(decision["reason"], "any: an event matched");
    assert_eq!(decision["challenge"]["params"]["difficulty"], 3);
    let challenge = &decision["challenge"];
    assert!(caller.verify(token(challenge), &solve(challenge)).await);
    assert_eq!(caller.decide(IP).await["action"], "allow");
}

#[tokio::test]
async fn a_managed_proof_is_for_its_visitor_though_the_address_holds_the_challenge() {
    let (_sandbox, caller) = with(CHALLENGE).await;
    caller.events(IP, 1).await;
    let visitor = json!({ "ip": IP, "user_agent": "firefox", "return_url": "http://localhost/" });
    let page = caller.decide_about(visitor).await["redirect_url"].clone();
    let page = page.as_str().expect("a page").to_owned();
    let location = Page::open(&caller, page).await.solve(&caller).await;
    let location: Url = location.parse().expect("a URL");
    let (_, proof) = location.query_pairs().next().expect("a proof");
    for (user_agent, valid) in [("curl", false), ("firefox", true), ("firefox", false)] {
        let body = json!({ "proof": proof, "ip": IP, "user_agent": user_agent });
        let answer = caller.post("/api/v1/challenge/proof/verify", body).await;
        assert_eq!(answer.body, json!({ "valid": valid }), "{user_agent}");
    }
    assert_eq!(caller.decide(IP).await["action"], "allow", "the address is free");
}

#[tokio::test]
async fn turnstile_has_its_site_key_no_page_and_the_answer_of_its_test_keys() {
    let (_sandbox, caller) = with(TURNSTILE).await;
    caller.events(IP, 1).await;
    let request = json!({ "ip": IP, "return_url": "http://localhost/" });
    let decision = caller.decide_about(request).await;
    assert_eq!(decision["redirect_url"], Value::Null);
    let challenge = &decision["challenge"];
    assert_eq!(challenge["type"], "turnstile");
    assert_eq!(challenge["params"], json!({ "site_key": "1x00000000000000000000AA" }));
    assert!(!caller.verify(token(challenge), "1").await);
    assert!(caller.verify(token(challenge), "XXXX.DUMMY.TOKEN.XXXX").await);
    assert!(!caller.verify(token(challenge), "XXXX.DUMMY.TOKEN.XXXX").await);
    assert_eq!(caller.decide(IP).await["action"], "allow");
}

#[tokio::test]
async fn an_event_with_an_id_counts_once() {
    let (_sandbox, caller) = start(Sandbox::builder()).await;
    let event = |id: &Value| json!({ "type": "x", "ip": IP, "id": id });
    for id in [json!("one"), json!("one"), json!("two"), json!(7), json!(7)] {
        caller.event(event(&id)).await;
    }
    assert_eq!(caller.decide(IP).await["score"], 1.5, "three events");
    for none in [json!(""), Value::Null, json!(["one"]), json!({})] {
        caller.event(event(&none)).await;
    }
    assert_eq!(caller.decide(IP).await["score"], 3.5, "four without one");
}

#[tokio::test]
async fn a_visitor_is_blocked_and_let_go_by_hand() {
    let (sandbox, caller) = start(Sandbox::builder()).await;
    sandbox.block(IP);
    let decision = caller.decide(IP).await;
    let expected = json!({ "action": "block", "reason": "put by hand", "score": 95.0 });
    assert_eq!(decision, expected);
    assert_eq!(caller.decide("203.0.113.8").await["action"], "allow");
    sandbox.lift(IP);
    assert_eq!(caller.decide(IP).await, json!({ "action": "allow", "score": 0.0 }));

    sandbox.block(Visitor::new(IP).with_user_agent("curl"));
    assert_eq!(caller.decide(IP).await["action"], "allow");
    let curl = json!({ "ip": IP, "user_agent": "curl" });
    assert_eq!(caller.decide_about(curl).await["action"], "block");
}

#[tokio::test]
async fn a_visitor_is_challenged_by_hand_until_the_challenge_is_passed() {
    let (sandbox, caller) = start(Sandbox::builder().challenge_difficulty(8)).await;
    sandbox.challenge(IP);
    let decision = caller.decide(IP).await;
    assert_eq!(decision["reason"], "put by hand");
    let challenge = &decision["challenge"];
    assert!(caller.verify(token(challenge), &solve(challenge)).await);
    assert_eq!(caller.decide(IP).await["action"], "allow");
}

#[tokio::test]
async fn a_visitor_of_a_policy_is_let_go_by_hand_and_counted_anew() {
    let (sandbox, caller) = start(Sandbox::builder()).await;
    caller.events(IP, 61).await;
    sandbox.lift(IP);
    assert_eq!(caller.decide(IP).await, json!({ "action": "allow", "score": 0.0 }));
    caller.events(IP, 1).await;
    assert_eq!(caller.decide(IP).await["action"], "allow");
}

#[test]
#[should_panic(expected = "\"localhost\" is no IP address")]
fn whoever_names_a_visitor_without_an_address_is_told() {
    Sandbox::start_blocking().block("localhost");
}

#[tokio::test]
async fn policies_with_a_mistake_are_refused_at_the_start() {
    let error = Sandbox::builder().policies("\npolicy = 7").start().await.expect_err("a mistake");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().starts_with("policies:2:10: "), "{error}");
    let error = Sandbox::builder().policies_file("/no/such").start().await.expect_err("no file");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("/no/such"), "{error}");
}

/// A file that is gone with the test.
pub(crate) struct PolicyFile(pub(crate) PathBuf);

impl PolicyFile {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("esper-{}-{name}.toml", std::process::id()));
        fs::write(&path, text).expect("a file");
        Self(path)
    }

    pub(crate) fn write(&self, text: &str) {
        fs::write(&self.0, text).expect("a file");
    }
}

impl Drop for PolicyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The action for the next event of an address, again until it is the one that is waited for.
async fn wait_for(caller: &Caller, ip: &str, action: &str) {
    let started = Instant::now();
    loop {
        caller.events(ip, 1).await;
        let decision = caller.decide(ip).await;
        if decision["action"] == action {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{decision}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_changed_file_is_applied_and_one_with_a_mistake_is_not() {
    let file = PolicyFile::new("changed", &on_one_event(BLOCK));
    let (sandbox, caller) = start(Sandbox::builder().policies_file(&file.0)).await;
    caller.events(IP, 1).await;
    assert_eq!(caller.decide(IP).await["action"], "block");

    file.write("policy = 7");
    let error = sandbox.reload_policies().expect_err("a mistake");
    assert!(error.to_string().contains("changed.toml:1:10: "), "{error}");
    caller.events("203.0.113.8", 1).await;
    assert_eq!(caller.decide("203.0.113.8").await["action"], "block", "the old ones stay");

    file.write(&on_one_event(CHALLENGE));
    wait_for(&caller, "203.0.113.9", "challenge").await;
    sandbox.block("203.0.113.10");
    file.write("");
    sandbox.reload_policies().expect("no mistake");
    assert_eq!(caller.decide("203.0.113.9").await["action"], "allow");
    assert_eq!(caller.decide("203.0.113.10").await["action"], "block", "what is put by hand stays");
}

#[tokio::test]
async fn policies_that_come_from_no_file_are_not_read_again() {
    let (sandbox, _caller) = start(Sandbox::builder()).await;
    let error = sandbox.reload_policies().expect_err("no file");
    assert!(error.to_string().contains("--policies"), "{error}");
}
