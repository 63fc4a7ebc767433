//! Reads the whole answer within its attempt, up to a limit.
//!
//! A body that breaks is then a failed attempt like any other, and no decision is ever made from
//! a part of one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Extensions;
use reqwest::{Request, Response, ResponseBuilderExt};
use reqwest_middleware::{Middleware, Next, Result};
use tokio::time::timeout;

use super::Passing;

/// The innermost middleware.
pub(super) struct Whole;

/// Marks an answer whose body went past [`LIMIT`] and was thrown away.
#[derive(Clone, Debug)]
pub(super) struct TooLong;

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
        let read = if success && !has_meaning {
            // It has no meaning, and is read only so that the connection can be used again.
            let read = timeout(DRAIN, read(&mut response)).await;
            return Ok(with_body(response, read.ok().and_then(reqwest::Result::ok).flatten()));
        } else {
            read(&mut response).await
        };
        match read {
            Ok(None) => {
                response.extensions_mut().insert(TooLong);
                Ok(with_body(response, None))
            }
            Ok(body) => Ok(with_body(response, body)),
            Err(error) if success => Err(error.into()),
            // The status says what went wrong, and its headers when to try again.
            Err(_) => Ok(with_body(response, None)),
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
pub(super) const LIMIT: usize = 1024 * 1024;
/// How long a body without a meaning may take.
const DRAIN: Duration = Duration::from_millis(250);
