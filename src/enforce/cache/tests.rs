//! What is kept, for how long, and how much of it.

use std::cell::Cell;

use http::Request;
use serde_json::json;

use super::super::question::Disclosure;
use super::*;

/// What is asked about a visitor's request.
fn question(visitor: u32) -> Question {
    let (parts, ()) = Request::get("/checkout").body(()).unwrap().into_parts();
    Question::of(&parts, std::net::Ipv4Addr::from(visitor).into(), &Disclosure::default())
}

fn of_service(action: &str) -> Decision {
    Decision::of_service(serde_json::from_value(json!({ "action": action })).unwrap())
}

fn lifetimes(allow: Duration, block: Duration) -> Lifetimes {
    Lifetimes { allow, block, chance: RandomState::new() }
}

#[tokio::test]
async fn distinct_visitors_without_end_stay_under_the_cap() {
    const CAP: u64 = 1_000;
    // The million takes a minute without optimisation.
    const VISITORS: u32 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let kept = Kept::new(&DecisionCache::new().with_capacity(CAP));
    let decisions = [of_service("allow"), of_service("block")];
    for visitor in 0..VISITORS {
        let decision = &decisions[visitor as usize % 2];
        let _ = kept.or(&question(visitor), None, async || decision.clone()).await;
        if visitor % 10_000 == 0 {
            // Without a rest for house-keeping, there may be a few more.
            assert!(kept.actions.entry_count() <= CAP + CAP / 2, "{kept:?}");
        }
    }
    kept.actions.run_pending_tasks().await;
    let there = kept.actions.iter().count() as u64;
    assert!((CAP / 2..=CAP).contains(&there), "{there}");
}

#[test]
fn decisions_that_were_kept_at_once_do_not_end_at_once() {
    let lifetimes = lifetimes(Duration::from_secs(10), Duration::from_secs(100));
    for (action, seconds) in [(MitigationAction::Allow, 10), (MitigationAction::Block, 100)] {
        let times = (0..1_000_u64).map(|number| {
            let time = lifetimes.expire_after_create(&[number, 0], &action, Instant::now());
            time.unwrap()
        });
        let times: Vec<_> = times.collect();
        let longest = Duration::from_secs(seconds);
        let (first, last) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
        assert!(first >= longest * 4 / 5 && last <= longest, "{first:?} {last:?}");
        assert!(last - first > longest / 10, "{first:?} {last:?}");
    }
}

#[tokio::test]
async fn no_time_is_too_long_and_none_keeps_nothing() {
    for (lifetime, calls) in
        [(Duration::MAX, 1), (Duration::from_nanos(u64::MAX), 1), (Duration::ZERO, 3)]
    {
        let options =
            DecisionCache::new().with_allow_lifetime(lifetime).with_block_lifetime(lifetime);
        for action in ["allow", "block"] {
            let (kept, asked) = (Kept::new(&options), Cell::new(0));
            for _ in 0..3 {
                let question = question(1);
                let decision = kept.or(&question, None, async || {
                    asked.set(asked.get() + 1);
                    of_service(action)
                });
                assert_eq!(decision.await.action.to_string(), action);
            }
            assert_eq!(asked.get(), calls, "{action} {lifetime:?}");
        }
    }
}

#[tokio::test]
async fn an_outcome_is_not_shared_under_another_policy() {
    let kept = Kept::new(&DecisionCache::new());
    let asked = Cell::new(0);
    for policy in [None, Some(FailurePolicy::open()), Some(FailurePolicy::closed())] {
        let ask = async || {
            asked.set(asked.get() + 1);
            of_service("allow")
        };
        for _ in 0..2 {
            assert!(kept.or(&question(1), policy, ask).await.is_allowed());
        }
    }
    assert_eq!(asked.get(), 3);
}
