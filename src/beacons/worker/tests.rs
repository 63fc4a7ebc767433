use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::*;
use crate::beacons::shared::{Goal, Reply};
use crate::beacons::stats::BeaconStats;
use crate::test_log::TestLog;
use crate::{BeaconEvent, BeaconOptions};

const EVENTS: u64 = 4;

/// What becomes of events whose handles are all gone, and how many milliseconds of virtual time
/// that takes. The service is what the listener does in the worker's own runtime.
fn orphaned(port: u16, service: impl Future<Output = ()> + Send + 'static) -> (BeaconStats, u64) {
    run(port, |shared| {
        (0..EVENTS).for_each(|_| shared.send(BeaconEvent::new("http_request")));
        shared.orphan(Instant::now());
        service
    })
}

/// Works in virtual time, beside what else is to happen.
fn run<F>(port: u16, beside: impl FnOnce(Arc<Shared>) -> F) -> (BeaconStats, u64)
where
    F: Future<Output = ()> + Send + 'static,
{
    let url = format!("http://127.0.0.1:{port}");
    let config = EsperConfig::new("key")
        .with_api_url(&url)
        .with_beacon_url(&url)
        .with_timeout(Duration::from_secs(55))
        .with_attempt_timeout(Duration::from_secs(55))
        .with_beacons(BeaconOptions::new().with_deliveries_in_flight(1));
    let shared = Arc::new(Shared::new(&config.beacons));
    let beside = beside(Arc::clone(&shared));

    let runtime = runtime().start_paused(true).build().unwrap();
    let passed = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&passed);
    runtime.spawn(async move {
        loop {
            sleep(Duration::from_millis(100)).await;
            clock.fetch_add(100, Ordering::SeqCst);
        }
    });
    runtime.spawn(beside);
    work(config, Arc::clone(&shared), Ok(runtime));
    (shared.stats(), passed.load(Ordering::SeqCst))
}

#[test]
fn without_handles_it_gives_up_when_the_service_took_nothing_for_a_minute() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for port in [gone.port(), silent.local_addr().unwrap().port()] {
        let (stats, passed) = orphaned(port, async {});
        assert_eq!(stats.dropped.of(DropReason::Abandoned), EVENTS, "{stats:?}");
        assert_eq!((stats.queued, stats.delivered), (0, 0), "{stats:?}");
        assert!((59_500..=61_000).contains(&passed), "{passed}");
    }
}

#[test]
fn without_handles_it_goes_on_for_as_long_as_the_service_takes_an_event_a_minute() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stats, passed) = orphaned(port, take_after(Duration::from_secs(50), listener));
    assert_eq!((stats.delivered, stats.dropped.total()), (EVENTS, 0), "{stats:?}");
    assert!((200_000..=210_000).contains(&passed), "{passed}");
}

#[test]
fn the_minute_without_handles_begins_when_the_last_one_goes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stats, _) = run(port, |shared| async move {
        tokio::spawn(take_after(Duration::from_secs(1), listener));
        shared.send(BeaconEvent::new("http_request"));
        while shared.stats().delivered == 0 {
            sleep(Duration::from_secs(1)).await;
        }
        sleep(Duration::from_secs(300)).await;
        shared.send(BeaconEvent::new("http_request"));
        shared.orphan(now());
        shared.wake.notify_one();
    });
    assert_eq!((stats.delivered, stats.dropped.total()), (2, 0), "{stats:?}");
}

#[test]
fn an_event_that_something_on_the_way_forbids_is_given_up_and_the_others_are_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stats, _) = run(port, |shared| async move {
        tokio::spawn(forbid("poison", listener));
        shared.send(BeaconEvent::new("poison"));
        // Others come all the time, and the first of them opens the queue again.
        for _ in 0..1_000 {
            if shared.stats().dropped.total() > 0 {
                break;
            }
            shared.send(BeaconEvent::new("http_request"));
            shared.wake.notify_one();
            sleep(Duration::from_secs(5)).await;
        }
        shared.orphan(now());
        shared.wake.notify_one();
    });
    assert_eq!((stats.dropped.of(DropReason::Failed), stats.dropped.total()), (1, 1), "{stats:?}");
    assert_eq!(stats.delivered, stats.accepted - 1, "{stats:?}");
}

#[test]
fn an_event_that_fails_by_itself_waits_before_each_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&attempts);
    run(port, |shared| {
        shared.send(BeaconEvent::new("http_request"));
        shared.orphan(Instant::now());
        serve(listener, move |_| {
            noted.lock().unwrap().push(now());
            "500 X\r\n".into()
        })
    });
    let attempts = attempts.lock().unwrap();
    let waits = attempts.windows(2).map(|two| two[1] - two[0]);
    // At least half of the delay.
    let short: Vec<_> = waits.filter(|wait| *wait < Duration::from_millis(500)).collect();
    assert!(attempts.len() > 5 && short.is_empty(), "{attempts:?}");
}

#[test]
fn a_shutdown_waits_as_the_service_asks_where_it_has_the_time_for_it() {
    for (asked, of, delivered) in [(40, 45, EVENTS), (40, 35, 0)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stats, passed) = run(port, |shared| async move {
            tokio::spawn(refuse_first(asked, listener));
            (0..EVENTS).for_each(|_| shared.send(BeaconEvent::new("http_request")));
            shared.close(now() + Duration::from_secs(of));
            shared.wake.notify_one();
        });
        let abandoned = stats.dropped.of(DropReason::Abandoned);
        assert_eq!((stats.delivered, abandoned), (delivered, EVENTS - delivered), "{stats:?}");
        let waited = passed >= asked * 1_000;
        // What cannot be waited for is given up at once.
        assert!(if delivered > 0 { waited } else { passed < 1_000 }, "{passed}");
    }
}

#[test]
fn losses_after_a_line_are_logged_a_minute_later_where_no_event_comes() {
    let (log, _guard) = TestLog::start();
    let (say, said) = mpsc::channel();
    run(NOBODY, |shared| async move {
        for events in [1, 9] {
            (0..events).for_each(|_| shared.send(blank()));
            shared.wake.notify_one();
            while shared.stats().queued > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        }
        sleep(Duration::from_secs(61)).await;
        say.send(log.text()).unwrap();
        shared.orphan(now());
        shared.wake.notify_one();
    });
    let text = said.recv().unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("events=1 ") && lines[1].contains("events=9 "), "{text}");
}

#[test]
fn a_log_that_panics_keeps_nobody_waiting() {
    let log = tracing_subscriber::fmt().with_writer(|| -> io::Sink { panic!("on purpose") });
    let _guard = tracing::subscriber::set_default(log.finish());
    let (sender, answer) = mpsc::channel();
    run(NOBODY, |shared| async move {
        shared.when(Goal::Ended, shared.now(), Reply::Thread(sender));
        shared.send(blank());
    });
    let report = answer.recv().unwrap();
    assert_eq!((report.dropped, report.left), (1, 0), "{report:?}");
}

/// An event that is dropped before it is sent.
fn blank() -> BeaconEvent {
    BeaconEvent::new("")
}

/// A port for events that are not sent.
const NOBODY: u16 = 1;

/// Something in front of a service that lets all events pass but some.
async fn forbid(word: &str, listener: TcpListener) {
    let answer =
        |request: &str| if request.contains(word) { "403 X\r\n" } else { TAKEN }.to_owned();
    serve(listener, answer).await;
}

/// A service that asks to wait for so many seconds, and takes everything afterwards.
async fn refuse_first(seconds: u64, listener: TcpListener) {
    let mut first = Some(format!("429 X\r\nretry-after: {seconds}\r\n"));
    serve(listener, move |_| first.take().unwrap_or_else(|| TAKEN.to_owned())).await;
}

/// A service that takes each event after so long.
async fn take_after(time: Duration, listener: TcpListener) {
    serve_after(time, listener, |_| TAKEN.to_owned()).await;
}

/// A service that answers each event with a status and headers.
async fn serve(listener: TcpListener, answer: impl FnMut(&str) -> String) {
    serve_after(Duration::ZERO, listener, answer).await;
}

async fn serve_after(
    time: Duration,
    listener: TcpListener,
    mut answer: impl FnMut(&str) -> String,
) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((mut stream, _)) = listener.accept().await {
        let (mut request, mut piece) = (String::new(), [0; 4096]);
        while !request.contains('}') {
            let Ok(length @ 1..) = stream.read(&mut piece).await else { break };
            request += &String::from_utf8_lossy(&piece[..length]);
        }
        sleep(time).await;
        let head = answer(&request);
        let answer = format!("HTTP/1.1 {head}content-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

const TAKEN: &str = "202 X\r\n";
