//! A server that speaks TLS with a certificate of its own making.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CustomExtension, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// Its threads end with their connections; the listener's, with the test process.
pub(crate) struct TlsServer {
    port: u16,
    /// In PEM form, for those who are to trust it.
    pub(crate) certificate: String,
    connections: Arc<AtomicUsize>,
}

/// When a certificate is good.
#[derive(Clone, Copy)]
pub(crate) enum Validity {
    Now,
    LongAgo,
    NotYet,
    /// Not for a server, being that of a CA.
    Never,
    /// On a condition that nobody knows.
    Conditional,
}

impl TlsServer {
    /// Gives each connection, by its number from 0, to a function.
    pub(crate) fn start(
        validity: Validity,
        protocol: &[u8],
        serve: impl Fn(usize, TlsStream) + Send + Sync + 'static,
    ) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
        match validity {
            Validity::Now => {}
            Validity::LongAgo => {
                params.not_before = date_time_ymd(2001, 1, 1);
                params.not_after = date_time_ymd(2002, 1, 1);
            }
            Validity::NotYet => params.not_before = date_time_ymd(4000, 1, 1),
            Validity::Never => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Validity::Conditional => {
                let mut unknown = CustomExtension::from_oid_content(&[2, 999, 3], vec![5, 0]);
                unknown.set_criticality(true);
                params.custom_extensions.push(unknown);
            }
        }
        let certificate = params.self_signed(&key).expect("a certificate");
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let key = provider.key_provider.load_private_key(key).expect("a key to sign with");
        let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
        let mut config = ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            // Unlike a certificate of its own, it is not looked at before it is shown.
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![protocol.to_vec()];
        let config = Arc::new(config);

        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (seen, serve) = (Arc::clone(&connections), Arc::new(serve));
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let number = seen.fetch_add(1, Ordering::SeqCst);
                // Nothing that a test waits for takes longer.
                let _ = socket.set_read_timeout(Some(Duration::from_secs(10)));
                let tls = ServerConnection::new(Arc::clone(&config)).expect("a connection");
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(number, StreamOwned::new(tls, socket)));
            }
        });
        Self { port, certificate: certificate.pem(), connections }
    }

    /// A URL with a host, `localhost` being the one that the certificate is for.
    pub(crate) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}
