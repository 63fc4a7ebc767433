//! Certificates, with a server that really speaks TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use esper_rs_client::{AsyncEsperClient, EsperError};
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::support::config;

/// A server with a certificate of its own making. Its thread ends with the test process.
struct TlsServer {
    address: SocketAddr,
    certificate: String,
    connections: Arc<AtomicUsize>,
}

impl TlsServer {
    fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let chain = vec![made.cert.der().clone()];
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(
            rustls::crypto::aws_lc_rs::default_provider().into(),
        )
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.unwrap())
        .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&connections);
        thread::spawn(move || {
            for mut socket in listener.incoming().map_while(Result::ok) {
                seen.fetch_add(1, Ordering::SeqCst);
                let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = Stream::new(&mut tls, &mut socket);
                if stream.read(&mut [0; 4096]).is_ok() {
                    let answer = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\n\
                                  content-length: 14\r\nconnection: close\r\n\r\n{\"valid\":true}";
                    let _ = stream.write_all(answer.as_bytes());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        Self { address, certificate: made.cert.pem(), connections }
    }
}

#[tokio::test]
async fn a_rejected_certificate_is_tried_once_and_called_so() {
    let server = TlsServer::start();
    let url = format!("https://localhost:{}", server.address.port());
    let client = AsyncEsperClient::new(config(&url)).unwrap();
    let error = client.verify_challenge("token", "1").await.unwrap_err();
    assert!(matches!(error, EsperError::Connection { permanent: true, .. }), "{error:?}");
    assert!(error.to_string().contains("certificate was rejected"), "{error}");
    assert!(!error.is_retryable());
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_rejected_even_if_it_is_trusted() {
    let server = TlsServer::start();
    let url = format!("https://127.0.0.1:{}", server.address.port());
    let config = config(&url).with_root_certificate(server.certificate.clone());
    let client = AsyncEsperClient::new(config).unwrap();
    let error = client.verify_challenge("token", "1").await.unwrap_err();
    assert!(matches!(error, EsperError::Connection { permanent: true, .. }), "{error:?}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_certificate_of_ones_own_can_be_trusted() {
    let server = TlsServer::start();
    let url = format!("https://localhost:{}", server.address.port());
    let config = config(&url).with_root_certificate(server.certificate.clone());
    let client = AsyncEsperClient::new(config).unwrap();
    assert!(client.verify_challenge("token", "1").await.unwrap());
}
