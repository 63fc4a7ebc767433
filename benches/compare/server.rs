//! A server of hyper in a process of its own: HTTP/1 in the clear, HTTP/2 or HTTP/1 through TLS.

use std::env;
use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::Outcome;
use crate::support::process::Process;

/// A server that lets everybody pass, on one thread. It ends with this.
pub(crate) struct Server {
    process: Process,
    clear: SocketAddr,
    tls: SocketAddr,
    /// In PEM form, for those who are to trust it.
    pub(crate) certificate: String,
}

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// In the clear.
    Http1,
    /// Through TLS, agreed upon by ALPN.
    Http2,
}

impl Server {
    /// Starts the program that runs now once more, as a server.
    pub(crate) fn start() -> Outcome<Self> {
        let (process, mut output) = Process::again(&[SERVER])?;
        let mut line = String::new();
        output.read_line(&mut line)?;
        let (clear, tls) = line.trim().split_once(' ').ok_or("the server says no addresses")?;
        let (clear, tls) = (clear.parse()?, tls.parse()?);
        let mut certificate = String::new();
        while !certificate.contains("-----END") {
            if output.read_line(&mut certificate)? == 0 {
                return Err("the server says no certificate".into());
            }
        }
        Ok(Self { process, clear, tls, certificate })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn url(&self, protocol: Protocol) -> String {
        match protocol {
            Protocol::Http1 => format!("http://{}", self.clear),
            Protocol::Http2 => format!("https://localhost:{}", self.tls.port()),
        }
    }

    pub(crate) fn addr(&self, protocol: Protocol) -> SocketAddr {
        match protocol {
            Protocol::Http1 => self.clear,
            Protocol::Http2 => self.tls,
        }
    }

    /// How many connections there have been through TLS.
    pub(crate) fn connections(&self) -> Outcome<usize> {
        let mut stream = TcpStream::connect(self.clear)?;
        write!(stream, "GET {COUNT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.rsplit("\r\n\r\n").next().ok_or("no body")?.trim().parse()?)
    }
}

/// Serves for ever where this process is to be the server; returns false where it is not.
pub(crate) fn is_server() -> Outcome<bool> {
    if !env::args().any(|argument| argument == SERVER) {
        return Ok(false);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve())?;
    Ok(true)
}

async fn serve() -> Outcome<()> {
    let clear = TcpListener::bind("127.0.0.1:0").await?;
    let tls = TcpListener::bind("127.0.0.1:0").await?;
    let (acceptor, certificate) = acceptor()?;
    // Its last line is the end of the certificate: nobody reads on.
    print!("{} {}\n{certificate}", clear.local_addr()?, tls.local_addr()?);
    let connections = Arc::new(AtomicUsize::new(0));
    loop {
        tokio::select! {
            accepted = clear.accept() => {
                let stream = accepted?.0;
                stream.set_nodelay(true)?;
                tokio::spawn(answer_all(stream, Arc::clone(&connections)));
            }
            accepted = tls.accept() => {
                let stream = accepted?.0;
                stream.set_nodelay(true)?;
                connections.fetch_add(1, Ordering::Relaxed);
                let (handshake, connections) = (acceptor.accept(stream), Arc::clone(&connections));
                tokio::spawn(async move {
                    if let Ok(stream) = handshake.await {
                        answer_all(stream, connections).await;
                    }
                });
            }
        }
    }
}

async fn answer_all(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    connections: Arc<AtomicUsize>,
) {
    let service = service_fn(move |request| answer(request, connections.load(Ordering::Relaxed)));
    let server = auto::Builder::new(TokioExecutor::new());
    // A client that goes away in the middle is none of this server's business.
    drop(server.serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(
    request: Request<Incoming>,
    connections: usize,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = match request.uri().path() {
        COUNT => Bytes::from(connections.to_string()),
        _ => Bytes::from_static(ALLOW.as_bytes()),
    };
    request.into_body().collect().await?;
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn acceptor() -> Outcome<(TlsAcceptor, String)> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["localhost".to_owned()])?.self_signed(&key)?;
    let secret = PrivateKeyDer::try_from(key.serialize_der())?;
    let mut config =
        ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), certificate.pem()))
}

const SERVER: &str = "--server";
const COUNT: &str = "/connections";
const ALLOW: &str = r#"{"action":"allow","score":4.0,"metadata":{"policy":"none"}}"#;
