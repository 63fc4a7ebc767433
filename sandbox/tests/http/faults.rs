//! What goes wrong when it is asked to, as a client sees it.

use std::io::{ErrorKind, Read as _};
use std::time::{Duration, Instant};

use esper_sandbox::{Fault, Operation, Sandbox};
use reqwest::Client;
use serde_json::{Value, json};

use crate::caller::{Answer, Caller, posts};
use crate::raw::{self, PATIENCE, wait_for_hits};

const MITIGATE: &str = "/v1/mitigate";
const EVENTS: &str = "/v1/events";

fn request() -> Value {
    json!({ "ip": "203.0.113.7" })
}

fn event() -> Value {
    json!({ "type": "http_request", "ip": "203.0.113.7" })
}

/// How many decisions were processed.
async fn processed(sandbox: &Sandbox) -> Value {
    Caller::of(sandbox).usage().await.body["requests"].clone()
}

#[tokio::test]
async fn a_status_has_its_headers_and_the_documented_body() {
    let sandbox = Sandbox::start().await;
    let fault = Fault::status(429).retry_after(Duration::from_secs(7)).header("X-Fault", "yes");
    sandbox.faults().add(fault.times(1));
    let caller = Caller::of(&sandbox);
    let answer = caller.post(MITIGATE, request()).await;
    answer.refusal(429, "fault");
    assert_eq!(answer.headers["retry-after"], "7");
    assert_eq!(answer.headers["x-fault"], "yes");
    caller.decide("203.0.113.7").await;
    assert_eq!(processed(&sandbox).await, 1, "the ordinary call alone");
}

#[tokio::test]
async fn a_page_is_what_a_proxy_sends() {
    let sandbox = Sandbox::start().await;
    sandbox.faults().add(Fault::html(502));
    let answer = Caller::of(&sandbox).post(MITIGATE, request()).await;
    assert_eq!(answer.status.as_u16(), 502);
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert!(answer.body.as_str().is_some_and(|page| page.contains("502 Bad Gateway")));
}

/// The faults of answers that HTTP gives no body.
fn without_body() -> [(u16, Fault); 4] {
    [
        (204, Fault::status(204)),
        (304, Fault::status(304)),
        (204, Fault::html(204)),
        (304, Fault::html(304)),
    ]
}

#[tokio::test]
async fn a_status_without_a_body_has_none() {
    for (status, fault) in without_body() {
        let sandbox = Sandbox::start().await;
        sandbox.faults().add(fault.header("X-Fault", "yes"));
        let tcp = raw::send(&sandbox, MITIGATE, &request());
        wait_for_hits(&sandbox, 1).await;
        // It answers what it has begun with, and closes the connection.
        sandbox.stop().await;
        let (answer, end) = raw::read_all(tcp);
        end.expect("an end");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(head.contains("x-fault: yes") && !head.contains("content-"), "{answer}");
        assert_eq!(body, "", "{answer}");
    }
}

#[tokio::test]
async fn a_status_without_a_body_has_none_on_http_2() {
    let sandbox = Sandbox::start().await;
    let http = Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    for (status, fault) in without_body() {
        sandbox.faults().add(fault.header("X-Fault", "yes").times(1));
        let call = http.post(format!("{}{MITIGATE}", sandbox.url())).json(&request());
        let answer = call.send().await.expect("an answer");
        assert_eq!(answer.status(), status);
        let headers = answer.headers();
        assert_eq!(headers["x-fault"], "yes");
        assert!(headers.keys().all(|name| !name.as_str().starts_with("content-")), "{headers:?}");
        assert_eq!(answer.bytes().await.expect("a whole answer"), "");
    }
}

#[tokio::test]
async fn a_fault_hits_the_operation_that_it_is_about_and_no_other() {
    let calls = [
        Operation::CheckMitigation,
        Operation::VerifyChallenge,
        Operation::VerifyChallengeProof,
        Operation::SendBeaconEvent,
    ];
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    for hit in calls {
        sandbox.faults().clear();
        sandbox.faults().add(Fault::status(500).on(hit));
        for (operation, (path, body)) in calls.into_iter().zip(posts()) {
            let answer = caller.post(path, body).await;
            assert_eq!(answer.status == 500, operation == hit, "{hit} {path}");
        }
        assert_eq!(caller.usage().await.status, 200);
    }
    sandbox.faults().add(Fault::status(500).on(Operation::GetUsage));
    caller.usage().await.refusal(500, "fault");
}

#[tokio::test]
async fn a_share_of_the_calls_is_hit_in_the_same_way_each_time() {
    let sandbox = Sandbox::start().await;
    let caller = Caller::of(&sandbox);
    sandbox.faults().add(Fault::status(503).share(0.25).times(2));
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(caller.post(MITIGATE, request()).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 503, 200, 200, 200, 503, 200, 200, 200, 200]);
    let [fault] = &sandbox.faults().list()[..] else { panic!("one fault") };
    assert_eq!((fault.hits(), fault.left()), (2, Some(0)));
}

#[tokio::test]
async fn a_delayed_answer_is_the_ordinary_one() {
    let sandbox = Sandbox::start().await;
    let delay = Duration::from_millis(300);
    sandbox.faults().add(Fault::delay(delay));
    let start = Instant::now();
    assert_eq!(Caller::of(&sandbox).decide("203.0.113.7").await["action"], "allow");
    assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
}

#[test]
fn a_delayed_call_counts_at_once() {
    let sandbox = Sandbox::start_blocking();
    sandbox.faults().add(Fault::delay(Duration::from_secs(3600)));
    let unanswered = raw::send(&sandbox, EVENTS, &event());
    sandbox.wait_for_events_blocking(1, PATIENCE).expect("an event");
    drop(unanswered);
}

#[tokio::test]
async fn a_delay_goes_with_another_fault() {
    let sandbox = Sandbox::start().await;
    let delay = Duration::from_millis(300);
    sandbox.faults().add(Fault::status(503).after(delay));
    let start = Instant::now();
    Caller::of(&sandbox).post(MITIGATE, request()).await.refusal(503, "fault");
    assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_truncated_answer_is_half_of_the_ordinary_one() {
    let sandbox = Sandbox::start().await;
    sandbox.faults().add(Fault::truncated());
    let (answer, end) = raw::read_all(raw::send(&sandbox, MITIGATE, &request()));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let whole = r#"{"action":"allow","score":0.0}"#;
    assert_eq!(raw::body_of(&answer), (whole.len(), &whole[..whole.len() / 2]));
    end.expect("an end without a reset");

    let (answer, end) = raw::read_all(raw::send(&sandbox, EVENTS, &event()));
    assert!(answer.starts_with("HTTP/1.1 202 Accepted\r\n"), "{answer}");
    assert_eq!(raw::body_of(&answer), (1, ""));
    end.expect("an end without a reset");

    sandbox.faults().clear();
    assert_eq!(processed(&sandbox).await, 1);
}

#[tokio::test]
async fn a_reset_comes_before_the_call_is_processed() {
    let sandbox = Sandbox::start().await;
    sandbox.faults().add(Fault::reset().times(1));
    let (answer, end) = raw::read_all(raw::send(&sandbox, MITIGATE, &request()));
    assert_eq!(answer, "");
    assert_eq!(end.expect_err("a reset").kind(), ErrorKind::ConnectionReset);
    assert_eq!(processed(&sandbox).await, 0);
}

#[tokio::test]
async fn a_reset_in_the_body_comes_after_half_of_it() {
    let sandbox = Sandbox::start().await;
    sandbox.faults().add(Fault::reset_in_body().times(1));
    let (answer, end) = raw::read_all(raw::send(&sandbox, MITIGATE, &request()));
    let (length, body) = raw::body_of(&answer);
    assert_eq!((length, body), (30, r#"{"action":"allo"#));
    assert_eq!(end.expect_err("a reset").kind(), ErrorKind::ConnectionReset);
    assert_eq!(processed(&sandbox).await, 1);
}

#[tokio::test]
async fn a_lost_answer_is_that_of_a_call_which_was_processed() {
    let sandbox = Sandbox::start().await;
    sandbox.faults().add(Fault::lost_answer().on(Operation::SendBeaconEvent).times(1));
    let caller = Caller::of(&sandbox);
    let deliver = || {
        let id = "0192f3c4-5d6e-7f80-91a2-b3c4d5e6f708";
        caller.request(EVENTS).header("Idempotency-Key", id).json(&event()).send()
    };
    deliver().await.expect_err("no answer");
    assert_eq!(caller.decide("203.0.113.7").await["score"], 0.5, "it is counted");
    assert_eq!(deliver().await.expect("an answer").status(), 202);
    assert_eq!(caller.decide("203.0.113.7").await["score"], 0.5, "and counted once");
}

#[tokio::test]
async fn silence_lasts_until_the_sandbox_stops() {
    let sandbox = Sandbox::start().await;
    sandbox.faults().add(Fault::silence());
    let mut tcp = raw::send(&sandbox, MITIGATE, &request());
    wait_for_hits(&sandbox, 1).await;
    tcp.set_nonblocking(true).expect("a mode");
    assert_eq!(tcp.read(&mut [0]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
    tcp.set_nonblocking(false).expect("a mode");
    sandbox.stop().await;
    let (answer, end) = raw::read_all(tcp);
    assert_eq!(answer, "");
    end.expect("an end");
}

#[tokio::test]
async fn a_fault_comes_before_the_key_is_looked_at() {
    let sandbox = Sandbox::start().await;
    sandbox.faults().add(Fault::status(503));
    let stranger = Caller::of(&sandbox).with_key("wrong");
    stranger.post(MITIGATE, request()).await.refusal(503, "fault");
}

#[tokio::test]
async fn what_is_no_operation_is_never_hit() {
    let sandbox = Sandbox::start().await;
    sandbox.faults().add(Fault::status(503));
    let request = Caller::of(&sandbox).http.get(format!("{}/healthz", sandbox.url()));
    assert_eq!(Answer::to(request).await.body, "ok");
}

#[tokio::test]
async fn on_http_2_a_reset_is_that_of_the_stream() {
    let sandbox = Sandbox::start().await;
    let http = Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    let call = || {
        let call = http.post(format!("{}{MITIGATE}", sandbox.url()));
        call.bearer_auth(sandbox.api_key()).json(&request()).timeout(PATIENCE).send()
    };
    let silence = sandbox.faults().add(Fault::silence().times(1));
    let silent = tokio::spawn(call());
    wait_for_hits(&sandbox, 1).await;
    for fault in [Fault::reset(), Fault::lost_answer()] {
        sandbox.faults().add(fault.times(1));
        call().await.expect_err("a reset");
        assert_eq!(call().await.expect("an answer").status(), 200);
    }
    for fault in [Fault::truncated(), Fault::reset_in_body()] {
        sandbox.faults().add(fault.times(1));
        match call().await {
            Ok(answer) => drop(answer.bytes().await.expect_err("no whole body")),
            // The reset may come together with the head.
            Err(error) => assert!(!error.is_timeout(), "{error}"),
        }
        assert_eq!(call().await.expect("an answer").status(), 200);
    }
    assert!(!silent.is_finished(), "another call of the connection was hit");
    assert!(sandbox.faults().remove(silence));
}

#[test]
#[should_panic(expected = "share: must be between 0 and 1")]
fn a_fault_that_makes_no_sense_is_refused_where_it_is_added() {
    let sandbox = Sandbox::start_blocking();
    sandbox.faults().add(Fault::silence().share(2.0));
}
