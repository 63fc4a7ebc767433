//! The documented samples and the whole loop, in conversation with the sandbox.

use esper_rs_client::*;
use esper_sandbox::solve_proof_of_work;

use crate::support::{client, config, sandbox};

#[tokio::test]
async fn the_documented_samples_compile_and_run() {
    let sandbox = sandbox().await;
    let config = config(sandbox.url());

    // Asynchronous.
    {
        let client = AsyncEsperClient::new(config.clone()).unwrap();
        let request = MitigationRequest::new("192.168.1.1")
            .with_user_agent("Mozilla/5.0...")
            .with_path("/api/users")
            .with_method("GET")
            .with_metadata("session_id", serde_json::json!("abc123"));
        let response = client.check_mitigation(&request).await.unwrap();
        match response.action {
            MitigationAction::Allow => println!("Request allowed"),
            MitigationAction::Challenge => println!("Challenge required"),
            MitigationAction::Block => println!("Request blocked: {:?}", response.reason),
        }
        assert_eq!(response.action, MitigationAction::Allow);
        let event = BeaconEvent::new("http_request")
            .with_ip("192.168.1.1")
            .with_user_agent("Mozilla/5.0...")
            .with_path("/api/users")
            .with_method("GET");
        client.send_beacon_event(&event).await.unwrap();
    }

    // Synchronous.
    {
        let client = EsperClient::new(config).unwrap();
        let request = MitigationRequest::new("192.168.1.1").with_ip("192.168.1.2");
        let response = client.check_mitigation(&request).unwrap();
        match response.action {
            MitigationAction::Allow => println!("Request allowed"),
            MitigationAction::Challenge => println!("Challenge required"),
            MitigationAction::Block => println!("Request blocked: {:?}", response.reason),
        }
        let event = BeaconEvent::new("http_request").with_ip("192.168.1.2");
        client.send_beacon_event(&event).unwrap();
    }
}

#[tokio::test]
async fn a_visitor_is_challenged_solves_it_and_is_let_in_again() {
    let sandbox = sandbox().await;
    let client = client(sandbox.url());
    let request = MitigationRequest::new("203.0.113.7").with_user_agent("a browser");
    let event =
        BeaconEvent::new("http_request").with_ip("203.0.113.7").with_user_agent("a browser");
    for _ in 0..61 {
        client.send_beacon_event(&event).await.unwrap();
    }

    let challenged = client.check_mitigation(&request).await.unwrap();
    assert_eq!(challenged.action, MitigationAction::Challenge, "{challenged:?}");
    assert!(challenged.reason.as_deref().unwrap().contains("61 events"), "{challenged:?}");
    let challenge = challenged.open_challenge().unwrap();
    let salt = challenge.params["salt"].as_str().unwrap();
    let difficulty = challenge.params["difficulty"].as_u64().unwrap();
    let nonce = solve_proof_of_work(salt, u8::try_from(difficulty).unwrap());
    assert!(!client.verify_challenge(&challenge.token, "a guess").await.unwrap());
    assert!(client.verify_challenge(&challenge.token, &nonce).await.unwrap());
    assert!(!client.verify_challenge(&challenge.token, &nonce).await.unwrap());
    assert!(client.check_mitigation(&request).await.unwrap().is_allowed());

    for _ in 0..201 {
        client.send_beacon_event(&event).await.unwrap();
    }
    let blocked = client.check_mitigation(&request).await.unwrap();
    assert_eq!(blocked.action.http_status(), Some(StatusCode::FORBIDDEN), "{blocked:?}");
    let usage = client.get_usage().await.unwrap();
    let counts = (usage.requests, usage.allowed, usage.challenged, usage.blocked);
    assert_eq!(counts, (3, 1, 1, 1));
}

#[tokio::test]
async fn a_wrong_key_is_an_error_of_the_api() {
    let sandbox = sandbox().await;
    let config = EsperConfig::new("sk_not_the_key")
        .with_api_url(sandbox.url())
        .with_beacon_url(sandbox.url());
    let client = AsyncEsperClient::new(config).unwrap();
    let decision = client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await;
    let event = client.send_beacon_event(&BeaconEvent::new("http_request")).await;
    for error in [decision.unwrap_err(), event.unwrap_err()] {
        assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED), "{error:?}");
        assert!(matches!(&error, EsperError::Api { code: Some(_), attempts: 1, .. }), "{error:?}");
    }
}
