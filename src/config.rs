//! The options that every SDK of the family has, with the same defaults.

use std::borrow::Cow;
use std::env;
use std::fmt;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

use crate::EsperError;
use crate::beacons::BeaconOptions;
use crate::generated::options;
use crate::key::ApiKey;
use crate::operation::Server;
use crate::server_url::{self, is_loopback};

/// How a client reaches Esper and how long it tries.
///
/// Options are checked when a client is made of them, by [`EsperClient::new`] or
/// [`AsyncEsperClient::new`].
///
/// ```
/// use std::time::Duration;
/// use esper_rs_client::EsperConfig;
///
/// let config = EsperConfig::new("your-api-key")
///     .with_timeout(Duration::from_secs(2))
///     .with_max_retries(1);
/// ```
///
/// [`AsyncEsperClient::new`]: crate::AsyncEsperClient::new
#[cfg_attr(feature = "blocking", doc = "[`EsperClient::new`]: crate::EsperClient::new")]
#[cfg_attr(not(feature = "blocking"), doc = "[`EsperClient::new`]: crate#features")]
#[derive(Clone)]
#[must_use = "a configuration does nothing until a client is made of it"]
pub struct EsperConfig {
    pub(crate) key: ApiKey,
    pub(crate) api_url: String,
    pub(crate) beacon_url: String,
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) max_retries: u32,
    pub(crate) retry_delay: Duration,
    pub(crate) plain_http: PlainHttp,
    pub(crate) root_certificates: Vec<Vec<u8>>,
    pub(crate) proxy: Option<SecretString>,
    pub(crate) beacons: BeaconOptions,
}

/// Which hosts may be spoken to without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainHttp {
    Loopback,
    Anywhere,
}

impl EsperConfig {
    /// Begins with an API key and the family's defaults.
    ///
    /// The memory of the key and of the headers made of it is wiped when the last configuration
    /// and client that hold it are dropped. The buffers through which requests pass are not
    /// wiped, nor is what the key was read from.
    pub fn new(api_key: impl Into<String>) -> Self {
        Self {
            key: ApiKey::new(api_key.into()),
            api_url: Server::Api.default_url().to_owned(),
            beacon_url: Server::Beacon.default_url().to_owned(),
            timeout: options::TIMEOUT,
            attempt_timeout: options::ATTEMPT_TIMEOUT,
            max_retries: options::MAX_RETRIES,
            retry_delay: options::RETRY_DELAY,
            plain_http: PlainHttp::Loopback,
            root_certificates: Vec::new(),
            proxy: None,
            beacons: BeaconOptions::default(),
        }
    }

    /// Reads `ESPER_API_KEY` and, where they are set, `ESPER_API_URL` and `ESPER_BEACON_URL`.
    ///
    /// # Errors
    ///
    /// Fails when the key is not set, when only one of the two URLs is (so that a test against
    /// another server never sends its events to the real one), or when one of them is not UTF-8.
    /// A variable that is set to nothing counts as not set.
    pub fn from_env() -> Result<Self, EsperError> {
        Self::from_variables(|name| match env::var(name) {
            Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8")),
        })
    }

    fn from_variables(
        read: impl Fn(&'static str) -> Result<Option<String>, String>,
    ) -> Result<Self, EsperError> {
        let option = |field: &'static str, variable: &'static str| {
            read(variable).map_err(|message| EsperError::validation(field, message))
        };
        let key = option("api_key", options::API_KEY_VARIABLE)?.unwrap_or_default();
        let config = Self::new(key);
        config.key.check()?;

        let api = option("api_url", options::API_URL_VARIABLE)?;
        let beacon = option("beacon_url", options::BEACON_URL_VARIABLE)?;
        match (api, beacon) {
            (None, None) => Ok(config),
            (Some(api), Some(beacon)) => Ok(config.with_api_url(api).with_beacon_url(beacon)),
            (Some(_), None) => Err(other_url_missing("beacon_url", options::BEACON_URL_VARIABLE)),
            (None, Some(_)) => Err(other_url_missing("api_url", options::API_URL_VARIABLE)),
        }
    }

    /// Sets the base URL for decisions, verifications and usage; `https://api.esperr.com` unless
    /// set.
    ///
    /// It is https, or http to `localhost` or a loopback address. The paths of the API, such as
    /// `/v1/mitigate`, are added to it.
    pub fn with_api_url(mut self, url: impl Into<String>) -> Self {
        self.api_url = url.into();
        self
    }

    /// Sets the base URL for beacon events; `https://beacon.esperr.com` unless set.
    ///
    /// It is https, or http to `localhost` or a loopback address. The path of the API, `/v1/events`,
    /// is added to it.
    pub fn with_beacon_url(mut self, url: impl Into<String>) -> Self {
        self.beacon_url = url.into();
        self
    }

    /// Sets the longest that a call may take, with its retries and waits; 30 s unless set. Zero is
    /// refused.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the longest that one attempt of a call may take; 10 s unless set. Zero is refused.
    ///
    /// An attempt also ends with the time of its call.
    pub fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Sets how often a call is repeated at most, beyond its first attempt; 3 unless set.
    ///
    /// A verification is repeated only when the service certainly did not process it.
    pub fn with_max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// Sets the longest wait before the first retry; 1 s unless set.
    ///
    /// The longest wait doubles with each further retry, to at most 60 s. Each wait is drawn
    /// uniformly between half of this delay and the longest at the time: with 1 s, from 0.5 to 1 s,
    /// then to 2 s, then to 4 s. A delay beyond 60 s counts as 60 s. A `Retry-After` of the service
    /// can make a wait longer.
    pub fn with_retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = delay;
        self
    }

    /// Allows plain http to hosts other than this machine, which shows the key to everyone on the
    /// way.
    pub fn with_plain_http_allowed(mut self) -> Self {
        self.plain_http = PlainHttp::Anywhere;
        self
    }

    /// Trusts the certificates of a PEM file in addition to those of the operating system.
    ///
    /// Takes what is in the file, as `std::fs::read` returns it, and not its name.
    pub fn with_root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// Sends everything but loopback traffic through a proxy, with an http or https URL such as
    /// `http://user:password@proxy.example:3128`.
    ///
    /// Without it, the proxy variables of the environment (`HTTPS_PROXY`, `NO_PROXY`, …) apply,
    /// to all but loopback traffic; one of them that names no http or https proxy is passed over.
    pub fn with_proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into().into());
        self
    }

    /// The base URL of a server, if it is one that a key may be sent to.
    pub(crate) fn base_url(&self, server: Server) -> Result<Url, EsperError> {
        let (field, text) = match server {
            Server::Api => ("api_url", &self.api_url),
            Server::Beacon => ("beacon_url", &self.beacon_url),
        };
        let refuse = |what: &str| EsperError::validation(field, format!("{field} {what}"));
        let url = server_url::parse(text).map_err(refuse)?;
        if url.scheme() == "http" && self.plain_http == PlainHttp::Loopback && !is_loopback(&url) {
            return Err(refuse(
                "is plain http, which shows the key to everyone on the way; use https, or \
                 EsperConfig::with_plain_http_allowed",
            ));
        }
        Ok(url)
    }

    /// A URL for people to see. What does not belong there may be a secret, and is refused only
    /// later.
    fn shown<'a>(&self, url: &'a str) -> Cow<'a, str> {
        match server_url::parse(url) {
            Ok(_) => self.key.redacted(url),
            Err(_) => "[redacted]".into(),
        }
    }
}

impl fmt::Debug for EsperConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EsperConfig")
            .field("api_key", &self.key)
            .field("api_url", &self.shown(&self.api_url))
            .field("beacon_url", &self.shown(&self.beacon_url))
            .field("timeout", &self.timeout)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("max_retries", &self.max_retries)
            .field("retry_delay", &self.retry_delay)
            .field("plain_http", &self.plain_http)
            .field("root_certificates", &self.root_certificates.len())
            .field("proxy", &self.proxy.as_ref().map(|_| "[redacted]"))
            .field("beacons", &self.beacons)
            .finish()
    }
}

fn other_url_missing(field: &'static str, variable: &str) -> EsperError {
    let message = format!(
        "{variable} is not set while the other URL is; set both, so that nothing goes to the real \
         service by accident"
    );
    EsperError::validation(field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<EsperConfig, EsperError> {
        EsperConfig::from_variables(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        })
    }

    fn field(error: &EsperError) -> &'static str {
        match error {
            EsperError::Validation { field, .. } => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_family() {
        let config = EsperConfig::new("key");
        assert_eq!(config.api_url, "https://api.esperr.com");
        assert_eq!(config.beacon_url, "https://beacon.esperr.com");
        assert_eq!(config.timeout, Duration::from_secs(30));
        assert_eq!(config.attempt_timeout, Duration::from_secs(10));
        assert_eq!(config.max_retries, 3);
        assert_eq!(config.retry_delay, Duration::from_secs(1));
        assert_eq!(options::MAX_RETRY_DELAY, Duration::from_secs(60));
    }

    #[test]
    fn the_environment_gives_a_key_and_both_urls_or_neither() {
        let key = ("ESPER_API_KEY", "sk_test");
        let (api, beacon) = (("ESPER_API_URL", "http://a"), ("ESPER_BEACON_URL", "http://b"));
        assert_eq!(from(&[key]).unwrap().api_url, "https://api.esperr.com");
        let both = from(&[key, api, beacon]).unwrap();
        assert_eq!((both.api_url.as_str(), both.beacon_url.as_str()), ("http://a", "http://b"));
        assert_eq!(field(&from(&[key, api]).unwrap_err()), "beacon_url");
        assert_eq!(field(&from(&[key, beacon]).unwrap_err()), "api_url");
        assert_eq!(field(&from(&[api, beacon]).unwrap_err()), "api_key");
    }

    #[test]
    fn a_url_that_a_key_must_not_be_sent_to_is_refused() {
        let refused = [
            "",
            "api.example",
            "ftp://a.example",
            "file:///etc/hosts",
            "http://a.example",
            "http://10.0.0.1",
            "https://user:pass@a.example",
            "https://user@a.example",
            "https://:pass@a.example",
            "https://a.example/?x=1",
            "https://a.example/#x",
            "http://localhost.example",
            "http://127.0.0.1.example",
        ];
        for url in refused {
            let config = EsperConfig::new("key").with_api_url(url);
            assert_eq!(field(&config.base_url(Server::Api).unwrap_err()), "api_url", "{url}");
        }
        for url in
            ["https://a.example/base", "http://127.8.9.1:1", "http://[::1]:1", "http://localhost"]
        {
            let config = EsperConfig::new("key").with_beacon_url(url);
            assert!(config.base_url(Server::Beacon).is_ok(), "{url}");
        }
        let config = EsperConfig::new("key").with_api_url("http://10.0.0.1");
        assert!(config.with_plain_http_allowed().base_url(Server::Api).is_ok());
    }

    #[test]
    fn debug_shows_neither_the_key_nor_the_proxys_password() {
        for url in [
            "https://u:sk_secret@a.example",
            "https://a.example/?key=sk_secret",
            "https://a.example/#sk_secret",
            "https://a.example/sk_secret",
            "sk_secret",
            "sk_secret:",
        ] {
            let config = EsperConfig::new("sk_secret")
                .with_api_url(url)
                .with_beacon_url(url)
                .with_proxy("http://user:sk_secret@proxy:1");
            assert!(!format!("{config:?}").contains("sk_secret"), "{config:?}");
        }
        // One that is not the configured key is a secret as well.
        let swapped = EsperConfig::new("https://a.example").with_api_url("sk_secret");
        assert!(!format!("{swapped:?}").contains("sk_secret"), "{swapped:?}");
    }
}
