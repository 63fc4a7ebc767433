//! Proxies: who is sent through them, and what their faults look like.

use std::error::Error;
use std::net::TcpListener;

use esper_rs_client::{AsyncEsperClient, EsperError, MitigationRequest};

use crate::support::{Answer, KEY, RawServer, child, client, config};

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
        let mut text = format!("{error} {error:?}");
        let mut source = error.source();
        while let Some(error) = source {
            text += &format!(" {error} {error:?}");
            source = error.source();
        }
        assert!(!text.contains("hunter2") && !text.contains(KEY), "{number}: {text}");
        for request in proxy.received() {
            assert_eq!(request.method, "CONNECT", "{number}: {request:?}");
            assert!(request.all("authorization").is_empty(), "{number}: {request:?}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_not_taken_for_esper() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unknown = format!("http://{}.invalid", "x".repeat(64));
    for (proxy, what) in [
        (format!("http://{gone}"), "the connection was refused, there or by a proxy on the way"),
        (unknown, "a name does not resolve, its own or that of a proxy on the way"),
    ] {
        let config = config("https://esper.test").with_proxy(proxy).with_max_retries(0);
        let client = AsyncEsperClient::new(config).unwrap();
        let result = client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await;
        let expected = format!("could not reach esper at https://esper.test: {what}");
        assert_eq!(result.unwrap_err().to_string(), expected);
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
        });
        return;
    }
    let proxy = RawServer::always(|| Answer::Http(500, vec![], String::new()));
    let url = proxy.url();
    let variables =
        ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
            .map(|name| (name, url.as_str()));
    child::run("proxies::a_proxy_of_the_environment_is_never_used_for_loopback", &variables);
    assert_eq!(proxy.connections(), 0);
}
