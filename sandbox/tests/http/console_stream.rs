//! The stream that keeps the console up to date, and how many follow it.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::timeout;

use crate::caller::Answer;
use crate::desk::Desk;
use crate::raw::PATIENCE;

#[tokio::test]
async fn the_stream_is_one_of_server_sent_events() {
    let desk = Desk::start().await;
    let mut response = desk.get("/console/stream").send().await.expect("a stream");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    let chunk = response.chunk().await.expect("a chunk").expect("a message");
    let message = str::from_utf8(&chunk).expect("a text");
    assert!(message.starts_with("retry: 1000\ndata: {"), "{message}");
    assert!(message.ends_with("}\n\n") && message.lines().count() == 3, "{message}");
}

#[tokio::test]
async fn so_many_follow_and_no_more_until_one_leaves() {
    let desk = Desk::start().await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(desk.follow().await);
    }
    Answer::to(desk.get("/console/stream")).await.refusal(503, "unavailable");
    assert_eq!(Answer::to(desk.get("/")).await.status, StatusCode::OK, "the page needs no seat");
    streams.pop();
    let seated = async {
        while desk.get("/console/stream").send().await.expect("an answer").status()
            != StatusCode::OK
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, seated).await.expect("a seat");
}

#[tokio::test]
async fn who_follows_does_not_hold_up_the_stop() {
    let desk = Desk::start().await;
    let mut stream = desk.follow().await;
    stream.next().await.expect("a view");
    desk.sandbox.stop().await;
    assert_eq!(stream.next().await, None);
    // Had it been cut off at the end of the grace, the last chunk would be missing.
    assert!(stream.response.chunk().await.is_ok_and(|chunk| chunk.is_none()));
}
