//! Reads the whole answer within its attempt, up to a limit.
//!
//! A body that breaks is then a failed attempt like any other, and no decision is ever made from
//! a part of one.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Extensions;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use reqwest::{Request, Response, ResponseBuilderExt};
use reqwest_middleware::{Middleware, Next, Result};
use tokio::time::timeout;

use super::Passing;

/// The innermost middleware.
pub(super) struct Whole;

/// Marks an answer whose body was thrown away.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unread {
    /// It went past [`LIMIT`].
    TooLong,
    /// It is compressed: nobody asked for that, and a little of it can become a lot.
    Compressed,
}

#[async_trait::async_trait]
impl Middleware for Whole {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let passing = extensions.get::<Passing>().expect("transport.rs puts it there");
        let has_meaning = passing.operation.answers_with_json;
        let mut response = next.run(request, extensions).await?;
        let success = response.status().is_success();
        if success && !has_meaning {
            // It has no meaning, and is read only so that the connection can be used again.
            let read = timeout(DRAIN, read(&mut response)).await;
            return Ok(with_body(response, read.ok().and_then(reqwest::Result::ok).flatten()));
        }
        if is_compressed(response.headers()) {
            return Ok(without_body(response, Unread::Compressed));
        }
        match read(&mut response).await {
            Ok(None) => Ok(without_body(response, Unread::TooLong)),
            Ok(body) => Ok(with_body(response, body)),
            Err(error) if success => Err(error.into()),
            // The status says what went wrong, and its headers when to try again.
            Err(_) => Ok(with_body(response, None)),
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "its body has more than {LIMIT} bytes"),
            Self::Compressed => f.write_str("its body is compressed, which was not asked for"),
        }
    }
}

/// Reads to the end, or gives up where it is too far away.
async fn read(response: &mut Response) -> reqwest::Result<Option<Bytes>> {
    if response.content_length() > Some(LIMIT as u64) {
        return Ok(None);
    }
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

fn without_body(mut response: Response, why: Unread) -> Response {
    response.extensions_mut().insert(why);
    with_body(response, None)
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

/// The same answer with its body in memory. Dropping the rest of the old one ends its connection.
fn with_body(response: Response, body: Option<Bytes>) -> Response {
    // Without a URL of its own, reqwest would parse one that it makes up.
    let url =
        http::Response::builder().url(response.url().clone()).body(()).map(|of| of.into_parts().0);
    let (mut parts, _) = http::Response::<reqwest::Body>::from(response).into_parts();
    if let Ok(of) = url {
        parts.extensions.extend(of.extensions);
    }
    http::Response::from_parts(parts, body.unwrap_or_default()).into()
}

/// The largest body of an answer, in bytes.
const LIMIT: usize = 1024 * 1024;
/// How long a body without a meaning may take.
const DRAIN: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

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
