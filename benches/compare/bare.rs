//! hyper by hand: a connection, a request, the bytes of the answer, and serde_json.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::server::{Protocol, Server};
use crate::support::{KEY, Outcome};

/// One connection, on which the requests of one caller pass; over HTTP/2, those of all.
pub(crate) struct Hyper {
    sender: Sender,
    /// Its scheme and authority too, over HTTP/2.
    base: String,
    host: HeaderValue,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Hyper {
    pub(crate) async fn connect(server: &Server, protocol: Protocol) -> Outcome<Self> {
        let url = server.url(protocol);
        let authority = url.split("//").nth(1).ok_or("a URL without a host")?.to_owned();
        let stream = TcpStream::connect(server.addr(protocol)).await?;
        stream.set_nodelay(true)?;
        let host = HeaderValue::from_str(&authority)?;
        Ok(match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Self { sender: Sender::Http1(sender), base: String::new(), host }
            }
            Protocol::Http2 => {
                let name = ServerName::try_from("localhost")?;
                let stream = connector(&server.certificate)?.connect(name, stream).await?;
                let (sender, connection) =
                    http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Self { sender: Sender::Http2(sender), base: url, host }
            }
        })
    }

    /// The same connection for another caller, where it can have several.
    pub(crate) fn shared(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self {
                sender: Sender::Http2(sender.clone()),
                base: self.base.clone(),
                host: self.host.clone(),
            }),
        }
    }

    pub(crate) async fn post(&mut self, path: &str, body: &impl Serialize) -> Outcome<Bytes> {
        let request = Request::post(format!("{}{path}", self.base))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        let request = match path {
            "/v1/events" => request.header("x-esper-key", KEY),
            _ => request.header(AUTHORIZATION, format!("Bearer {KEY}")),
        };
        let body = Full::new(Bytes::from(serde_json::to_vec(body)?));
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request.header(HOST, &self.host).body(body)?).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request.version(Version::HTTP_2).body(body)?).await?
            }
        };
        whole(response).await
    }
}

async fn whole(response: Response<Incoming>) -> Outcome<Bytes> {
    if !response.status().is_success() {
        return Err(response.status().to_string().into());
    }
    Ok(response.into_body().collect().await?.to_bytes())
}

fn connector(certificate: &str) -> Outcome<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes())?)?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
