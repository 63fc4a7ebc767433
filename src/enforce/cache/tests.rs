//! What is kept, for how long, and how much of it.

use std::cell::Cell;

use http::Request;
use serde_json::json;

use super::super::request::facts::Disclosure;
use super::*;
use crate::MitigationResponse;

/// What is asked about a visitor's request.
fn facts(visitor: u32) -> RequestFacts {
    let (parts, ()) = Request::get("/checkout").body(()).unwrap().into_parts();
    RequestFacts::of(&parts, std::net::Ipv4Addr::from(visitor).into(), &Disclosure::default())
}

fn of_service(action: &str) -> Decision {
    let response: MitigationResponse = serde_json::from_value(json!({ "action": action })).unwrap();
    response.into()
}

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn distinct_visitors_without_end_stay_under_the_cap() {
    const CAP: u64 = 1_000;
    // The million takes a minute without optimisation.
    const VISITORS: u32 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let cache = DecisionCache::new(CacheOptions::new().with_capacity(CAP));
    let decisions = [of_service("allow"), of_service("block")];
    for visitor in 0..VISITORS {
        let decision = &decisions[visitor as usize % 2];
        let _ = cache.or(&facts(visitor), None, DEADLINE, async || decision.clone(), |_| ()).await;
        if visitor % 10_000 == 0 {
            // Without a rest for house-keeping, there may be a few more.
            assert!(cache.actions.entry_count() <= CAP + CAP / 2, "{cache:?}");
        }
    }
    cache.actions.run_pending_tasks().await;
    let there = cache.actions.iter().count() as u64;
    assert!((CAP / 2..=CAP).contains(&there), "{there}");
}

#[test]
fn decisions_that_were_kept_at_once_do_not_end_at_once() {
    let lifetimes = Lifetimes { allow: Duration::from_secs(10), block: Duration::from_secs(100) };
    for (action, seconds) in [(MitigationAction::Allow, 10), (MitigationAction::Block, 100)] {
        let times: Vec<_> = (0..1_000).map(|_| lifetimes.of(action)).collect();
        let longest = Duration::from_secs(seconds);
        let (first, last) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
        assert!(first >= longest * 4 / 5 && last <= longest, "{first:?} {last:?}");
        assert!(last - first > longest / 10, "{first:?} {last:?}");
    }
}

#[test]
fn a_decision_that_takes_the_place_of_one_that_ended_has_a_time_of_its_own() {
    let lifetimes = Lifetimes { allow: Duration::from_secs(10), block: Duration::from_secs(100) };
    for (action, seconds) in [(MitigationAction::Allow, 10), (MitigationAction::Block, 100)] {
        for left in [None, Some(Duration::ZERO), Some(Duration::from_secs(3_600))] {
            let time = lifetimes.expire_after_update(&[0, 0], &action, Instant::now(), left);
            let longest = Duration::from_secs(seconds);
            assert!(time.is_some_and(|time| time >= longest * 4 / 5 && time <= longest));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_others_waits_no_longer_than_the_deadline() {
    const CALL: Duration = Duration::from_millis(200);
    let cache = DecisionCache::new(CacheOptions::new());
    let deadline = Duration::from_millis(300);
    let ask = async || {
        tokio::time::sleep(CALL).await;
        of_service("challenge")
    };
    let (facts, begun) = (facts(1), tokio::time::Instant::now());
    let one = async || {
        let decision = cache.or(&facts, None, deadline, ask, |_| ()).await;
        (decision.map(|decision| decision.action), begun.elapsed())
    };
    let (first, second) = tokio::join!(one(), one());
    assert_eq!(first.0, Some(MitigationAction::Challenge));
    // Its own challenge would have taken 400 ms.
    assert_eq!(second.0, None);
    assert!(second.1 <= deadline + Duration::from_millis(2), "{:?}", second.1);
}

#[tokio::test]
async fn no_time_is_too_long_and_none_keeps_nothing() {
    for (lifetime, calls) in
        [(Duration::MAX, 1), (Duration::from_nanos(u64::MAX), 1), (Duration::ZERO, 3)]
    {
        let options =
            CacheOptions::new().with_allow_lifetime(lifetime).with_block_lifetime(lifetime);
        for action in ["allow", "block"] {
            let (cache, asked) = (DecisionCache::new(options), Cell::new(0));
            for _ in 0..3 {
                let facts = facts(1);
                let ask = async || {
                    asked.set(asked.get() + 1);
                    of_service(action)
                };
                let decision = cache.or(&facts, None, DEADLINE, ask, |_| ());
                assert_eq!(decision.await.unwrap().action.to_string(), action);
            }
            assert_eq!(asked.get(), calls, "{action} {lifetime:?}");
        }
    }
}

#[tokio::test]
async fn an_outcome_is_not_shared_under_another_policy() {
    let cache = DecisionCache::new(CacheOptions::new());
    let asked = Cell::new(0);
    for policy in [None, Some(FailurePolicy::open()), Some(FailurePolicy::closed())] {
        let ask = async || {
            asked.set(asked.get() + 1);
            of_service("allow")
        };
        for _ in 0..2 {
            assert!(cache.or(&facts(1), policy, DEADLINE, ask, |_| ()).await.unwrap().is_allowed());
        }
    }
    assert_eq!(asked.get(), 3);
}
