//! What a caller learns when something goes wrong.

use std::time::Duration;

use esper_rs_client::{
    BeaconEvent, ChallengeProof, EsperError, MitigationRequest, MitigationResponse,
};
use serde_json::{Value, json};

use crate::support::{
    Answer, ClosedPort, KEY, RawServer, assert_settled, client, config, everything,
};

/// The outcome of a decision that is tried once.
async fn once(server: &RawServer) -> Result<MitigationResponse, EsperError> {
    let config = config(&server.url()).with_max_retries(0);
    let client = esper_rs_client::AsyncEsperClient::new(config).unwrap();
    let result = client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await;
    assert_eq!(server.count(), 1);
    assert_settled(&client, 1, 1);
    if let Err(error) = &result {
        assert!(!everything(error).contains(KEY), "{error:?}");
    }
    result
}

#[tokio::test]
async fn a_documented_error_keeps_all_that_it_says() {
    let server = RawServer::always(|| {
        let body = r#"{"message":"slow down","code":"rate_limited","details":{"limit":600}}"#;
        Answer::json(429, body).with_header("retry-after", "7")
    });
    let error = once(&server).await.unwrap_err();
    let EsperError::Api { status, code, message, details, retry_after, attempts, .. } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!((status.as_u16(), code.as_deref()), (429, Some("rate_limited")));
    assert_eq!(message, "slow down");
    assert_eq!(details.as_deref(), Some(&serde_json::json!({ "limit": 600 })));
    assert_eq!((*retry_after, *attempts), (Some(Duration::from_secs(7)), 1));
    assert_eq!(error.retry_after(), *retry_after);
    assert!(error.is_retryable() && !error.is_timeout());
    assert_eq!(error.to_string(), "esper answered 429: slow down");
}

#[tokio::test]
async fn a_proxy_error_page_keeps_its_status() {
    for status in [502, 503] {
        let server = RawServer::always(move || {
            let page = format!("<html><body>{}</body></html>", "bad gateway ".repeat(500));
            Answer::html(status, &page).with_header("retry-after", "120")
        });
        let error = once(&server).await.unwrap_err();
        assert_eq!(error.status().map(|s| s.as_u16()), Some(status), "{error:?}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(120)), "{error:?}");
        assert!(error.is_retryable(), "{error:?}");
        assert!(everything(&error).len() < 700, "{error:?}");
    }
}

#[tokio::test]
async fn a_wait_until_a_date_is_measured_on_the_clock_of_the_service() {
    let at = |second| format!("Sun, 06 Nov 1994 13:00:{second:02} GMT");
    for (second, expected) in [(7, Some(Duration::from_secs(7))), (0, None)] {
        let server = RawServer::always(move || {
            let answer = Answer::json(429, r#"{"message":"slow down"}"#);
            answer.with_header("date", &at(0)).with_header("retry-after", &at(second))
        });
        assert_eq!(once(&server).await.unwrap_err().retry_after(), expected);
    }
}

#[tokio::test]
async fn a_key_that_a_server_sends_back_is_in_no_error() {
    let server = RawServer::always(|| {
        Answer::json(401, &format!(r#"{{"message":"no key {KEY}","details":["{KEY}"]}}"#))
    });
    let error = once(&server).await.unwrap_err();
    assert_eq!(error.to_string(), "esper answered 401: no key [redacted]");
    let page = RawServer::always(|| Answer::html(403, &format!("<p>{KEY}")));
    once(&page).await.unwrap_err();
    let action = RawServer::always(|| Answer::json(200, &format!(r#"{{"action":"{KEY}"}}"#)));
    once(&action).await.unwrap_err();
}

#[tokio::test]
async fn an_unknown_action_is_a_decode_error_that_names_it() {
    let server = RawServer::always(|| Answer::json(200, r#"{"action":"rate_limit"}"#));
    let error = once(&server).await.unwrap_err();
    assert!(matches!(error, EsperError::Decode { .. }), "{error:?}");
    assert!(error.to_string().contains("`rate_limit`"), "{error}");
    assert_eq!(error.status().map(|s| s.as_u16()), Some(200));
}

#[tokio::test]
async fn unknown_members_are_ignored_and_missing_optional_ones_are_fine() {
    let server = RawServer::always(|| Answer::json(200, r#"{"action":"block","news":{"a":1}}"#));
    let response = once(&server).await.unwrap();
    assert_eq!((response.reason, response.score), (None, None));
    assert!(response.metadata.is_empty());
}

#[tokio::test]
async fn an_optional_member_that_is_null_is_as_good_as_absent() {
    let body = r#"{
        "action": "challenge", "reason": null, "score": null, "redirect_url": null, "metadata": null,
        "challenge": { "type": "turnstile", "token": "t", "params": null }
    }"#;
    let server = RawServer::always(|| Answer::json(200, body));
    let response = once(&server).await.unwrap();
    let challenge = response.open_challenge().expect("a challenge");
    assert!(response.metadata.is_empty() && challenge.params.is_empty(), "{response:?}");

    let server = RawServer::always(|| Answer::json(200, r#"{"action":"block","challenge":null}"#));
    assert_eq!(once(&server).await.unwrap().challenge, None);
}

#[tokio::test]
async fn a_success_that_is_no_decision_is_never_read_as_one() {
    let bodies = [
        Answer::json(200, "not json"),
        Answer::json(200, ""),
        Answer::json(200, "null"),
        Answer::json(200, r#"{"score":1}"#),
        Answer::html(200, r#"{"action":"allow"}"#),
        Answer::Http(200, vec![], r#"{"action":"allow"}"#.into()),
        Answer::html(200, "<html>log in to this network</html>"),
        Answer::json(200, r#"{"action""#),
        // It came to its end.
        Answer::Bytes(
            b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
              9\r\n{\"action\"\r\n0\r\n\r\n"
                .to_vec(),
        ),
    ];
    let all = bodies.len();
    let server = RawServer::start(move |number, _| bodies[number].clone());
    let client = client(&server.url());
    for number in 1..=all {
        let result = client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await;
        let error = result.unwrap_err();
        assert!(matches!(error, EsperError::Decode { .. }), "{number}: {error:?}");
        assert!(!error.is_retryable() && !everything(&error).contains("log in"), "{error:?}");
        assert_settled(&client, number as u64, number);
    }
}

#[tokio::test]
async fn bad_input_is_refused_before_anything_is_sent() {
    let server = RawServer::always(Answer::allow);
    let client = client(&server.url());
    let mut refused = Vec::new();
    for ip in ["", "localhost", "10.0.0.1:80", "[::1]", "10.0.0"] {
        refused.push(client.check_mitigation(&MitigationRequest::new(ip)).await.unwrap_err());
        let event = BeaconEvent::new("http_request").with_ip(ip);
        refused.push(client.send_beacon_event(&event).await.unwrap_err());
        let proof = ChallengeProof::new("proof", ip);
        refused.push(client.verify_challenge_proof(&proof).await.unwrap_err());
    }
    for url in [
        "",
        "/checkout",
        "javascript:alert(1)",
        "ftp://a.example",
        // What a parser would mend, and a service need not.
        "https://a.example/x y",
        "https://a.example/x\\y",
        "https://a.example/x\n",
        " https://a.example/x",
    ] {
        let request = MitigationRequest::new("::1").with_return_url(url);
        refused.push(client.check_mitigation(&request).await.unwrap_err());
    }
    for kind in ["", " \t"] {
        refused.push(client.send_beacon_event(&BeaconEvent::new(kind)).await.unwrap_err());
    }
    let early = BeaconEvent::new("http_request").with_timestamp(-1);
    refused.push(client.send_beacon_event(&early).await.unwrap_err());
    // To write it would take more stack than a thread has.
    let deep = (0..3_000).fold(json!(0), |value, _| Value::Array(vec![value]));
    for request in [
        MitigationRequest::new("::1").with_body(deep.clone()),
        MitigationRequest::new("::1").with_metadata("deep", deep.clone()),
    ] {
        refused.push(client.check_mitigation(&request).await.unwrap_err());
    }
    let event = BeaconEvent::new("http_request").with_data("deep", deep);
    refused.push(client.send_beacon_event(&event).await.unwrap_err());
    refused.push(client.verify_challenge("", "1").await.unwrap_err());
    refused.push(client.verify_challenge("t", "").await.unwrap_err());
    for error in refused {
        assert!(matches!(error, EsperError::Validation { .. }), "{error:?}");
        assert!(!error.is_retryable() && error.status().is_none(), "{error:?}");
    }
    assert_eq!(server.connections(), 0);
    // Nor is it a call.
    assert_settled(&client, 0, 0);
}

#[tokio::test]
async fn an_error_whose_body_breaks_keeps_its_status_and_its_wait() {
    let broken = |status, header| {
        let head = format!("HTTP/1.1 {status} X\r\n{header}content-length: 99\r\n\r\n{{\"mess");
        move || Answer::Bytes(head.clone().into_bytes())
    };
    for status in [401, 413] {
        let server = RawServer::always(broken(status, ""));
        let error = client(&server.url()).get_usage().await.unwrap_err();
        assert_eq!(error.status().map(|s| s.as_u16()), Some(status), "{error:?}");
        assert_eq!(server.count(), 1, "{error:?}");
    }
    let server = RawServer::always(broken(429, "retry-after: 50\r\n"));
    let error = client(&server.url()).get_usage().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(50)), "{error:?}");
    assert_eq!(server.count(), 1, "{error:?}");
}

#[tokio::test]
async fn an_event_that_was_taken_is_not_sent_again_because_of_its_answers_body() {
    let head = b"HTTP/1.1 202 X\r\ncontent-length: 99\r\n\r\nwhat";
    let endings: [fn(&[u8]) -> Answer; 2] =
        [|head| Answer::Bytes(head.to_vec()), |head| Answer::Dribble(head.to_vec())];
    for ending in endings {
        let server = RawServer::always(move || ending(head));
        let client = client(&server.url());
        client.send_beacon_event(&BeaconEvent::new("http_request")).await.unwrap();
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test]
async fn a_success_that_is_not_documented_is_no_decision() {
    let answers: [fn() -> Answer; 2] =
        [|| Answer::json(201, r#"{"action":"block"}"#), || Answer::html(201, "<html>")];
    for answer in answers {
        let error = once(&RawServer::always(answer)).await.unwrap_err();
        assert!(matches!(error, EsperError::Decode { .. }), "{error:?}");
        assert_eq!(error.status().map(|s| s.as_u16()), Some(201));
    }
}

#[tokio::test]
async fn an_error_is_bounded_whatever_the_answer_says() {
    let server = RawServer::always(|| {
        let long = "x".repeat(100_000);
        let body =
            format!(r#"{{"message":"{long}","code":"{long}\u001b[31m","details":"{long}"}}"#);
        Answer::json(400, &body)
    });
    let text = everything(&once(&server).await.unwrap_err());
    assert!(text.len() < 5_000 && !text.contains('\u{1b}'), "{}", text.len());
}

#[tokio::test]
async fn a_connection_error_says_with_whom() {
    let gone = ClosedPort::new();
    let error = client(&gone.url()).get_usage().await.unwrap_err();
    let expected = "the connection was refused, there or by a proxy on the way";
    let url = gone.url();
    assert_eq!(error.to_string(), format!("could not reach esper at {url}: {expected}"));
    assert!(!everything(&error).contains(KEY), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_connection_error_that_says_with_whom() {
    // Without a length, the end of the connection is that of the answer.
    for length in ["content-length: 99\r\n", ""] {
        let head = format!("HTTP/1.1 200 X\r\ncontent-type: application/json\r\n{length}\r\n{{");
        let server = RawServer::always(move || Answer::Bytes(head.clone().into_bytes()));
        let error = once(&server).await.unwrap_err();
        assert!(matches!(error, EsperError::Connection { permanent: false, .. }), "{error:?}");
        let url = server.url();
        let expected = format!("esper at {url} began to answer, and the connection broke");
        assert_eq!(error.to_string(), expected);
    }
}
