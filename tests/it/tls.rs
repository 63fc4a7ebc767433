//! Certificates, with a server that really speaks TLS.

use std::io::{Read, Write};
use std::{env, fs, process};

use esper_rs_client::{
    AsyncEsperClient, EsperConfig, EsperError, FallbackReason, MitigationRequest,
};

use crate::support::tls::{TlsServer, TlsStream, Validity};
use crate::support::{assert_settled, child, config, guard};

/// Says that a verification passed, to whoever trusts the certificate.
fn verify(_: usize, mut stream: TlsStream) {
    if stream.read(&mut [0; 4096]).is_ok() {
        let answer = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\n\
                      content-length: 14\r\nconnection: close\r\n\r\n{\"valid\":true}";
        let _ = stream.write_all(answer.as_bytes());
        stream.conn.send_close_notify();
        let _ = stream.flush();
    }
}

async fn rejected(server: &TlsServer, config: EsperConfig) {
    let client = AsyncEsperClient::new(config).unwrap();
    let error = client.verify_challenge("token", "1").await.unwrap_err();
    let EsperError::Connection { permanent: true, attempts: 1, .. } = error else {
        panic!("{error:?}")
    };
    assert!(error.to_string().contains("certificate was rejected"), "{error}");
    assert!(!error.is_retryable(), "{error:?}");
    assert_eq!(server.connections(), 1);
    assert_settled(&client, 1, 1);
}

#[tokio::test]
async fn an_untrusted_certificate_is_tried_once_and_called_so() {
    let server = TlsServer::start(Validity::Now, b"http/1.1", verify);
    rejected(&server, config(&server.url("localhost"))).await;
}

#[tokio::test]
async fn a_rejected_certificate_is_a_fallback_of_its_own_kind() {
    let server = TlsServer::start(Validity::Now, b"http/1.1", verify);
    let guard = guard(&server.url("localhost"));
    let decision = guard.decide(&MitigationRequest::new("192.168.1.1")).await;
    assert_eq!(decision.fallback_reason(), Some(FallbackReason::Certificate), "{decision:?}");
    assert_eq!(server.connections(), 1, "it will be no better");
}

#[tokio::test]
async fn an_expired_certificate_is_tried_once_and_called_so() {
    let server = TlsServer::start(Validity::LongAgo, b"http/1.1", verify);
    let config = config(&server.url("localhost"));
    rejected(&server, config.with_root_certificate(server.certificate.clone())).await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_tried_once_and_called_so() {
    let server = TlsServer::start(Validity::Now, b"http/1.1", verify);
    let config = config(&server.url("127.0.0.1"));
    rejected(&server, config.with_root_certificate(server.certificate.clone())).await;
}

#[tokio::test]
async fn a_certificate_of_ones_own_can_be_trusted() {
    let server = TlsServer::start(Validity::Now, b"http/1.1", verify);
    let config = config(&server.url("localhost"));
    let config = config.with_root_certificate(server.certificate.clone());
    let client = AsyncEsperClient::new(config).unwrap();
    assert!(client.verify_challenge("token", "1").await.unwrap());
}

#[test]
fn a_proxy_of_the_environment_that_speaks_tls_is_checked_with_the_systems_certificates() {
    if child::is_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let config = config("http://esper.test").with_plain_http_allowed();
        let client = AsyncEsperClient::new(config).unwrap();
        assert!(runtime.block_on(client.verify_challenge("token", "1")).unwrap());
        return;
    }
    let proxy = TlsServer::start(Validity::Now, b"http/1.1", verify);
    let file = env::temp_dir().join(format!("esper-certificate-{}.pem", process::id()));
    fs::write(&file, &proxy.certificate).unwrap();
    let url = proxy.url("localhost");
    let mut variables = child::PROXIES.map(|name| (name, "")).to_vec();
    variables.push(("HTTP_PROXY", &url));
    variables.push(("SSL_CERT_FILE", file.to_str().unwrap()));
    let test =
        "tls::a_proxy_of_the_environment_that_speaks_tls_is_checked_with_the_systems_certificates";
    child::run(test, &variables);
    fs::remove_file(file).unwrap();
    assert_eq!(proxy.connections(), 1);
}
