//! What an attempt without an answer says about the next one.

use std::error::Error as StdError;
use std::io;
use std::iter;

/// What is known about a request that got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The service said that it did not look at it.
    NotProcessed,
    /// No connection was made, so nothing was sent.
    NotConnected,
    /// No connection was made, because the certificate was rejected; it will be no better.
    UntrustedCertificate,
    /// It may have been processed.
    Unknown,
}

impl Failure {
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        if untrusted_certificate(error).is_some() {
            Self::UntrustedCertificate
        } else if error.is_connect() {
            Self::NotConnected
        } else if is_not_processed(error) {
            Self::NotProcessed
        } else {
            Self::Unknown
        }
    }
}

/// Why no connection was made. Behind a proxy, nothing tells whether it was to the proxy.
pub(crate) fn what_kept_from_connecting(error: &reqwest::Error) -> &'static str {
    let refused = cause::<io::Error>(error).map(io::Error::kind);
    if error.is_dns() {
        "a name does not resolve, its own or that of a proxy on the way"
    } else if says(error, "proxy authorization required") {
        PROXY_WANTS_CREDENTIALS
    } else if says(error, "tunnel error: unsuccessful") {
        "a proxy on the way made no connection; see whether it allows and reaches this host"
    } else if says(error, "unsupported scheme") {
        "the environment names a proxy that is not http or https, such as one of socks5"
    } else if refused == Some(io::ErrorKind::ConnectionRefused) {
        "the connection was refused, there or by a proxy on the way"
    } else if let Some(error) = cause::<rustls::Error>(error) {
        match error {
            rustls::Error::InvalidMessage(_) => NO_TLS,
            _ => "TLS was not agreed on, there or with a proxy on the way",
        }
    } else {
        "there was no connection, or a proxy on the way made none"
    }
}

/// What is wrong with a certificate, by the kinds that are mended in different ways.
pub(crate) fn why_the_certificate_was_rejected(error: &reqwest::Error) -> &'static str {
    use rustls::CertificateError as Kind;
    match untrusted_certificate(error) {
        Some(Kind::UnknownIssuer) => {
            "the certificate was rejected, as nobody who is trusted has issued it; \
             EsperConfig::with_root_certificate can trust your own"
        }
        Some(Kind::Expired | Kind::ExpiredContext { .. }) => {
            "the certificate was rejected, as it has expired by the clock of this machine"
        }
        Some(Kind::NotValidYet | Kind::NotValidYetContext { .. }) => {
            "the certificate was rejected, as it is not valid yet by the clock of this machine"
        }
        Some(Kind::NotValidForName | Kind::NotValidForNameContext { .. }) => {
            "the certificate was rejected, as it is for another host; check the host of the URL"
        }
        // Its type is webpki's own.
        Some(Kind::Other(other)) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the certificate was rejected, as it is that of a CA; make one for the server, with \
             basicConstraints=CA:FALSE"
        }
        _ => "the certificate was rejected; EsperConfig::with_root_certificate can trust your own",
    }
}

/// Whether a cause of an error, whose type is hyper-util's own, says so.
fn says(error: &reqwest::Error, what: &str) -> bool {
    causes(error).any(|cause| cause.to_string().contains(what))
}

fn untrusted_certificate(error: &reqwest::Error) -> Option<&rustls::CertificateError> {
    match cause::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(what)) => Some(what),
        _ => None,
    }
}

/// The two ways of HTTP/2 to say so: a connection that ends in good order before it came to this
/// stream, and a stream that is refused. Where an answer has begun, it is not true.
fn is_not_processed(error: &reqwest::Error) -> bool {
    let has_begun = error.is_decode();
    !has_begun
        && cause::<h2::Error>(error).is_some_and(|error| {
            let ended = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            error.is_remote() && (ended || refused)
        })
}

/// The first error of a type on the way to the root.
fn cause<E: StdError + 'static>(error: &reqwest::Error) -> Option<&E> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// An error with all that caused it.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    iter::successors(Some(first), |error| source(*error))
}

fn source<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    // `io::Error` hides the error that it holds from `source`.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => Some(held),
        None => error.source(),
    }
}

/// As of a server that speaks plain http.
const NO_TLS: &str = "what answers does not speak TLS, there or as a proxy on the way; check the \
                      scheme and the port of its URL";
/// A proxy answers 407, for a tunnel or in the place of the service.
pub(crate) const PROXY_WANTS_CREDENTIALS: &str =
    "a proxy on the way asks for credentials; set the right ones in its URL";
