use super::*;
use crate::BeaconEvent;
use crate::beacons::queue::{Job, Limits, Queue};
use crate::beacons::stats::DropReason;

const SECOND: Duration = Duration::from_secs(1);

fn schedule() -> Schedule {
    Schedule::new(SECOND)
}

/// The end of the pause, after which there is a probe and nothing else.
fn pause_end(schedule: &Schedule, now: Instant) -> Instant {
    let Permit::NotBefore(until) = schedule.permit(now) else {
        panic!("{schedule:?}");
    };
    assert_eq!(schedule.permit(until - Duration::from_millis(1)), Permit::NotBefore(until));
    assert_eq!(schedule.permit(until), Permit::Probe);
    until
}

/// The waits between probes that all end in the same way, from the first failure on.
fn waits(schedule: &mut Schedule, failure: Failure, probes: usize) -> Vec<Duration> {
    let mut now = Instant::now();
    schedule.failed(now, failure, false);
    let mut waits = Vec::new();
    for _ in 0..probes {
        let until = pause_end(schedule, now);
        waits.push(until - now);
        now = until;
        schedule.probe();
        assert_eq!(schedule.permit(now), Permit::AfterProbe);
        schedule.failed(now, failure, true);
    }
    waits
}

fn assert_within(wait: Duration, least: Duration, most: Duration) {
    // The backoff reads the wall clock twice, which differs by a moment.
    let slack = Duration::from_millis(50);
    assert!(wait + slack >= least && wait <= most + slack, "{wait:?}: {least:?} to {most:?}");
}

#[test]
fn probes_of_an_outage_become_rarer_up_to_a_minute() {
    let waits = waits(&mut schedule(), Failure::Unreachable, 20);
    for (step, wait) in (0..).zip(waits) {
        let longest = SECOND * 2_u32.saturating_pow(step).min(60);
        assert_within(wait, SECOND / 2, longest);
    }
}

#[test]
fn probes_with_a_rejected_key_are_rarer_still() {
    let mut schedule = schedule();
    for (step, wait) in (0..).zip(waits(&mut schedule, Failure::KeyRejected, 10)) {
        let longest = (30 * SECOND * 2_u32.pow(step)).min(LONGEST_PAUSE);
        assert_within(wait, 15 * SECOND, longest);
    }
}

#[test]
fn a_rejected_key_is_news_once_until_it_is_accepted() {
    let mut schedule = schedule();
    let now = Instant::now();
    assert_eq!(schedule.failed(now, Failure::KeyRejected, false), Some(Cause::Rejection));
    assert_eq!(schedule.failed(now, Failure::KeyRejected, false), None);
    for outcome in [Failure::KeyRejected, Failure::Unreachable, Failure::KeyRejected] {
        schedule.probe();
        let news = schedule.failed(now, outcome, true);
        assert_eq!(news, (outcome == Failure::Unreachable).then_some(Cause::Outage));
    }
    schedule.probe();
    assert!(schedule.worked(true));
    assert_eq!(schedule.permit(now), Permit::Free);
    assert_eq!(schedule.failed(now, Failure::KeyRejected, false), Some(Cause::Rejection));
}

#[test]
fn what_was_sent_before_a_pause_neither_ends_nor_prolongs_it() {
    for failure in [Failure::Unreachable, Failure::KeyRejected] {
        let mut schedule = schedule();
        let now = Instant::now();
        schedule.failed(now, failure, false);
        let until = pause_end(&schedule, now);
        for _ in 0..15 {
            assert_eq!(schedule.failed(now, failure, false), None);
            assert!(!schedule.worked(false));
        }
        assert_eq!(schedule.permit(now), Permit::NotBefore(until));
        schedule.probe();
        schedule.failed(until, failure, false);
        schedule.worked(false);
        assert_eq!(schedule.permit(until), Permit::AfterProbe);
    }
}

#[test]
fn a_service_is_waited_for_as_it_asks_up_to_five_minutes() {
    for (asked, least, most) in [(7, 7, 7), (300, 300, 300), (u64::MAX, 300, 300), (0, 0, 1)] {
        let mut schedule = schedule();
        let now = Instant::now();
        schedule.failed(now, Failure::Busy(Some(Duration::from_secs(asked))), false);
        let wait = pause_end(&schedule, now) - now;
        assert_within(wait, Duration::from_secs(least), Duration::from_secs(most));
    }
    // The longest of several wins.
    let mut schedule = schedule();
    let now = Instant::now();
    for asked in [20, 30, 10] {
        schedule.failed(now, Failure::Busy(Some(Duration::from_secs(asked))), false);
    }
    assert_eq!(pause_end(&schedule, now) - now, 30 * SECOND);
    // A key that is rejected meanwhile is news, and makes it no shorter.
    schedule.failed(now, Failure::Busy(Some(LONGEST_PAUSE)), false);
    assert_eq!(schedule.failed(now, Failure::KeyRejected, false), Some(Cause::Rejection));
    assert_eq!(pause_end(&schedule, now) - now, LONGEST_PAUSE);
}

#[test]
fn single_bad_answers_do_not_stop_the_rest() {
    let mut schedule = schedule();
    let now = Instant::now();
    for number in 1..100 {
        assert_eq!(schedule.failed(now, Failure::BadAnswer, false), None);
        if number % (TOLERATED - 1) == 0 {
            schedule.worked(false);
        }
        assert_eq!(schedule.permit(now), Permit::Free);
    }
    schedule.worked(false);
    for _ in 1..TOLERATED {
        assert_eq!(schedule.failed(now, Failure::BadAnswer, false), None);
    }
    assert_eq!(schedule.failed(now, Failure::BadAnswer, false), Some(Cause::Outage));
    pause_end(&schedule, now);
}

#[test]
fn no_delay_makes_the_queue_spin() {
    for delay in [Duration::ZERO, Duration::MAX] {
        for wait in waits(&mut Schedule::new(delay), Failure::Unreachable, 5) {
            assert!(wait >= SHORTEST_DELAY / 2 && wait <= 2 * LONGEST_DELAY, "{wait:?}");
        }
    }
}

/// An hour without the service, a hundred events a second, with no clock but this one.
#[test]
fn an_hour_of_outage_costs_the_oldest_events_and_a_probe_for_each_step() {
    const STEP: Duration = Duration::from_millis(10);
    let limits = Limits { events: 1000, bytes: 100_000 };
    let (mut queue, mut schedule) = (Queue::new(limits), schedule());
    let start = Instant::now();
    let mut in_flight = Vec::new();
    let mut probes = 0;
    let mut number = 0_u32;
    let add_up = |queue: &Queue| {
        let dropped = queue.dropped_so_far().total();
        let sum = queue.delivered_so_far() + dropped + queue.queued() as u64;
        assert_eq!(queue.accepted(), sum);
        assert!(queue.queued() <= limits.events);
    };
    while STEP * number < 3600 * SECOND {
        let now = start + STEP * number;
        number += 1;
        drop(queue.accept(Job::new(BeaconEvent::new("x")), Some(90)));
        add_up(&queue);
        // All that is under way fails at the next step.
        for (entry, probe) in in_flight.drain(..) {
            schedule.failed(now, Failure::Unreachable, probe);
            queue.put_back(entry, now + schedule.wait_of(0));
        }
        loop {
            let (entry, probe) = match schedule.permit(now) {
                Permit::Free if in_flight.len() < 16 => (queue.take(now), false),
                Permit::Probe => (queue.take_probe(), true),
                _ => break,
            };
            let Some(entry) = entry else { break };
            if probe {
                schedule.probe();
                probes += 1;
            }
            in_flight.push((entry, probe));
            add_up(&queue);
        }
    }
    // After the first steps a wait is drawn between half a second and a minute: some 120 of them
    // make an hour. 60 is the least there can be, and 200 more than chance ever makes.
    assert!((60..=200).contains(&probes), "{probes}");
    assert_eq!(queue.accepted(), 360_000);
    assert_eq!(queue.dropped_so_far().of(DropReason::Full), 360_000 - 1000);

    // Back again: the probe ends the pause, and all that is left arrives, the newest included.
    let mut now = start + 7200 * SECOND;
    for (entry, probe) in in_flight.drain(..) {
        schedule.failed(now, Failure::Unreachable, probe);
        queue.put_back(entry, now);
    }
    now += 7200 * SECOND;
    let probe = queue.take_probe().unwrap();
    assert_eq!(schedule.permit(now), Permit::Probe);
    schedule.probe();
    assert!(schedule.worked(true));
    queue.delivered(&probe);
    while let Some(entry) = queue.take(now) {
        queue.delivered(&entry);
        add_up(&queue);
    }
    assert_eq!((queue.queued(), queue.delivered_so_far()), (0, 1000));
}
