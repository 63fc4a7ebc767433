//! How it starts and ends, and what it refuses.

use std::process::Command;

use esper_sandbox::{Sandbox, solve_proof_of_work};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::policies::PolicyFile;
use crate::program::{Program, command, decide, refusal};

#[tokio::test]
async fn it_serves_with_the_development_key_until_it_is_terminated() {
    let program = Program::start(&mut command(&[]));
    assert!(program.greeting.contains("development key"), "{}", program.greeting);
    let key = Sandbox::DEFAULT_API_KEY;
    assert!(program.greeting.contains(&format!("ESPER_API_KEY={key}")), "{}", program.greeting);
    let decision: Value = decide(program.url(), key).await.json().await.expect("a decision");
    assert_eq!(decision["action"], "allow");
    assert_eq!(program.end(Signal::TERM).0, Some(0));
}

#[test]
fn it_ends_well_on_ctrl_c() {
    assert_eq!(Program::start(&mut command(&[])).end(Signal::INT).0, Some(0));
}

#[tokio::test]
async fn keys_of_the_user_are_accepted_and_shown_nowhere() {
    let from_options = &mut command(&["--api-key", "secret-one", "--api-key", "secret-two"]);
    let from_environment = &mut command(&[]);
    from_environment.env("ESPER_SANDBOX_API_KEYS", "secret-one, secret-two");
    for command in [from_options, from_environment] {
        let program = Program::start(command.env("RUST_LOG", "esper_sandbox=trace"));
        for (key, status) in
            [("secret-one", 200), ("secret-two", 200), (Sandbox::DEFAULT_API_KEY, 401)]
        {
            assert_eq!(decide(program.url(), key).await.status().as_u16(), status, "{key}");
        }
        assert!(!program.greeting.contains("secret"), "{}", program.greeting);
        let (code, log) = program.end(Signal::TERM);
        assert_eq!(code, Some(0));
        assert!(log.contains("answered") && !log.contains("secret"), "{log}");
    }
}

/// Whether there is a curl to try commands with.
fn has_curl() -> bool {
    let has = Command::new("curl").arg("--version").output().is_ok();
    if !has {
        eprintln!("skipped: there is no curl to try the commands with");
    }
    has
}

#[test]
fn the_proposed_commands_work() {
    if !has_curl() {
        return;
    }
    for (command, key) in
        [(&mut command(&[]), "nothing"), (&mut command(&["--api-key", "secret-one"]), "secret-one")]
    {
        let program = Program::start(command);
        let answers: Vec<_> = program
            .curls()
            .into_iter()
            .map(|curl| {
                let mut shell = Command::new("sh");
                let shell = shell.args(["-c", &format!("{curl} --fail")]);
                let output = shell.env("ESPER_API_KEY", key).env("NO_PROXY", "*").output();
                let output = output.expect("a shell");
                assert!(output.status.success(), "{curl}: {output:?}");
                String::from_utf8_lossy(&output.stdout).into_owned()
            })
            .collect();
        assert_eq!(answers, ["{\"action\":\"allow\",\"score\":0.0}\n", "202\n"]);
    }
}

/// The example of the README, from its heading to the end of its block.
fn admin_example() -> &'static str {
    let readme = include_str!("../../README.md");
    let section = readme.split("## The admin interface").nth(1).expect("a section");
    let block = section.split("```sh\n").nth(1).expect("an example");
    block.split("```").next().expect("its end")
}

#[test]
fn the_commands_of_the_readme_work() {
    if !has_curl() {
        return;
    }
    let program = Program::start(&mut command(&["--admin", "0"]));
    let script = admin_example().replace("http://127.0.0.1:8788", program.admin());
    let script = format!("set -e\n{}", script.replace("curl ", "curl --fail -w '\\n' "));
    let output = Command::new("sh").args(["-c", &script]).env("NO_PROXY", "*").output();
    let output = output.expect("a shell");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    let said: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(said[..2], [r#"{"id":1}"#, r#"{"id":2}"#]);
    assert!(said[2].contains("the ordinary answer after 2s, for 10 % of the calls"), "{said:?}");
    assert_eq!(said[3..], [r#"{"count":0,"requests":[]}"#, "ok"]);
}

#[test]
fn a_taken_port_is_one_clear_sentence() {
    let sandbox = Sandbox::start_blocking();
    let addr = sandbox.addr().to_string();
    let output = command(&["--listen", &addr]).output().expect("an end");
    let expected = format!(
        "esper-sandbox: {addr} is in use; stop what listens there or choose another address\n"
    );
    assert_eq!(refusal(&output), expected);
}

#[test]
fn bad_arguments_are_refused_by_name() {
    for (args, expected) in [
        (&["--listen", "nowhere"][..], "--listen"),
        (&["--api-key", ""], "an api key is empty"),
        (&["--challenge-difficulty", "33"], "33 is not in 0..=32"),
        (&["--challenge-difficulty", "300"], "300 is not in 0..=32"),
        (&["--requests-per-minute", "0"], "a rate limit of 0"),
        (&["--admin", "nowhere"], "--admin"),
        (&["--log-format", "xml"], "--log-format"),
        (&["--what"], "--what"),
    ] {
        let said = refusal(&command(args).output().expect("an end"));
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn the_admin_interface_is_offered_where_it_was_asked_for() {
    let program = Program::start(&mut command(&["--admin", "0"]));
    let admin = program.admin();
    assert!(admin.starts_with("http://127.0.0.1:"), "{admin}");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let fault = json!({ "fault": "status", "status": 503 });
    let added = http.post(format!("{admin}/faults")).json(&fault).send().await.expect("an answer");
    assert_eq!(added.status().as_u16(), 201);
    let hit = decide(program.url(), Sandbox::DEFAULT_API_KEY).await;
    assert_eq!(hit.status().as_u16(), 503);
}

#[test]
fn a_key_that_is_refused_is_not_shown() {
    let output = command(&["--api-key", "s\u{e9}cret"]).output().expect("an end");
    assert!(!refusal(&output).contains("cret"));
}

#[tokio::test]
async fn every_option_has_its_effect() {
    let policies = "entity = [{ name = \"e\", key = [\"client_ip\"] }]\n[[policy]]\n\
        name = \"any\"\nentity = \"e\"\n\
        mitigation = { action = \"challenge\", ttl_seconds = 3600 }";
    let file = PolicyFile::new("options", policies);
    let program = Program::start(&mut command(&[
        "--api-key=key",
        "--policies",
        file.path(),
        "--challenge-difficulty=3",
        "--challenge-lifetime=60",
        "--requests-per-minute=6",
        "--public-url=https://esper.shop.example/sandbox",
        "--return-host=shop.example",
        "--console=never",
        "--admin=0",
    ]));
    assert!(!program.greeting.contains("Watch it in a browser"), "{}", program.greeting);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let post = async |path: &str, body: Value| {
        let request = http.post(format!("{}{path}", program.url())).bearer_auth("key");
        let request = request.header("X-Esper-Key", "key").json(&body);
        let answer = request.send().await.expect("an answer");
        answer.json::<Value>().await.unwrap_or_default()
    };
    post("/v1/events", json!({ "type": "x", "ip": "203.0.113.7" })).await;
    let request = json!({ "ip": "203.0.113.7", "return_url": "https://shop.example/cart" });
    let decision = post("/v1/mitigate", request).await;
    assert_eq!(decision["metadata"], json!({ "policy": "any" }));
    let page = decision["redirect_url"].as_str().expect("a page");
    assert!(page.starts_with("https://esper.shop.example/sandbox/challenge/"), "{page}");
    let challenge = &decision["challenge"];
    assert_eq!(challenge["params"]["difficulty"], 3);
    let salt = challenge["params"]["salt"].as_str().expect("a salt");
    let response = solve_proof_of_work(salt, 3);
    let verification = json!({ "token": challenge["token"], "response": response });

    let advance = async |millis: u64| {
        let clock = http.post(format!("{}/clock", program.admin()));
        clock.json(&json!({ "advance_ms": millis })).send().await.expect("an answer");
    };
    // Two requests so far; four more fit into the minute, the fifth does not.
    for _ in 0..4 {
        assert_eq!(post("/v1/verify", json!({})).await["code"], "invalid_request");
    }
    let limited = post("/v1/verify", json!({})).await;
    assert_eq!(limited["details"], json!({ "limit_per_minute": 6 }));
    advance(60_000).await;
    assert_eq!(post("/v1/verify", verification).await, json!({ "valid": false }), "it expired");
}
