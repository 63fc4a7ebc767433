//! The breaker in virtual time.

use proptest::prelude::*;

use super::*;

const LONGEST: Duration = Duration::from_millis(300);

/// Doubling from a second to thirty, without jitter.
fn wait(reopened: u32) -> Duration {
    Duration::from_secs(2_u64.saturating_pow(reopened).min(30))
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Answered,
    Failed,
    Cancelled,
}

/// What that leads to.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Failure(Change),
    Closed,
}

fn settle(breaker: &mut Breaker, call: &Admission, outcome: Outcome, now: Instant) -> Option<Seen> {
    match outcome {
        Outcome::Answered => breaker.answered(call).then_some(Seen::Closed),
        Outcome::Failed => breaker.failed(call, now, wait).map(Seen::Failure),
        Outcome::Cancelled => {
            breaker.cancelled(call, now);
            None
        }
    }
}

fn opened(threshold: u32, now: Instant) -> Breaker {
    let mut breaker = Breaker::new(threshold);
    for _ in 0..threshold {
        let call = breaker.admit(now, LONGEST).unwrap();
        let _ = settle(&mut breaker, &call, Outcome::Failed, now);
    }
    assert!(breaker.admit(now, LONGEST).is_none());
    breaker
}

#[test]
fn it_opens_after_five_failures_in_a_row() {
    let now = Instant::now();
    let mut breaker = Breaker::new(5);
    let mut end = |outcome| {
        let call = breaker.admit(now, LONGEST).unwrap();
        settle(&mut breaker, &call, outcome, now)
    };
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(end(Outcome::Failed), None);
            assert_eq!(end(Outcome::Cancelled), None);
        }
        assert_eq!(end(Outcome::Answered), None);
    }
    for _ in 0..4 {
        assert_eq!(end(Outcome::Failed), None);
    }
    assert_eq!(end(Outcome::Failed), Some(Seen::Failure(Change::Opened { wait: wait(0) })));
}

#[test]
fn it_waits_longer_with_each_probe_that_fails_and_begins_anew_after_a_success() {
    let mut now = Instant::now();
    let mut breaker = opened(5, now);
    for (reopened, seconds) in [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (5, 30), (6, 30)] {
        assert!(breaker.admit(now + wait(reopened) - LONGEST, LONGEST).is_none());
        now += Duration::from_secs(seconds);
        let probe = breaker.admit(now, LONGEST).expect("the wait is over");
        assert!(breaker.admit(now, LONGEST).is_none(), "one probe at a time");
        let change = settle(&mut breaker, &probe, Outcome::Failed, now);
        assert_eq!(change, Some(Seen::Failure(Change::ProbeFailed { wait: wait(reopened + 1) })));
    }
    now += wait(30);
    let probe = breaker.admit(now, LONGEST).unwrap();
    assert_eq!(settle(&mut breaker, &probe, Outcome::Answered, now), Some(Seen::Closed));
    for _ in 0..4 {
        let call = breaker.admit(now, LONGEST).unwrap();
        assert_eq!(settle(&mut breaker, &call, Outcome::Failed, now), None);
    }
    let call = breaker.admit(now, LONGEST).unwrap();
    let change = settle(&mut breaker, &call, Outcome::Failed, now);
    assert_eq!(change, Some(Seen::Failure(Change::Opened { wait: wait(0) })));
}

#[test]
fn a_call_that_began_before_it_opened_changes_nothing() {
    let now = Instant::now();
    let mut breaker = Breaker::new(2);
    let calls: Vec<_> = (0..6).map(|_| breaker.admit(now, LONGEST).unwrap()).collect();
    for call in &calls[..2] {
        let _ = settle(&mut breaker, call, Outcome::Failed, now);
    }
    for (call, outcome) in calls[2..4].iter().zip([Outcome::Answered, Outcome::Failed]) {
        assert_eq!(settle(&mut breaker, call, outcome, now), None);
    }
    assert!(breaker.admit(now + wait(0) - LONGEST, LONGEST).is_none(), "still open, no longer");
    let probe = breaker.admit(now + wait(0), LONGEST).unwrap();
    for (call, outcome) in calls[4..].iter().zip([Outcome::Answered, Outcome::Failed]) {
        assert_eq!(settle(&mut breaker, call, outcome, now + wait(0)), None);
        assert!(breaker.admit(now + wait(0), LONGEST).is_none(), "the probe alone decides");
    }
    assert!(settle(&mut breaker, &probe, Outcome::Answered, now + wait(0)).is_some());
}

#[test]
fn a_probe_that_nobody_hears_of_again_does_not_keep_its_place() {
    let now = Instant::now();
    let mut breaker = opened(5, now);
    let later = now + wait(0);
    let lost = breaker.admit(later, LONGEST).unwrap();
    assert!(breaker.admit(later + 2 * LONGEST - Duration::from_nanos(1), LONGEST).is_none());
    let probe = breaker.admit(later + 2 * LONGEST, LONGEST).unwrap();
    assert_eq!(settle(&mut breaker, &lost, Outcome::Failed, later + 2 * LONGEST), None);
    assert!(settle(&mut breaker, &probe, Outcome::Answered, later + 2 * LONGEST).is_some());
}

/// What may happen next.
#[derive(Clone, Debug)]
enum Step {
    Ask,
    /// Ends one of the calls under way, the nth modulo their number.
    End(usize, Outcome),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Failed),
        1 => Just(Outcome::Answered),
        1 => Just(Outcome::Cancelled),
    ];
    let step = prop_oneof![
        3 => Just(Step::Ask),
        3 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::End(which, outcome)),
        1 => (0_u64..40_000).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 0..300)
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_it_opens_only_for_a_reason_probes_one_by_one_and_recovers(
        threshold in 1_u32..7,
        steps in steps(),
    ) {
        let mut now = Instant::now();
        // A probe is lost only after a time that no step takes.
        let longest = Duration::from_secs(3_600);
        let mut breaker = Breaker::new(threshold);
        let mut under_way = Vec::new();
        // Failures since the last answer, of calls that began since the last change.
        let mut in_a_row = 0;
        for step in steps {
            match step {
                Step::Ask => under_way.extend(breaker.admit(now, longest)),
                Step::Pass(milliseconds) => now += Duration::from_millis(milliseconds),
                Step::End(..) if under_way.is_empty() => {}
                Step::End(which, outcome) => {
                    let call = under_way.swap_remove(which % under_way.len());
                    let was_probe = call.probe;
                    match outcome {
                        Outcome::Failed if call.generation == breaker.generation => in_a_row += 1,
                        Outcome::Answered if call.generation == breaker.generation => in_a_row = 0,
                        _ => {}
                    }
                    match settle(&mut breaker, &call, outcome, now) {
                        Some(Seen::Failure(
                            change @ (Change::Opened { wait } | Change::ProbeFailed { wait }),
                        )) => {
                            prop_assert_eq!(outcome, Outcome::Failed);
                            let reopened = matches!(change, Change::ProbeFailed { .. });
                            prop_assert_eq!(was_probe, reopened);
                            prop_assert!(was_probe || in_a_row == threshold);
                            in_a_row = 0;
                            prop_assert!(wait <= Duration::from_secs(30));
                            prop_assert!(breaker.admit(now, longest).is_none());
                        }
                        Some(Seen::Closed) => {
                            prop_assert!(was_probe && outcome == Outcome::Answered);
                            in_a_row = 0;
                        }
                        None => {}
                    }
                }
            }
            let probes = under_way.iter().filter(|call| call.probe).count();
            prop_assert!(probes <= 1);
        }
        // All calls end well, and time goes by: then the service is asked as ever.
        for call in under_way {
            let _ = settle(&mut breaker, &call, Outcome::Cancelled, now);
        }
        now += Duration::from_secs(31);
        let call = breaker.admit(now, longest).expect("it has waited long enough");
        let _ = settle(&mut breaker, &call, Outcome::Answered, now);
        prop_assert!(breaker.admit(now, longest).is_some());
        prop_assert!(breaker.admit(now, longest).is_some());
    }
}
