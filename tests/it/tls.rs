//! Certificates, with a server that really speaks TLS.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::{env, fs, process, thread};

use esper_rs_client::{
    AsyncEsperClient, EsperConfig, EsperError, FallbackReason, MitigationRequest,
};
use esper_sandbox::Sandbox;

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

async fn rejected(server: &TlsServer, config: EsperConfig, why: &str) {
    let client = AsyncEsperClient::new(config).unwrap();
    let error = client.verify_challenge("token", "1").await.unwrap_err();
    let EsperError::Connection { permanent: true, attempts: 1, .. } = error else {
        panic!("{error:?}")
    };
    assert!(error.to_string().contains(&format!("certificate was rejected{why}")), "{error}");
    assert!(!error.is_retryable(), "{error:?}");
    assert_eq!(server.connections(), 1);
    assert_settled(&client, 1, 1);
}

/// Asks a server by this name of it, and trusts its certificate.
fn trusting(server: &TlsServer, host: &str) -> EsperConfig {
    config(&server.url(host)).with_root_certificate(server.certificate.clone())
}

#[tokio::test]
async fn an_untrusted_certificate_is_tried_once_and_called_so() {
    let server = TlsServer::start(Validity::Now, b"http/1.1", verify);
    let why = ", as nobody who is trusted has issued it; EsperConfig::with_root_certificate";
    rejected(&server, config(&server.url("localhost")), why).await;
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
    rejected(&server, trusting(&server, "localhost"), ", as it has expired").await;
}

#[tokio::test]
async fn a_certificate_of_the_future_is_tried_once_and_called_so() {
    let server = TlsServer::start(Validity::NotYet, b"http/1.1", verify);
    rejected(&server, trusting(&server, "localhost"), ", as it is not valid yet").await;
}

#[tokio::test]
async fn a_certificate_of_a_ca_is_tried_once_and_called_so() {
    // Such is the one of `openssl req -x509`, which no trust mends.
    let server = TlsServer::start(Validity::Never, b"http/1.1", verify);
    rejected(&server, trusting(&server, "localhost"), ", as it is that of a CA").await;
}

#[tokio::test]
async fn a_certificate_that_is_rejected_for_another_reason_is_tried_once_and_called_so() {
    let server = TlsServer::start(Validity::Conditional, b"http/1.1", verify);
    let why = "; EsperConfig::with_root_certificate can trust your own";
    rejected(&server, config(&server.url("localhost")), why).await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_tried_once_and_called_so() {
    let server = TlsServer::start(Validity::Now, b"http/1.1", verify);
    rejected(&server, trusting(&server, "127.0.0.1"), ", as it is for another host").await;
}

#[tokio::test]
async fn a_certificate_of_ones_own_can_be_trusted() {
    let server = TlsServer::start(Validity::Now, b"http/1.1", verify);
    let client = AsyncEsperClient::new(trusting(&server, "localhost")).unwrap();
    assert!(client.verify_challenge("token", "1").await.unwrap());
}

#[tokio::test]
async fn a_server_or_proxy_without_tls_is_called_so() {
    // As one that is left over from http, or the wrong port.
    let sandbox = Sandbox::start().await;
    let url = sandbox.url().replace("http:", "https:");
    let of_a_proxy = config("https://esper.test").with_proxy(&url);
    for (config, at) in [(config(&url), url.as_str()), (of_a_proxy, "https://esper.test")] {
        let client = AsyncEsperClient::new(config.with_max_retries(0)).unwrap();
        let error = client.verify_challenge("token", "1").await.unwrap_err().to_string();
        let what = "what answers does not speak TLS, there or as a proxy on the way; check the \
                    scheme and the port of its URL";
        assert_eq!(error, format!("could not reach esper at {at}: {what}"));
    }
}

#[tokio::test]
async fn a_tls_that_is_not_agreed_on_is_called_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
        // The alert of a failed handshake.
        stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).unwrap();
    });
    let client = AsyncEsperClient::new(config(&url).with_max_retries(0)).unwrap();
    let error = client.verify_challenge("token", "1").await.unwrap_err().to_string();
    assert!(error.ends_with("TLS was not agreed on, there or with a proxy on the way"), "{error}");
    server.join().unwrap();
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
