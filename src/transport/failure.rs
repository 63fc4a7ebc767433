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
        if has_untrusted_certificate(error) {
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
    } else if is_refused_by_proxy(error) {
        PROXY_WANTS_CREDENTIALS
    } else if refused == Some(io::ErrorKind::ConnectionRefused) {
        "the connection was refused, there or by a proxy on the way"
    } else {
        "there was no connection, or a proxy on the way made none"
    }
}

/// Whether a proxy answered 407 where a tunnel was asked for.
fn is_refused_by_proxy(error: &reqwest::Error) -> bool {
    // Its type is hyper-util's own.
    causes(error).any(|cause| cause.to_string().contains("proxy authorization required"))
}

fn has_untrusted_certificate(error: &reqwest::Error) -> bool {
    let cause = cause::<rustls::Error>(error);
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
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

/// A proxy answers 407, for a tunnel or in the place of the service.
pub(crate) const PROXY_WANTS_CREDENTIALS: &str =
    "a proxy on the way asks for credentials; set the right ones in its URL";
