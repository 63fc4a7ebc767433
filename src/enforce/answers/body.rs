//! The body of an answer: the application's, or the layer's own.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

pin_project! {
    /// The body of an answer of [`Enforce`](crate::enforce::Enforce): that of the inner service, as it came,
    /// or a short one of the layer's own.
    pub struct EnforceBody<B> {
        #[pin]
        body: Kind<B>,
    }
}

pin_project! {
    #[project = Projected]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Own { #[pin] body: Full<Bytes> },
    }
}

impl<B> EnforceBody<B> {
    /// The answer of the inner service.
    pub(in crate::enforce) fn inner(response: Response<B>) -> Response<Self> {
        response.map(|body| Self { body: Kind::Inner { body } })
    }

    /// An answer of the layer's own.
    pub(in crate::enforce) fn own(response: Response<Bytes>) -> Response<Self> {
        response.map(|body| Self { body: Kind::Own { body: Full::new(body) } })
    }
}

/// An empty one, for the layers around this one that make answers of their own, such as those of
/// `tower_http` for CORS and timeouts.
impl<B> Default for EnforceBody<B> {
    fn default() -> Self {
        Self { body: Kind::Own { body: Full::default() } }
    }
}

impl<B: Body<Data = Bytes>> Body for EnforceBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().body.project() {
            Projected::Inner { body } => body.poll_frame(context),
            Projected::Own { body } => body
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Own { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Kind::Inner { body } => body.size_hint(),
            Kind::Own { body } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for EnforceBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match &self.body {
            Kind::Inner { .. } => "inner",
            Kind::Own { .. } => "own",
        };
        f.debug_tuple("EnforceBody").field(&whose).finish()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Either;

    use super::*;

    /// A body that cannot be made from nothing.
    type Application = Either<Full<Bytes>, Full<Bytes>>;

    #[test]
    fn a_layer_outside_can_make_an_empty_one_whatever_the_application_has() {
        let body = EnforceBody::<Application>::default();
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
    }
}
