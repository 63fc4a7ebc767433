//! The documented samples, in conversation with the sandbox.

use esper_rs_client::*;

use crate::support::{config, sandbox};

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
