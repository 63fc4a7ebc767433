//! What is posted to the endpoint: how much of it is read, for how long, and what is kept meanwhile.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tower::{Layer, Service, service_fn};

use super::echo::layer;
use super::frames::Frames;
use super::site::Site;
use super::solving::ENDPOINT;
use crate::support::paused;

#[tokio::test]
async fn a_large_answer_is_read_to_its_limit_and_no_further() {
    let polled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polled);
    let endless = Frames(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Frame::data(Bytes::from_static(&[b' '; 1024]))))
    });
    let answer = handed_in(endless).await;
    assert_eq!(answer.status(), 413);
    assert!(polled.load(Ordering::Relaxed) <= 17, "{polled:?} KiB");
}

/// Servers hand out parts of the buffers that they read into.
#[tokio::test]
async fn an_answer_in_small_pieces_keeps_none_of_the_buffers_that_they_came_in() {
    struct Buffer {
        _counted: Arc<()>,
    }
    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &[b' '; 8192]
        }
    }
    let (kept, most) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
    let (buffer, noted) = (Arc::clone(&kept), Arc::clone(&most));
    let mut left = 1_000;
    let pieces = Frames(move || {
        noted.fetch_max(Arc::strong_count(&buffer) - 2, Ordering::Relaxed);
        left -= 1;
        let piece = Bytes::from_owner(Buffer { _counted: Arc::clone(&buffer) }).slice(..1);
        Poll::Ready((left > 0).then_some(Frame::data(piece)))
    });
    assert_eq!(handed_in(pieces).await.status(), 400);
    assert!(most.load(Ordering::Relaxed) <= 1, "{most:?} of them");
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[test]
fn an_answer_that_does_not_arrive_is_waited_for_no_longer_than_ten_seconds() {
    paused::run(async {
        let started = Instant::now();
        assert_eq!(handed_in(Frames(|| Poll::Pending)).await.status(), 408);
        let waited = started.elapsed();
        assert!(waited >= Duration::from_secs(10), "{waited:?}");
        assert!(waited < Duration::from_secs(11), "{waited:?}");
    });
}

/// The application may be behind a limit, of which each service that is ready holds a part.
#[tokio::test]
async fn while_an_answer_is_waited_for_no_service_of_the_application_is_held() {
    let held = Arc::new(());
    let part = Arc::clone(&held);
    let application = service_fn(move |_| {
        let _part = Arc::clone(&part);
        async { Ok::<_, Infallible>(Response::new(axum::body::Body::empty())) }
    });
    let mut service = layer("http://127.0.0.1:9").layer(application);
    let request = Request::post(ENDPOINT).header("content-type", "application/json");
    let dribbled = request.body(Frames(|| Poll::Pending)).unwrap();
    let mut answer = service.call(dribbled);
    assert_eq!(Arc::strong_count(&held), 3);
    let polled = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context).is_pending()));
    assert!(polled.await);
    assert_eq!(Arc::strong_count(&held), 2, "the next one's, and the test's");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_called_too_large() {
    let site = Site::new().await;
    let mut stream = TcpStream::connect(site.addr()).await.unwrap();
    let head = format!(
        "POST {ENDPOINT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\n{{\"env\r\nno chunk"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("incomplete"), "{answer}");
}

/// The answer of a layer's endpoint to a body.
async fn handed_in<B>(body: B) -> Response<impl Body>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let mut service = layer("http://127.0.0.1:9").layer(Router::new());
    let request = Request::post(ENDPOINT).header("content-type", "application/json");
    service.call(request.body(body).unwrap()).await.unwrap_or_else(|never| match never {})
}
