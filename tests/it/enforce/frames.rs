//! A body that comes as a test says.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

/// Asks a function for each frame. One that is pending stays so.
pub(crate) struct Frames<F>(pub(crate) F);

impl<F: FnMut() -> Poll<Option<Frame<Bytes>>> + Unpin> Body for Frames<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0().map(|frame| frame.map(Ok))
    }
}
