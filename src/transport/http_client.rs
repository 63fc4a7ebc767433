//! The reqwest clients under the stack, built so that a key stays where it belongs.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, Proxy, Url, redirect, retry};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::ExposeSecret;

use super::names::Names;
use crate::operation::Server;
use crate::server_url::is_loopback;
use crate::{EsperConfig, EsperError};

/// A client for each server, or the same for both where they are reached in the same way.
pub(super) struct Clients {
    api: Client,
    beacon: Client,
}

/// How a server is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ConnectionKind {
    /// Past all proxies.
    direct: bool,
    /// With the certificates of the operating system, which are loaded only where they are used: to
    /// the server, or to the proxy before it.
    tls: bool,
}

impl Clients {
    pub(super) fn new(config: &EsperConfig) -> Result<Self, EsperError> {
        let proxy = config.proxy.as_ref().map(|url| proxy(url.expose_secret())).transpose()?;
        let proxy = proxy.as_ref();
        let kind = |server| {
            let url = config.base_url(server)?;
            let direct = is_loopback(&url);
            let tls_to_proxy = !direct
                && proxy.map_or_else(environment_has_tls_proxy, |url| url.scheme() == "https");
            Ok::<_, EsperError>(ConnectionKind {
                direct,
                tls: url.scheme() == "https" || tls_to_proxy,
            })
        };
        let (to_api, to_beacon) = (kind(Server::Api)?, kind(Server::Beacon)?);
        let client = |kind| client(config, kind, proxy);
        let api = client(to_api)?;
        let beacon = if to_api == to_beacon { api.clone() } else { client(to_beacon)? };
        Ok(Self { api, beacon })
    }

    pub(super) fn of(&self, server: Server) -> Client {
        match server {
            Server::Api => self.api.clone(),
            Server::Beacon => self.beacon.clone(),
        }
    }
}

fn client(
    config: &EsperConfig,
    kind: ConnectionKind,
    proxy: Option<&Url>,
) -> Result<Client, EsperError> {
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .referer(false)
        // Also where another crate of the same build turns decompression on.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        // Repetitions are counted in one place, which is not this one. Unless their number is zero,
        // each request is copied for them.
        .retry(retry::never().max_retries_per_request(0))
        .connect_timeout((config.attempt_timeout.min(config.timeout) / 2).min(CONNECT_TIMEOUT))
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .dns_resolver(Arc::new(Names))
        // Finds a connection whose other end is gone without a word.
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true);

    let certificates = certificates(config)?;
    builder = if kind.tls {
        builder.tls_certs_merge(certificates)
    } else {
        builder.tls_certs_only(certificates)
    };
    builder = match proxy {
        _ if kind.direct => builder.no_proxy(),
        Some(url) => builder.proxy(Proxy::all(url.as_str()).map_err(|_| no_proxy())?),
        // That of the environment, if there is one.
        None => builder,
    };
    builder.build().map_err(|error| EsperError::unusable(NO_TLS, error))
}

fn certificates(config: &EsperConfig) -> Result<Vec<Certificate>, EsperError> {
    let mut certificates = Vec::new();
    for pem in &config.root_certificates {
        let bundle = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let bundle = bundle.unwrap_or_default();
        if bundle.is_empty() {
            return Err(no_certificate(
                "root_certificate holds no certificate in PEM form; pass the text of a file, not \
                 its name",
            ));
        }
        for der in bundle {
            // reqwest looks at it later, and its error does not tell whose it is.
            let certificate = Certificate::from_der(&der).ok();
            let certificate = certificate.filter(|_| RootCertStore::empty().add(der).is_ok());
            let damaged = || no_certificate("root_certificate holds a certificate that is damaged");
            certificates.push(certificate.ok_or_else(damaged)?);
        }
    }
    Ok(certificates)
}

fn no_certificate(message: &str) -> EsperError {
    EsperError::validation("root_certificate", message)
}

/// Whether the environment may have a proxy for plain http that speaks TLS.
fn environment_has_tls_proxy() -> bool {
    let https = |url: String| url.trim_start().to_ascii_lowercase().starts_with("https:");
    PLAIN_HTTP_PROXIES.iter().any(|name| env::var(name).is_ok_and(https))
}

/// The URL of the proxy.
fn proxy(text: &str) -> Result<Url, EsperError> {
    // Of another scheme, reqwest would make no proxy at all, and go past it.
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(no_proxy)
}

/// Without the text that is none: it may hold a password.
fn no_proxy() -> EsperError {
    let message = "proxy is not an http or https URL; it looks like http://host:port";
    EsperError::validation("proxy", message)
}

const NO_TLS: &str = "no https client can be made of this host's certificates and TLS settings; in a \
                      container, install the package ca-certificates";
/// The variables in which reqwest looks for one.
const PLAIN_HTTP_PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
/// An attempt of a client's own calls has at least half of its time left when there is a
/// connection. Those of a guard are shorter: a host that swallows everything is a timeout there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Below what servers use, so that a pooled connection is rarely one they have closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
