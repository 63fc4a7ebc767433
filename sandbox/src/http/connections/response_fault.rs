//! Faults of a response on its way: silence, resets and truncated bodies.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderValue, Version};
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::watch;

use super::call::Call;
use super::state::ConnectionState;

/// What becomes of an answer, noted in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseFault {
    /// It is never sent.
    Silence,
    /// A reset is sent instead.
    Reset,
    /// Half of its body is sent, then a reset.
    ResetInBody,
    /// Half of its body is sent, then comes the end.
    Truncated,
}

impl ResponseFault {
    pub(crate) fn mark(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }

    /// Whether the caller sees so much as a status.
    pub(crate) fn shows_status(self) -> bool {
        matches!(self, Self::ResetInBody | Self::Truncated)
    }

    /// Does it to the answer. An error ends the connection, or on HTTP/2 resets the stream.
    pub(super) async fn apply(
        self,
        response: Response,
        call: Arc<Call>,
        version: Version,
        mut stopping: watch::Receiver<bool>,
    ) -> io::Result<Response> {
        match self {
            Self::Silence => {
                // Whoever goes away meanwhile takes this future along.
                let _ = stopping.wait_for(|stopping| *stopping).await;
                Err(injected())
            }
            Self::Reset => {
                if version < Version::HTTP_2 {
                    call.connection.reset();
                }
                Err(injected())
            }
            Self::ResetInBody | Self::Truncated => half(self, response, call, version).await,
        }
    }
}

async fn half(
    fault: ResponseFault,
    response: Response,
    call: Arc<Call>,
    version: Version,
) -> io::Result<Response> {
    let (mut parts, body) = response.into_parts();
    let mut whole = body.collect().await.map_err(|_| injected())?.to_bytes();
    // Of an empty body nothing can be missing, so that it pretends to have one byte.
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len().max(1)));
    let end = match (fault, version < Version::HTTP_2) {
        (ResponseFault::Truncated, false) => End::Well,
        (ResponseFault::Truncated, true) => End::Close,
        (_, false) => End::ResetStream,
        (_, true) => End::ResetConnection,
    };
    let sent = Box::pin(call.connection.next_sent());
    let half = Half {
        data: Some(whole.split_to(whole.len() / 2)).filter(|half| !half.is_empty()),
        sent,
        connection: Arc::clone(&call.connection),
        end,
    };
    Ok(Response::from_parts(parts, call.with_response(half)))
}

/// The first half of a body, and an end to it once that was sent.
struct Half {
    data: Option<Bytes>,
    sent: Pin<Box<dyn Future<Output = ()> + Send>>,
    connection: Arc<ConnectionState>,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    /// As if that had been all, which on HTTP/2 is what a truncated body looks like.
    Well,
    Close,
    ResetStream,
    ResetConnection,
}

impl HttpBody for Half {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let half = self.get_mut();
        if let Some(data) = half.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if matches!(half.end, End::Well) {
            return Poll::Ready(None);
        }
        // To end the connection before would take along what is on its way.
        ready!(half.sent.as_mut().poll(cx));
        if matches!(half.end, End::ResetConnection) {
            half.connection.reset();
        }
        Poll::Ready(Some(Err(injected())))
    }
}

fn injected() -> io::Error {
    io::Error::other("a fault that was asked for")
}
