//! Reads the whole answer within its attempt, up to a limit.
//!
//! A body that breaks is then a failed attempt like any other, and no decision is ever made from
//! a part of one.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use reqwest::{Response, ResponseBuilderExt};
use serde::de::IgnoredAny;
use tokio::time::timeout;

/// Reads an answer's body. Unless it `has_meaning`, it is read for a moment only, and may break.
///
/// # Errors
///
/// Fails when the body of a success breaks. An error's status and headers say what to do without its
/// body, which is waited for no longer than a second.
pub(super) async fn read(mut response: Response, has_meaning: bool) -> reqwest::Result<Response> {
    let success = response.status().is_success();
    if success && !has_meaning {
        // It is read only so that the connection can be used again.
        let body = timeout(DRAIN, whole(&mut response)).await;
        return Ok(rebuilt(response, body.ok().and_then(reqwest::Result::ok).flatten()));
    }
    if is_compressed(response.headers()) {
        return Ok(unread(response, Unread::Compressed));
    }
    let json = is_json(response.headers().get(CONTENT_TYPE));
    let length = length(&response);
    let whole = whole(&mut response);
    let body = if success {
        whole.await
    } else {
        timeout(EXPLANATION, whole).await.unwrap_or_else(|_| Ok(Some(Bytes::new())))
    };
    match body {
        Ok(None) => Ok(unread(response, Unread::TooLong)),
        Ok(Some(_)) if success && !json => Ok(unread(response, Unread::NotJson)),
        Ok(Some(body)) if success && is_cut_off(&body, length) => {
            let url = response.url().clone();
            // An error of reqwest's kind is made by reqwest alone.
            match rebuilt(response, Some(body)).json::<IgnoredAny>().await {
                Ok(_) => unreachable!("its JSON has no end"),
                Err(error) => Err(error.with_url(url)),
            }
        }
        Ok(body) => Ok(rebuilt(response, body)),
        // Unlike that of a request, such an error does not know whose it is.
        Err(error) if success => Err(error.with_url(response.url().clone())),
        Err(_) => Ok(rebuilt(response, None)),
    }
}

/// Marks an answer whose body was thrown away, with the reason.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unread {
    /// It is not Esper's: a captive portal, a proxy.
    NotJson,
    /// It went past [`LIMIT`].
    TooLong,
    /// It is compressed: nobody asked for that, and a little of it can become a lot.
    Compressed,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("its content type is not JSON"),
            Self::TooLong => write!(f, "its body has more than {LIMIT} bytes"),
            Self::Compressed => f.write_str("its body is compressed, which was not asked for"),
        }
    }
}

/// Reads to the end, or gives up where it is too far away.
async fn whole(response: &mut Response) -> reqwest::Result<Option<Bytes>> {
    if response.content_length() > Some(LIMIT as u64) {
        return Ok(None);
    }
    // Most answers are one chunk, which is then not copied.
    let Some(first) = response.chunk().await? else { return Ok(Some(Bytes::new())) };
    let Some(second) = response.chunk().await? else {
        return Ok((first.len() <= LIMIT).then_some(first));
    };
    let mut body = BytesMut::from(first);
    body.extend_from_slice(&second);
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LIMIT {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body.len() <= LIMIT).then(|| body.freeze()))
}

/// What is known of the end of a body, before it is read.
#[derive(Clone, Copy)]
enum Length {
    Bytes(u64),
    /// It has an end that shows where it is missing.
    Chunks,
    Unknown,
}

fn length(response: &Response) -> Length {
    match response.content_length() {
        Some(bytes) => Length::Bytes(bytes),
        None if response.headers().contains_key(TRANSFER_ENCODING) => Length::Chunks,
        None => Length::Unknown,
    }
}

/// Whether a body ends in the middle as if all was well. One of unknown length can do so over
/// HTTP/1, and any over HTTP/2, where hyper takes a stream that is cancelled for one that has ended.
fn is_cut_off(body: &[u8], length: Length) -> bool {
    let may_be = match length {
        Length::Bytes(bytes) => (body.len() as u64) < bytes,
        Length::Chunks => false,
        Length::Unknown => !body.is_empty(),
    };
    may_be && serde_json::from_slice::<IgnoredAny>(body).is_err_and(|error| error.is_eof())
}

/// Whether a body would have to be decoded, whatever way the answer names.
fn is_compressed(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| {
        let coding = coding.trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    })
}

/// `application/json`, or a type with the suffix `+json`, whatever its parameters.
fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = text.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let (_, suffix) = essence.split_at(essence.len().saturating_sub(b"+json".len()));
    essence.eq_ignore_ascii_case(b"application/json") || suffix.eq_ignore_ascii_case(b"+json")
}

fn unread(response: Response, why: Unread) -> Response {
    let mut response = rebuilt(response, None);
    response.extensions_mut().insert(why);
    response
}

/// The same answer with its body in memory. Dropping the rest of the old one ends its connection.
///
/// Only an error's headers are looked at later, so that no others are kept.
fn rebuilt(mut response: Response, body: Option<Bytes>) -> Response {
    let mut parts = http::Response::builder().status(response.status()).version(response.version());
    if let Some(extensions) = parts.extensions_mut() {
        // Those of the old one, so that none have to be allocated.
        *extensions = std::mem::take(response.extensions_mut());
    }
    // Without a URL of its own, reqwest would parse one that it makes up.
    let parts = parts.url(response.url().clone());
    let mut rebuilt = parts.body(body.unwrap_or_default()).expect("its parts are those of another");
    if !response.status().is_success() {
        *rebuilt.headers_mut() = std::mem::take(response.headers_mut());
    }
    rebuilt.into()
}

/// The largest body of an answer, in bytes.
const LIMIT: usize = 1024 * 1024;
/// How long the words of an error may take after its head.
const EXPLANATION: Duration = Duration::from_secs(1);
/// How long a body without a meaning may take.
const DRAIN: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_json_content_type_is_read_as_json() {
        for text in
            ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"]
        {
            assert!(is_json(Some(&HeaderValue::from_static(text))), "{text}");
        }
        for text in ["text/html", "text/plain", "application/jsonp", "text/x+json+y", "+", ""] {
            assert!(!is_json(Some(&HeaderValue::from_static(text))), "{text}");
        }
        assert!(!is_json(None));
    }

    #[test]
    fn a_body_is_compressed_unless_its_codings_are_none() {
        let is_compressed = |values: &[&'static str]| {
            let values = values.iter().map(|text| HeaderValue::from_static(text));
            is_compressed(&values.map(|value| (CONTENT_ENCODING, value)).collect())
        };
        for none in [&[][..], &[""], &["identity"], &["Identity , ", "identity"]] {
            assert!(!is_compressed(none), "{none:?}");
        }
        for some in [&["gzip"][..], &["br"], &["identity, zstd"], &["identity", "X-GZIP"]] {
            assert!(is_compressed(some), "{some:?}");
        }
    }
}
