//! What a client can be made of, and what it shows of itself.

use std::time::Duration;

use esper_rs_client::{
    AsyncEsperClient, DecisionSource, EsperClient, EsperConfig, EsperError, Guard,
    MitigationRequest,
};

use crate::support::{Answer, KEY, RawServer, child, config};

/// The form of a certificate, around other bytes.
const DAMAGED: &str = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";

fn refusal(config: EsperConfig) -> String {
    let error = AsyncEsperClient::new(config.clone()).unwrap_err();
    assert!(matches!(error, EsperError::Validation { .. }), "{error:?}");
    assert!(EsperClient::new(config).is_err());
    assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
    error.to_string()
}

#[test]
fn a_client_that_cannot_work_is_not_made() {
    let new = EsperConfig::new;
    let loopback = || config("http://127.0.0.1:1");
    let refused = [
        // The unit tests of the key, the URLs and the limits have more of each kind.
        (new(""), "set ESPER_API_KEY"),
        (new("secret\nkey"), "other than visible ASCII"),
        (new("key").with_api_url("ftp://secret@a"), "api_url is not an http"),
        (new("key").with_beacon_url("http://beacon.example"), "beacon_url is plain http"),
        (new("key").with_beacon_url("https://u:secret@b.example"), "a password"),
        (loopback().with_timeout(Duration::ZERO), "timeout is zero"),
        (loopback().with_root_certificate("/etc/secret.pem"), "not its name"),
        (
            loopback().with_root_certificate(DAMAGED),
            "root_certificate holds a certificate that is damaged",
        ),
        (loopback().with_proxy("http://user:secret@ pro xy"), "proxy is not an http"),
        (loopback().with_proxy("socks5://secret:1"), "proxy is not an http"),
        (loopback().with_proxy("htps://secret:1"), "proxy is not an http"),
    ];
    for (config, expected) in refused {
        let message = refusal(config);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_variable_that_is_set_to_nothing_counts_as_not_set() {
    if child::is_one() {
        let shown = EsperConfig::from_env().map(|config| format!("{config:?}"));
        println!("made: {}", shown.unwrap_or_else(|error| error.to_string()));
        return;
    }
    let made = |key, api, beacon| {
        let variables =
            [("ESPER_API_KEY", key), ("ESPER_API_URL", api), ("ESPER_BEACON_URL", beacon)];
        let test = "configuration::a_variable_that_is_set_to_nothing_counts_as_not_set";
        String::from_utf8(child::output(test, &variables).stdout).unwrap()
    };
    let (api, beacon) = ("http://127.0.0.1:1", "http://127.0.0.1:2");
    for (text, expected) in [
        (made("", api, beacon), "made: esper api key is empty; set ESPER_API_KEY"),
        (made("key", "", ""), "api_url: \"https://api.esperr.com\""),
        (made("key", api, beacon), "beacon_url: \"http://127.0.0.1:2"),
        (made("key", api, ""), "made: ESPER_BEACON_URL is not set"),
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[tokio::test]
async fn the_largest_options_do_no_harm() {
    let server = RawServer::always(Answer::allow);
    let config = config(&server.url())
        .with_timeout(Duration::MAX)
        .with_attempt_timeout(Duration::MAX)
        .with_max_retries(u32::MAX)
        .with_retry_delay(Duration::MAX);
    let client = AsyncEsperClient::new(config).unwrap();
    client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await.unwrap();
}

#[tokio::test]
async fn without_a_limit_on_the_time_a_failure_is_tried_again() {
    let server = RawServer::start(|number, _| match number % 2 {
        0 => Answer::status(503),
        _ => Answer::allow(),
    });
    let config = config(&server.url())
        .with_timeout(Duration::MAX)
        .with_attempt_timeout(Duration::MAX)
        .with_max_retries(1);
    let client = AsyncEsperClient::new(config).unwrap();
    let request = MitigationRequest::new("192.168.1.1");
    client.check_mitigation(&request).await.unwrap();
    let decision = Guard::new(client).with_deadline(Duration::MAX).decide(&request).await;
    assert_eq!(decision.source, DecisionSource::Service, "{decision:?}");
    assert_eq!(server.count(), 4);
}

#[test]
fn a_client_shows_where_it_sends_and_not_its_key() {
    // Not even where it was put into the URL.
    let client = AsyncEsperClient::new(config(&format!("http://127.0.0.1:1/{KEY}"))).unwrap();
    assert!(!format!("{client:?}").contains(KEY), "{client:?}");

    let config = config("http://127.0.0.1:1/base");
    let debug = [
        format!("{config:?}"),
        format!("{:?}", AsyncEsperClient::new(config.clone()).unwrap()),
        format!("{:?}", EsperClient::new(config).unwrap()),
    ];
    for text in debug {
        assert!(text.contains("http://127.0.0.1:1/base"), "{text}");
        assert!(!text.contains(KEY), "{text}");
    }
}
