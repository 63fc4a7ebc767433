//! A call is over when its time is, to the tick of a clock that is paused.

use std::net::TcpListener;
use std::time::Duration;

use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, ChallengeProof, EsperConfig, EsperError, MitigationRequest,
    StatusCode,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::time::{Instant, timeout};

use crate::support::paused::{LATE, PausedServer, run};
use crate::support::raw::DRIBBLE;
use crate::support::{Answer, ClosedPort, config};

const JSON: &str = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\n";

#[derive(Clone, Copy, Debug)]
enum Operation {
    Decide,
    Verify,
    VerifyProof,
    ReadUsage,
    SendEvent,
}

impl Operation {
    async fn call(self, client: &AsyncEsperClient) -> Result<(), EsperError> {
        match self {
            Self::Decide => {
                client.check_mitigation(&MitigationRequest::new("192.168.1.1")).await.map(drop)
            }
            Self::Verify => client.verify_challenge("token", "1").await.map(drop),
            Self::VerifyProof => {
                let proof = ChallengeProof::new("proof", "192.168.1.1");
                client.verify_challenge_proof(&proof).await.map(drop)
            }
            Self::ReadUsage => client.get_usage().await.map(drop),
            Self::SendEvent => client.send_beacon_event(&BeaconEvent::new("http_request")).await,
        }
    }
}

/// Where a client looks for the service.
#[derive(Clone, Copy, Debug)]
enum Place {
    Service,
    /// Nobody listens there.
    Nowhere,
    /// The handshake is never answered.
    NoTls,
}

/// A client's options, all in milliseconds but for the retries.
#[derive(Clone, Debug)]
struct Options {
    timeout: u64,
    attempt_timeout: u64,
    retry_delay: u64,
    max_retries: u32,
}

#[derive(Clone, Debug)]
struct Case {
    place: Place,
    answers: Vec<(Answer, Duration)>,
    options: Options,
    /// What is asked, one after the other, and when the caller loses interest.
    calls: Vec<(Operation, Option<u64>)>,
}

/// An answer that is a success of every operation.
fn success() -> Answer {
    let body = r#"{"action":"allow","valid":true,"requests":1,"blocked":0,"challenged":0,"allowed":1,"period":"p"}"#;
    Answer::json(200, body)
}

fn answer() -> impl Strategy<Value = Answer> {
    let broken = format!("{JSON}content-length: 99\r\n\r\n{{\"action\"");
    prop_oneof![
        Just(success()),
        prop_oneof![Just(200), Just(302), Just(401), Just(408), Just(500), Just(501), Just(503)]
            .prop_map(Answer::status),
        (prop_oneof![Just(429), Just(503)], 0_u64..3).prop_map(|(status, seconds)| {
            Answer::status(status).with_header("retry-after", &seconds.to_string())
        }),
        prop_oneof![Just(String::new()), Just(JSON.to_owned()), Just(broken)]
            .prop_map(|text| Answer::Bytes(text.into_bytes())),
        prop_oneof![Just(""), Just("HTTP/1.1 2"), Just(JSON)]
            .prop_map(|text| Answer::Reset(text.into())),
        prop_oneof![Just("HTTP/1.1 200 X\r\nx: "), Just("HTTP/1.1 202 X\r\n\r\n")]
            .prop_map(|text| Answer::Dribble(text.into())),
        Just(Answer::Silence),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    let place =
        prop_oneof![8 => Just(Place::Service), 1 => Just(Place::Nowhere), 1 => Just(Place::NoTls)];
    let late = prop_oneof![3 => Just(0), 1 => 0_u64..800].prop_map(Duration::from_millis);
    let operation = prop_oneof![
        Just(Operation::Decide),
        Just(Operation::Verify),
        Just(Operation::VerifyProof),
        Just(Operation::ReadUsage),
        Just(Operation::SendEvent),
    ];
    let options = (1_u64..3000, 1_u64..1500, 0_u64..400, 0_u32..5).prop_map(
        |(timeout, attempt_timeout, retry_delay, max_retries)| Options {
            timeout,
            attempt_timeout,
            retry_delay,
            max_retries,
        },
    );
    let interest = prop_oneof![3 => Just(None), 1 => (0_u64..500).prop_map(Some)];
    let answers = proptest::collection::vec((answer(), late), 1..6);
    let calls = proptest::collection::vec((operation, interest), 1..4);
    (place, answers, options, calls).prop_map(|(place, answers, options, calls)| Case {
        place,
        answers,
        options,
        calls,
    })
}

fn client(url: &str, options: &Options) -> AsyncEsperClient {
    AsyncEsperClient::new(with(config(url), options)).unwrap()
}

fn with(config: EsperConfig, options: &Options) -> EsperConfig {
    config
        .with_timeout(Duration::from_millis(options.timeout))
        .with_attempt_timeout(Duration::from_millis(options.attempt_timeout))
        .with_retry_delay(Duration::from_millis(options.retry_delay))
        .with_max_retries(options.max_retries)
}

#[test]
fn an_error_is_told_soon_after_its_head_whatever_its_body_does() {
    run(async {
        let head =
            "HTTP/1.1 401 X\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n";
        let server = PausedServer::always(Answer::Dribble(head.into())).await;
        let started = Instant::now();
        let error = AsyncEsperClient::new(config(&server.url())).unwrap().get_usage().await;
        assert_eq!(error.unwrap_err().status(), Some(StatusCode::UNAUTHORIZED));
        let in_time = DRIBBLE * u32::try_from(head.len()).unwrap() + Duration::from_secs(1);
        assert!(started.elapsed() <= in_time + LATE, "{:?}", started.elapsed());
    });
}

#[test]
fn an_event_is_taken_soon_after_the_head_of_its_answer_whatever_the_body_does() {
    run(async {
        let head = "HTTP/1.1 202 X\r\ncontent-length: 9999\r\n\r\n";
        let server = PausedServer::always(Answer::Dribble(head.into())).await;
        let started = Instant::now();
        let client = AsyncEsperClient::new(config(&server.url())).unwrap();
        client.send_beacon_event(&BeaconEvent::new("http_request")).await.unwrap();
        let in_time = DRIBBLE * u32::try_from(head.len()).unwrap() + Duration::from_millis(250);
        assert!(started.elapsed() <= in_time + LATE, "{:?}", started.elapsed());
    });
}

#[test]
fn whatever_the_service_does_a_call_is_over_when_its_time_is() {
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() };
    let property = |case: Case| {
        run(async {
            let server = PausedServer::start(case.answers.clone()).await;
            // It accepts connections, by its backlog, and never speaks TLS.
            let silent = TcpListener::bind("127.0.0.1:0").unwrap();
            let gone = ClosedPort::new();
            let url = match case.place {
                Place::Service => server.url(),
                Place::NoTls => format!("https://{}", silent.local_addr().unwrap()),
                Place::Nowhere => gone.url(),
            };
            let client = client(&url, &case.options);
            let limit = Duration::from_millis(case.options.timeout);
            for (operation, interest) in &case.calls {
                let started = Instant::now();
                let interest = interest.map_or(Duration::MAX, Duration::from_millis);
                let result = timeout(interest, operation.call(&client)).await;
                let elapsed = started.elapsed();
                prop_assert!(elapsed <= limit + LATE, "{elapsed:?}: {operation:?} {result:?}");
            }
            let stats = client.stats();
            let ended = stats.succeeded + stats.failed + stats.cancelled;
            prop_assert_eq!((stats.calls, ended), (case.calls.len() as u64, stats.calls));
            let most = stats.calls * (u64::from(case.options.max_retries) + 1);
            prop_assert!(stats.attempts <= most, "{:?}", stats);
            prop_assert!(server.count() as u64 <= stats.attempts, "{:?}", stats);
            Ok(())
        })
    };
    TestRunner::new(config).run(&cases(), property).unwrap();
}

#[test]
fn what_is_late_by_less_than_the_deadline_is_still_heard() {
    run(async {
        let late = Duration::from_millis(900);
        let unavailable = Answer::status(503).with_header("retry-after", "1");
        let answers =
            vec![(Answer::Silence, Duration::ZERO), (unavailable, late), (success(), late)];
        let server = PausedServer::start(answers).await;
        let options =
            Options { timeout: 4_100, attempt_timeout: 1_000, retry_delay: 100, max_retries: 2 };
        let client = client(&server.url(), &options);
        let started = Instant::now();
        Operation::Decide.call(&client).await.unwrap();
        // An attempt that timed out, a wait, a late refusal, the wait it asked for, a late answer.
        let least = Duration::from_millis(1_000 + 50 + 900 + 1_000 + 900);
        let elapsed = started.elapsed();
        assert!(elapsed >= least && elapsed <= least + Duration::from_millis(100), "{elapsed:?}");
        assert_eq!(server.count(), 3);
    });
}

#[test]
fn silence_lasts_to_the_end_of_the_time_and_no_longer() {
    run(async {
        for (timeout, attempt_timeout) in [(250, 1_000), (1_000, 300), (1_000, 999)] {
            let server = PausedServer::always(Answer::Silence).await;
            let options = Options { timeout, attempt_timeout, retry_delay: 0, max_retries: 9 };
            let client = client(&server.url(), &options);
            let started = Instant::now();
            let error = Operation::Decide.call(&client).await.unwrap_err();
            let (elapsed, limit) = (started.elapsed(), Duration::from_millis(timeout));
            assert!(error.is_timeout(), "{error:?}");
            assert!(elapsed <= limit + LATE, "{elapsed:?}");
            // Less than a tenth is not worth an attempt.
            assert!(elapsed >= limit.mul_f32(0.89), "{elapsed:?}");
        }
    });
}
