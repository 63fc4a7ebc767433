//! The reqwest clients under the stack, built so that a key stays where it belongs.

use std::time::Duration;

use reqwest::{Certificate, Client, NoProxy, Proxy, redirect, retry};
use secrecy::ExposeSecret;

use crate::config::is_loopback;
use crate::operation::Server;
use crate::{EsperConfig, EsperError};

/// A client for each server; one, where both are reached in the same way.
pub(super) struct Clients {
    api: Client,
    beacon: Client,
}

/// How a server is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    /// Past all proxies.
    direct: bool,
    /// With the certificates of the operating system, which are loaded only where they are used.
    tls: bool,
}

impl Clients {
    pub(super) fn new(config: &EsperConfig) -> Result<Self, EsperError> {
        let way = |server| {
            let url = config.base_url(server)?;
            Ok::<_, EsperError>(Way { direct: is_loopback(&url), tls: url.scheme() == "https" })
        };
        let (to_api, to_beacon) = (way(Server::Api)?, way(Server::Beacon)?);
        let api = client(config, to_api)?;
        let beacon = if to_api == to_beacon { api.clone() } else { client(config, to_beacon)? };
        Ok(Self { api, beacon })
    }

    pub(super) fn of(&self, server: Server) -> Client {
        match server {
            Server::Api => self.api.clone(),
            Server::Beacon => self.beacon.clone(),
        }
    }
}

fn client(config: &EsperConfig, way: Way) -> Result<Client, EsperError> {
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .referer(false)
        // Repetitions are counted in one place, which is not this one.
        .retry(retry::never())
        .connect_timeout((config.attempt_timeout.min(config.timeout) / 2).min(CONNECT_TIMEOUT))
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        // Finds a connection whose other end is gone without a word.
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true);

    let certificates = certificates(config)?;
    builder = match way.tls {
        true => builder.tls_certs_merge(certificates),
        false => builder.tls_certs_only(certificates),
    };
    if way.direct {
        builder = builder.no_proxy();
    } else if let Some(proxy) = &config.proxy {
        builder = builder.proxy(self::proxy(proxy.expose_secret())?);
    }
    builder.build().map_err(|error| EsperError::Connection {
        message: "the host's certificates or TLS settings do not allow a client",
        permanent: true,
        attempts: 0,
        elapsed: Duration::ZERO,
        source: error.into(),
    })
}

fn certificates(config: &EsperConfig) -> Result<Vec<Certificate>, EsperError> {
    let mut certificates = Vec::new();
    for pem in &config.root_certificates {
        let bundle = Certificate::from_pem_bundle(pem).unwrap_or_default();
        if bundle.is_empty() {
            let message = "root_certificate holds no certificate in PEM form";
            return Err(EsperError::validation("root_certificate", message.to_owned()));
        }
        certificates.extend(bundle);
    }
    Ok(certificates)
}

/// The proxy, without its text in the error: it may hold a password.
fn proxy(url: &str) -> Result<Proxy, EsperError> {
    let proxy = Proxy::all(url).map_err(|_| {
        let message = "proxy is not a URL; it looks like http://host:port";
        EsperError::validation("proxy", message.to_owned())
    })?;
    Ok(proxy.no_proxy(NoProxy::from_string("localhost,127.0.0.0/8,::1")))
}

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
/// An attempt has at least half of its time left when there is a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Below what servers use, so that a pooled connection is rarely one they have closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
