//! One request, from its head to the end of its answer, as its connection knows of it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::Notify;

use super::state::ConnectionState;

/// A request that is not answered in whole. It is over when this is dropped.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) connection: Arc<ConnectionState>,
    /// Whether the request has arrived in whole.
    received: AtomicBool,
    /// Told when it is over.
    freed: Arc<Notify>,
}

/// A body, and who has to know when it is over.
struct Followed<B, G> {
    body: B,
    _guard: G,
}

/// Tells that a request has arrived in whole, when it is dropped with the request's body.
struct Receiving(Arc<Call>);

impl Call {
    pub(super) fn begin(connection: &Arc<ConnectionState>, freed: Arc<Notify>) -> Arc<Self> {
        connection.begin();
        Arc::new(Self {
            connection: Arc::clone(connection),
            received: AtomicBool::new(false),
            freed,
        })
    }

    pub(super) fn with_request(self: &Arc<Self>, body: Incoming) -> Body {
        Body::new(Followed { body, _guard: Receiving(Arc::clone(self)) })
    }

    pub(super) fn with_response<B>(self: Arc<Self>, body: B) -> Body
    where
        B: HttpBody<Data = axum::body::Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        Body::new(Followed { body, _guard: self })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.connection.end(*self.received.get_mut());
        self.freed.notify_one();
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if !self.0.received.swap(true, Ordering::Relaxed) {
            self.0.connection.received();
        }
    }
}

impl<B: HttpBody + Unpin, G: Unpin> HttpBody for Followed<B, G> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
