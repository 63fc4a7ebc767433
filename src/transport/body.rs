//! Reads the whole answer within its attempt, up to a limit.
//!
//! A body that breaks is then a failed attempt like any other, and no decision is ever made from
//! a part of one.

use bytes::BytesMut;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

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
        let mut response = next.run(request, extensions).await?;
        let announced = response.content_length().unwrap_or(0);
        let mut body = BytesMut::new();
        let mut too_long = announced > LIMIT as u64;
        while !too_long {
            let Some(chunk) = response.chunk().await? else { break };
            too_long = body.len() + chunk.len() > LIMIT;
            body.extend_from_slice(&chunk);
        }
        if too_long {
            response.extensions_mut().insert(TooLong);
            body.clear();
        }
        Ok(with_body(response, body))
    }
}

/// The same answer with its body in memory. Dropping the rest of the old one ends its connection.
fn with_body(response: Response, body: BytesMut) -> Response {
    let (parts, _) = http::Response::<reqwest::Body>::from(response).into_parts();
    http::Response::from_parts(parts, body.freeze()).into()
}

/// The largest body of an answer, in bytes.
pub(super) const LIMIT: usize = 1024 * 1024;
