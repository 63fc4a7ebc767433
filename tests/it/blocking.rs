//! The synchronous client behaves like the asynchronous one, wherever it is called.

use std::cell::RefCell;
use std::sync::mpsc;
use std::time::Duration;

use esper_rs_client::{
    BeaconEvent, ChallengeProof, EsperClient, EsperError, MitigationAction, MitigationRequest,
    UsageStats,
};
use esper_sandbox::Sandbox;

use crate::support::{Answer, KEY, RawServer, SLACK, config};

/// Makes every call once.
fn use_it(url: &str) {
    let client = EsperClient::new(config(url)).unwrap();
    let response = client.check_mitigation(&MitigationRequest::new("192.168.1.1")).unwrap();
    assert_eq!(response.action, MitigationAction::Allow);
    client.send_beacon_event(&BeaconEvent::new("http_request").with_ip("192.168.1.1")).unwrap();
    assert!(!client.verify_challenge("token", "1").unwrap());
    let proof = ChallengeProof::new("proof", "192.168.1.1");
    assert!(!client.verify_challenge_proof(&proof).unwrap());
    assert_eq!(client.get_usage().unwrap().allowed, 1);
    let error = client.check_mitigation(&MitigationRequest::new("nowhere")).unwrap_err();
    assert!(matches!(error, EsperError::Validation { .. }), "{error:?}");
}

#[test]
fn each_call_is_sent_and_gives_what_was_answered() {
    let server = RawServer::always(|| Answer::json(200, r#"{"valid":true}"#));
    let client = EsperClient::new(config(&server.url())).unwrap();
    assert!(client.verify_challenge("token", "1").unwrap());
    assert!(client.verify_challenge_proof(&ChallengeProof::new("proof", "192.168.1.1")).unwrap());
    client.send_beacon_event(&BeaconEvent::new("http_request")).unwrap();
    assert_eq!(server.count(), 3);
}

fn sandbox() -> Sandbox {
    Sandbox::builder().api_key(KEY).start_blocking().unwrap()
}

#[test]
fn it_works_without_a_runtime() {
    use_it(sandbox().url());
}

#[tokio::test]
async fn it_works_and_ends_within_a_single_threaded_runtime() {
    use_it(sandbox().url());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_and_ends_within_a_multi_threaded_runtime() {
    use_it(sandbox().url());
    tokio::task::spawn_blocking(|| use_it(sandbox().url())).await.unwrap();
}

#[tokio::test]
async fn a_task_that_has_used_up_its_turn_is_no_hindrance() {
    let sandbox = sandbox();
    let client = EsperClient::new(config(sandbox.url())).unwrap();
    tokio::spawn(async move {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        (0..1000).for_each(|number| sender.send(number).unwrap());
        // Receives until the runtime wants the task to yield.
        while let std::task::Poll::Ready(Some(_)) =
            std::future::poll_fn(|cx| std::task::Poll::Ready(receiver.poll_recv(cx))).await
        {
        }
        client.get_usage().unwrap();
    })
    .await
    .unwrap();
}

#[test]
fn clones_in_many_threads_share_connections_and_outlive_their_original() {
    let server = RawServer::always(Answer::allow);
    let client = EsperClient::new(config(&server.url())).unwrap();
    let clones: Vec<_> = (0..4).map(|_| client.clone()).collect();
    drop(client);
    std::thread::scope(|scope| {
        for client in clones {
            scope.spawn(move || {
                for _ in 0..10 {
                    client.check_mitigation(&MitigationRequest::new("192.168.1.1")).unwrap();
                }
            });
        }
    });
    assert_eq!(server.count(), 40);
    // A connection that is not yet back in the pool makes a call open another one.
    assert!(server.connections() < 40, "{}", server.connections());
}

#[test]
fn a_deadline_holds_for_a_blocked_thread() {
    let server = RawServer::always(|| Answer::Silence);
    let limit = Duration::from_millis(200);
    let client = EsperClient::new(config(&server.url()).with_timeout(limit)).unwrap();
    let started = std::time::Instant::now();
    assert!(client.get_usage().unwrap_err().is_timeout());
    assert!(started.elapsed() < limit + SLACK, "{:?}", started.elapsed());
}

#[test]
fn a_call_at_the_end_of_its_thread_is_an_error_and_what_is_dropped_there_harms_nobody() {
    struct Last(EsperClient, mpsc::Sender<Result<UsageStats, EsperError>>);

    impl Drop for Last {
        fn drop(&mut self) {
            let _ = self.1.send(self.0.get_usage());
        }
    }

    thread_local! {
        static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    }

    let sandbox = sandbox();
    let (say, said) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Before tokio's own, so that it ends after it.
            LAST.set(None);
            let client = EsperClient::new(config(sandbox.url())).unwrap();
            client.get_usage().unwrap();
            LAST.set(Some(Last(client, say)));
        });
    });
    match said.recv().unwrap() {
        // Elsewhere the ends may come in another order.
        Ok(_) if cfg!(target_os = "linux") => panic!("tokio's own ended before"),
        Ok(_) => {}
        Err(error) => assert!(error.to_string().contains("the calling thread has nearly ended")),
    }
}
