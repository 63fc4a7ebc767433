//! What goes over the wire.

use esper_rs_client::{BeaconEvent, ChallengeProof, MitigationRequest};
use serde_json::json;

use crate::support::{Answer, KEY, RawServer, client, config};

#[tokio::test]
async fn each_operation_has_the_path_and_the_key_of_the_contract() {
    let server = RawServer::start(|_, request| match request.target.as_str() {
        "/v1/mitigate" => Answer::allow(),
        "/v1/usage" => Answer::json(
            200,
            r#"{"requests":1,"blocked":0,"challenged":0,"allowed":1,"period":"2026-11"}"#,
        ),
        "/v1/events" => Answer::status(202),
        _ => Answer::json(200, r#"{"valid":true}"#),
    });
    let client = client(&server.url());
    client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await.unwrap();
    assert!(client.verify_challenge("token", "response").await.unwrap());
    let proof = ChallengeProof::new("proof", "192.168.1.1").with_user_agent("curl");
    assert!(client.verify_challenge_proof(&proof).await.unwrap());
    assert_eq!(client.get_usage().await.unwrap().requests, 1);
    client.send_beacon_event(&BeaconEvent::new("http_request")).await.unwrap();

    let requests = server.received();
    let lines: Vec<_> = requests.iter().map(|r| format!("{} {}", r.method, r.target)).collect();
    let expected = [
        "POST /v1/mitigate",
        "POST /v1/verify",
        "POST /api/v1/challenge/proof/verify",
        "GET /v1/usage",
        "POST /v1/events",
    ];
    assert_eq!(lines, expected);
    let bearer = format!("Bearer {KEY}");
    for request in &requests[..4] {
        assert_eq!(request.header("authorization"), bearer);
        assert_eq!(request.header("accept"), "application/json");
        assert!(request.all("x-esper-key").is_empty(), "{request:?}");
    }
    assert_eq!(requests[4].header("x-esper-key"), KEY);
    assert!(requests[4].all("authorization").is_empty(), "{:?}", requests[4]);
    for request in &requests {
        assert!(request.all("api-version").is_empty(), "{request:?}");
        assert!(request.header("user-agent").starts_with("esper-rs-client/"), "{request:?}");
    }
    assert_eq!(requests[1].json(), json!({ "token": "token", "response": "response" }));
    let proof = json!({ "proof": "proof", "ip": "192.168.1.1", "user_agent": "curl" });
    assert_eq!(requests[2].json(), proof);
}

#[tokio::test]
async fn members_have_their_names_and_absent_ones_are_left_out() {
    let server = RawServer::always(Answer::allow);
    let client = client(&server.url());
    client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await.unwrap();
    let full = MitigationRequest::new("::1")
        .with_ip("192.168.1.1")
        .with_user_agent("curl")
        .with_path("/login")
        .with_method("POST")
        .with_headers("accept", "text/html")
        .with_body(json!({ "a": [1, null] }))
        .with_metadata("session", json!("s"))
        .with_metadata("count", 3)
        .with_return_url("https://shop.example.net/");
    client.check_mitigation(&full).await.unwrap();

    let bodies: Vec<_> = server.received().iter().map(|request| request.json()).collect();
    assert_eq!(bodies[0], json!({ "ip": "192.168.1.1" }));
    let expected = json!({
        "ip": "192.168.1.1", "user_agent": "curl", "path": "/login", "method": "POST",
        "headers": { "accept": "text/html" }, "body": { "a": [1, null] },
        "metadata": { "session": "s", "count": 3 }, "return_url": "https://shop.example.net/",
    });
    assert_eq!(bodies[1], expected);
}

#[tokio::test]
async fn an_event_gets_the_present_time_and_an_idempotency_key_of_its_own() {
    let server = RawServer::always(|| Answer::status(204));
    let client = client(&server.url());
    let event = BeaconEvent::new("http_request")
        .with_ip("192.168.1.1")
        .with_session_id("s")
        .with_data("status", 200);
    client.send_beacon_event(&event).await.unwrap();
    client.send_beacon_event(&event.with_timestamp(7)).await.unwrap();

    let [first, second] = server.received().try_into().unwrap();
    let mut body = first.json();
    let stamped = body["timestamp"].take().as_i64().unwrap();
    assert!(stamped > 1_700_000_000_000, "{stamped}");
    assert_eq!(second.json()["timestamp"], 7);
    assert_eq!(second.json()["data"], json!({ "status": 200 }));
    let keys = [first.header("idempotency-key"), second.header("idempotency-key")];
    assert_ne!(keys[0], keys[1]);
    for key in keys {
        assert_eq!(uuid::Uuid::parse_str(key).unwrap().get_version_num(), 7);
    }
}

#[tokio::test]
async fn the_path_of_a_base_url_is_kept() {
    for base in ["/esper", "/esper/"] {
        let server = RawServer::always(Answer::allow);
        let client = client(&format!("{}{base}", server.url()));
        client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await.unwrap();
        assert_eq!(server.only().target, "/esper/v1/mitigate");
    }
}

#[tokio::test]
async fn decisions_and_events_go_to_their_own_servers() {
    let api = RawServer::always(Answer::allow);
    let beacon = RawServer::always(|| Answer::status(202));
    let config = config(&api.url()).with_beacon_url(beacon.url());
    let client = esper_rs_client::AsyncEsperClient::new(config).unwrap();
    client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await.unwrap();
    client.send_beacon_event(&BeaconEvent::new("http_request")).await.unwrap();
    assert_eq!(api.only().target, "/v1/mitigate");
    assert_eq!(beacon.only().target, "/v1/events");
}

#[tokio::test]
async fn clones_share_their_connections() {
    let server = RawServer::always(Answer::allow);
    let client = client(&server.url());
    for _ in 0..5 {
        let clone = client.clone();
        clone.check_mitigation(&MitigationRequest::new("192.168.1.1")).await.unwrap();
    }
    assert_eq!((server.count(), server.connections()), (5, 1));
}
