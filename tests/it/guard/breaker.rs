//! A service that fails is not asked for a while, and is found again.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use esper_rs_client::{DecisionSource, FallbackReason, Guard, MitigationAction, MitigationRequest};
use tokio::time::timeout;

use super::{assert_settled, guard, reason, request, verdict};
use crate::support::{Answer, RawServer};

/// How the service behaves at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Up,
    Strict,
    Down,
    /// It takes a request and does not answer before it changes.
    Thinking,
}

/// A service whose behaviour can be changed.
#[derive(Clone)]
struct Service(Arc<(Mutex<Behaviour>, Condvar)>);

impl Service {
    fn start(behaviour: Behaviour) -> (Self, RawServer) {
        let service = Self(Arc::new((Mutex::new(behaviour), Condvar::new())));
        let answering = service.clone();
        (service, RawServer::always(move || answering.answer()))
    }

    fn becomes(&self, behaviour: Behaviour) {
        *self.0.0.lock().unwrap() = behaviour;
        self.0.1.notify_all();
    }

    fn answer(&self) -> Answer {
        let thinking = |behaviour: &mut Behaviour| *behaviour == Behaviour::Thinking;
        let behaviour = *self.0.1.wait_while(self.0.0.lock().unwrap(), thinking).unwrap();
        match behaviour {
            Behaviour::Up => Answer::allow(),
            Behaviour::Strict => verdict("block"),
            _ => Answer::status(500),
        }
    }
}

async fn open(guard: &Guard, failures: usize) {
    for _ in 0..failures {
        assert_eq!(reason(&guard.decide(&request()).await), FallbackReason::ServerError);
    }
}

/// Decides until the breaker lets a call through.
async fn admitted(guard: &Guard) -> DecisionSource {
    let asked = async {
        loop {
            match guard.decide(&request()).await.source {
                DecisionSource::Fallback { reason: FallbackReason::BreakerOpen, .. } => {
                    tokio::task::yield_now().await;
                }
                source => return source,
            }
        }
    };
    timeout(Duration::from_secs(10), asked).await.expect("a probe")
}

#[tokio::test]
async fn five_failures_in_a_row_open_it_and_no_request_is_sent_while_it_is_open() {
    let (service, server) = Service::start(Behaviour::Down);
    let guard = guard(&server.url()).with_breaker(5, Duration::from_secs(600));
    open(&guard, 4).await;
    service.becomes(Behaviour::Up);
    assert_eq!(guard.decide(&request()).await.source, DecisionSource::Service);
    service.becomes(Behaviour::Down);
    open(&guard, 5).await;
    let requests = server.count();
    for _ in 0..1_000 {
        let decision = guard.decide(&request()).await;
        assert_eq!(reason(&decision), FallbackReason::BreakerOpen);
        assert!(decision.is_allowed());
    }
    assert_eq!(server.count(), requests);
    assert_eq!(guard.stats().fallbacks.of(FallbackReason::BreakerOpen), 1_000);
    assert_settled(&guard);
}

#[tokio::test]
async fn one_call_at_a_time_finds_out_and_a_success_closes_it() {
    let (service, server) = Service::start(Behaviour::Down);
    let guard = guard(&server.url())
        .with_deadline(Duration::from_secs(10))
        .with_breaker(5, Duration::from_millis(1));
    open(&guard, 5).await;

    let requests = server.count();
    assert!(matches!(admitted(&guard).await, DecisionSource::Fallback { held: false, .. }));
    assert_eq!(server.count(), requests + 1, "a probe is one request");

    service.becomes(Behaviour::Thinking);
    let probe = tokio::spawn({
        let guard = guard.clone();
        async move { admitted(&guard).await }
    });
    while server.count() == requests + 1 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        assert_eq!(reason(&guard.decide(&request()).await), FallbackReason::BreakerOpen);
    }
    assert_eq!(server.count(), requests + 2, "one at a time");

    service.becomes(Behaviour::Up);
    assert_eq!(probe.await.unwrap(), DecisionSource::Service);
    for _ in 0..10 {
        assert_eq!(guard.decide(&request()).await.source, DecisionSource::Service);
    }
    assert_settled(&guard);
}

#[tokio::test]
async fn a_refusal_never_opens_it() {
    let refusals: [fn() -> Answer; 5] = [
        || Answer::json(429, "{}").with_header("retry-after", "9"),
        || Answer::status(400),
        || Answer::status(401),
        || Answer::status(403),
        || Answer::json(200, r#"{"action":"an action of tomorrow"}"#),
    ];
    for refusal in refusals {
        let server = RawServer::always(refusal);
        let guard = guard(&server.url());
        for _ in 0..20 {
            assert_ne!(reason(&guard.decide(&request()).await), FallbackReason::BreakerOpen);
        }
        assert_eq!(server.count(), 20);
    }
}

#[tokio::test]
async fn a_block_holds_while_it_is_open_and_ends_with_an_allow() {
    let (service, server) = Service::start(Behaviour::Strict);
    let guard = guard(&server.url()).with_breaker(5, Duration::from_millis(1));
    let other = MitigationRequest::new("2001:db8::1");
    assert_eq!(guard.decide(&request()).await.action, MitigationAction::Block);
    service.becomes(Behaviour::Down);
    for _ in 0..5 {
        assert!(guard.decide(&other).await.is_allowed());
    }
    let mut held = guard.decide(&request()).await;
    while reason(&held) != FallbackReason::BreakerOpen {
        held = guard.decide(&request()).await;
    }
    assert_eq!(held.action, MitigationAction::Block);
    assert_eq!(held.response().unwrap().reason.as_deref(), Some("flood"));

    service.becomes(Behaviour::Up);
    assert_eq!(admitted(&guard).await, DecisionSource::Service);
    service.becomes(Behaviour::Down);
    assert!(guard.decide(&request()).await.is_allowed(), "the service took it back");
}

#[tokio::test]
async fn a_clone_with_another_policy_shares_the_breaker() {
    let (_service, server) = Service::start(Behaviour::Down);
    let guard = guard(&server.url()).with_breaker(5, Duration::from_secs(600));
    let closed = guard.clone().with_failure_policy(esper_rs_client::FailurePolicy::closed());
    open(&guard, 5).await;
    let decision = closed.decide(&request()).await;
    assert_eq!(reason(&decision), FallbackReason::BreakerOpen);
    assert_eq!(decision.action, MitigationAction::Block);
}
