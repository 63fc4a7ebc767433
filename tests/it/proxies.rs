//! Proxies: who is sent through them, and what their faults look like.

use std::time::Duration;

use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, EsperError, FallbackReason, MitigationRequest,
};

use crate::support::{
    Answer, ClosedPort, KEY, RawServer, assert_settled, child, client, config, everything, patient,
};

#[tokio::test]
async fn a_proxy_that_does_not_connect_is_a_connection_error_without_its_password() {
    let faults: [fn() -> Answer; 4] = [
        || Answer::Close,
        || Answer::Http(407, vec![("proxy-authenticate", "Basic".into())], String::new()),
        || Answer::Http(502, vec![], "<html>".into()),
        || Answer::Bytes(b"SSH-2.0-what\r\n\r\n".to_vec()),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let proxy = RawServer::always(fault);
        let url = proxy.url().replace("http://", "http://user:hunter2hunter2@");
        let config = config("https://esper.test").with_proxy(url).with_max_retries(1);
        let client = AsyncEsperClient::new(config).unwrap();
        let result = client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await;
        let error = result.unwrap_err();
        assert!(matches!(error, EsperError::Connection { .. }), "{number}: {error:?}");
        assert_settled(&client, 1, 2);
        let text = everything(&error);
        assert!(!text.contains("hunter2") && !text.contains(KEY), "{number}: {text}");
        for request in proxy.received() {
            assert_eq!(request.method, "CONNECT", "{number}: {request:?}");
            assert!(request.all("authorization").is_empty(), "{number}: {request:?}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_wants_other_credentials_is_a_connection_error_and_costs_no_event() {
    for target in ["https://esper.test", "http://esper.test"] {
        let proxy = RawServer::always(|| {
            Answer::html(407, "log in").with_header("proxy-authenticate", "Basic")
        });
        let url = proxy.url().replace("http://", "http://user:hunter2hunter2@");
        let config = config(target).with_plain_http_allowed().with_proxy(url).with_max_retries(1);
        let client = AsyncEsperClient::new(config).unwrap();
        let error = client.verify_challenge("token", "1").await.unwrap_err();
        assert!(matches!(error, EsperError::Connection { permanent: false, .. }), "{error:?}");
        let what = "a proxy on the way asks for credentials; set the right ones in its URL";
        assert_eq!(error.to_string(), format!("could not reach esper at {target}: {what}"));
        assert!(!everything(&error).contains("hunter2"), "{error:?}");
        assert_settled(&client, 1, 2);

        let beacons = client.beacons();
        beacons.send(BeaconEvent::new("http_request"));
        let report = beacons.flush(Duration::from_millis(200)).await;
        assert_eq!((report.dropped, report.left), (0, 1), "{target}");

        let guard = patient(client);
        let decision = guard.decide(&MitigationRequest::new("192.168.1.1")).await;
        assert_eq!(decision.fallback_reason(), Some(FallbackReason::Connection), "{target}");
    }
}

#[tokio::test]
async fn a_proxy_carries_everything_but_loopback() {
    let proxy = RawServer::always(Answer::allow);
    let server = RawServer::always(|| Answer::status(202));
    let config = config(&server.url())
        .with_proxy(proxy.url())
        .with_api_url("http://esper.test")
        .with_plain_http_allowed();
    let client = AsyncEsperClient::new(config).unwrap();
    client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await.unwrap();
    client.send_beacon_event(&BeaconEvent::new("http_request")).await.unwrap();
    assert_eq!(proxy.only().target, "http://esper.test/v1/mitigate");
    assert_eq!(server.only().target, "/v1/events");
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_not_taken_for_esper() {
    let gone = ClosedPort::new();
    let unknown = format!("http://{}.invalid", "x".repeat(64));
    for (proxy, what) in [
        (gone.url(), "the connection was refused, there or by a proxy on the way"),
        (unknown, "a name does not resolve, its own or that of a proxy on the way"),
    ] {
        let config = config("https://esper.test").with_proxy(proxy).with_max_retries(0);
        let client = AsyncEsperClient::new(config).unwrap();
        let result = client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await;
        let expected = format!("could not reach esper at https://esper.test: {what}");
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_to_connect_is_called_so() {
    for status in [403, 502] {
        let proxy = RawServer::always(move || Answer::html(status, "not allowed"));
        let config = config("https://esper.test").with_proxy(proxy.url()).with_max_retries(0);
        let client = AsyncEsperClient::new(config).unwrap();
        let error = client.verify_challenge("token", "1").await.unwrap_err().to_string();
        let what =
            "a proxy on the way made no connection; see whether it allows and reaches this host";
        assert_eq!(error, format!("could not reach esper at https://esper.test: {what}"));
    }
}

#[test]
fn a_proxy_of_the_environment_that_is_of_another_kind_is_called_so() {
    if child::is_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let config = config("https://esper.test").with_max_retries(0);
        let client = AsyncEsperClient::new(config).unwrap();
        let error = runtime.block_on(client.verify_challenge("token", "1")).unwrap_err();
        let what = "the environment names a proxy that is not http or https, such as one of socks5";
        assert!(error.to_string().ends_with(what), "{error}");
        return;
    }
    for url in ["socks5://127.0.0.1:1", "socks5h://127.0.0.1:1"] {
        let mut variables = child::PROXIES.map(|name| (name, "")).to_vec();
        variables.push(("HTTPS_PROXY", url));
        let test = "proxies::a_proxy_of_the_environment_that_is_of_another_kind_is_called_so";
        child::run(test, &variables);
    }
}

#[test]
fn a_proxy_of_the_environment_is_never_used_for_loopback() {
    if child::is_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = RawServer::always(Answer::allow);
            let decision = client(&server.url());
            let decision = decision.check_mitigation(&MitigationRequest::new("192.168.1.1")).await;
            assert!(decision.unwrap().is_allowed());
            assert_eq!(server.only().target, "/v1/mitigate");
            // Whoever is not on this machine is called through it.
            let config = config("http://esper.test").with_plain_http_allowed();
            let client = AsyncEsperClient::new(config.with_max_retries(0)).unwrap();
            client.get_usage().await.unwrap_err();
        });
        return;
    }
    let proxy = RawServer::always(|| Answer::status(500));
    let url = proxy.url();
    let variables = child::PROXIES.map(|name| match name {
        "no_proxy" | "NO_PROXY" => (name, ""),
        _ => (name, url.as_str()),
    });
    child::run("proxies::a_proxy_of_the_environment_is_never_used_for_loopback", &variables);
    assert_eq!(proxy.only().target, "http://esper.test/v1/usage");
}
