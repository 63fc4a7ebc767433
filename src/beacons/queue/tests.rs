use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn event(number: u64) -> Box<Job> {
    Job::new(BeaconEvent::new("x").with_timestamp(i64::try_from(number).unwrap()))
}

fn queue(events: usize, bytes: usize) -> Queue {
    Queue::new(Limits { events, bytes })
}

fn send(queue: &mut Queue, numbers: std::ops::Range<u64>) {
    for number in numbers {
        drop(queue.accept(event(number), Some(10)));
    }
}

fn number(entry: &Entry) -> i64 {
    entry.job.event.timestamp.unwrap()
}

/// All that is taken now, in order.
fn drain(queue: &mut Queue, now: Instant) -> Vec<i64> {
    let mut numbers = Vec::new();
    while let Some(entry) = queue.take(now) {
        numbers.push(number(&entry));
        queue.delivered(&entry);
    }
    numbers
}

#[test]
fn events_leave_in_the_order_in_which_they_came() {
    let mut queue = queue(10, 1000);
    send(&mut queue, 0..5);
    assert_eq!(drain(&mut queue, Instant::now()), [0, 1, 2, 3, 4]);
    assert_eq!((queue.queued(), queue.bytes, queue.delivered_so_far()), (0, 0, 5));
}

#[test]
fn the_oldest_that_is_not_on_its_way_gives_way() {
    let mut queue = queue(3, 1000);
    let now = Instant::now();
    send(&mut queue, 0..3);
    let (zero, one) = (queue.take(now).unwrap(), queue.take(now).unwrap());
    queue.put_back(one, now + Duration::from_secs(1));
    send(&mut queue, 3..4);
    // 1 was tried before, and is older than what was not.
    send(&mut queue, 4..5);
    queue.put_back(zero, now);
    assert_eq!(drain(&mut queue, now), [0, 3, 4]);
    assert_eq!(queue.dropped_so_far().of(DropReason::Full), 2);
}

#[test]
fn a_new_event_gives_way_where_all_others_are_on_their_way() {
    let mut queue = queue(1, 1000);
    let now = Instant::now();
    send(&mut queue, 0..1);
    let zero = queue.take(now).unwrap();
    send(&mut queue, 1..2);
    assert_eq!((queue.queued(), queue.dropped_so_far().of(DropReason::Full)), (1, 1));
    queue.delivered(&zero);
    assert_eq!(drain(&mut queue, now), [0_i64; 0]);
}

#[test]
fn an_event_larger_than_the_queue_drives_out_nobody() {
    let mut queue = queue(10, 100);
    send(&mut queue, 0..10);
    drop(queue.accept(event(10), Some(101)));
    assert_eq!((queue.queued(), queue.bytes), (10, 100));
    drop(queue.accept(event(11), Some(95)));
    assert_eq!((queue.queued(), queue.bytes), (1, 95));
}

#[test]
fn an_event_that_failed_waits_for_its_time() {
    let mut queue = queue(10, 1000);
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    send(&mut queue, 0..2);
    let zero = queue.take(now).unwrap();
    queue.put_back(zero, later);
    assert_eq!(drain(&mut queue, now), [1]);
    assert_eq!(queue.left_of(1), 1);
    assert_eq!(drain(&mut queue, later), [0]);
}

#[test]
fn an_event_whose_time_has_come_does_not_wait_behind_one_that_failed_before_it() {
    let mut queue = queue(10, 1000);
    let now = Instant::now();
    send(&mut queue, 0..2);
    let (zero, one) = (queue.take(now).unwrap(), queue.take(now).unwrap());
    queue.put_back(zero, now + Duration::from_secs(60));
    queue.put_back(one, now + Duration::from_secs(1));
    assert_eq!(drain(&mut queue, now + Duration::from_secs(1)), [1]);
    assert_eq!(drain(&mut queue, now + Duration::from_secs(60)), [0]);
}

#[test]
fn a_probe_is_rather_one_that_was_never_tried() {
    let mut queue = queue(10, 1000);
    let now = Instant::now();
    send(&mut queue, 0..2);
    let zero = queue.take(now).unwrap();
    queue.put_back(zero, now + Duration::from_secs(60));
    let taken = [queue.take_probe(), queue.take_probe(), queue.take_probe()];
    let numbers: Vec<_> = taken.iter().flatten().map(number).collect();
    assert_eq!(numbers, [1, 0]);
}

/// What may happen to a queue, in any order.
#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Take,
    Probe,
    Deliver(usize),
    Drop(usize),
    PutBack(usize, u64),
    Wait(u64),
    Close,
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..40_usize).prop_map(Step::Send),
        4 => Just(Step::Take),
        1 => Just(Step::Probe),
        2 => any::<usize>().prop_map(Step::Deliver),
        1 => any::<usize>().prop_map(Step::Drop),
        2 => (any::<usize>(), 0..5_u64).prop_map(|(which, wait)| Step::PutBack(which, wait)),
        1 => (0..5_u64).prop_map(Step::Wait),
        1 => prop_oneof![20 => Just(Step::Take), 1 => Just(Step::Close), 1 => Just(Step::Clear)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_counts_add_up_and_the_bounds_hold_whatever_happens(
        events in 1..12_usize,
        bytes in 1..120_usize,
        steps in proptest::collection::vec(step(), 0..300),
    ) {
        let mut queue = queue(events, bytes);
        let mut now = Instant::now();
        let mut in_flight: Vec<Entry> = Vec::new();
        let mut sent = 0;
        let mut ended = 0;
        for step in steps {
            match step {
                Step::Send(weight) => {
                    drop(queue.accept(event(sent), Some(weight)));
                    sent += 1;
                }
                Step::Take => in_flight.extend(queue.take(now)),
                Step::Probe => in_flight.extend(queue.take_probe()),
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
                Step::Close => queue.close(DropReason::Closed),
                Step::Clear => drop(queue.clear(DropReason::Abandoned)),
                Step::Deliver(_) | Step::Drop(_) | Step::PutBack(..) if in_flight.is_empty() => {}
                Step::Deliver(which) => {
                    queue.delivered(&in_flight.swap_remove(which % in_flight.len()));
                    ended += 1;
                }
                Step::Drop(which) => {
                    let entry = in_flight.swap_remove(which % in_flight.len());
                    queue.dropped(&entry, DropReason::Refused);
                }
                Step::PutBack(which, wait) => {
                    let entry = in_flight.swap_remove(which % in_flight.len());
                    queue.put_back(entry, now + Duration::from_secs(wait));
                }
            }
            let queued = queue.queued() as u64;
            prop_assert_eq!(queue.accepted(), sent);
            prop_assert_eq!(queue.delivered_so_far(), ended);
            prop_assert_eq!(sent, ended + queue.dropped_so_far().total() + queued);
            prop_assert!(queue.queued() <= events && queue.bytes <= bytes);
            prop_assert_eq!(queue.queued(), queue.waiting() + in_flight.len());
            prop_assert_eq!(queue.left_of(sent), queue.queued());
            let entries = || queue.pending.iter().chain(&queue.retrying).chain(&in_flight);
            let older = entries().filter(|entry| entry.number < sent / 2).count();
            prop_assert_eq!(queue.left_of(sent / 2), older);
            let weight: usize = entries().map(|entry| entry.weight).sum();
            prop_assert_eq!(queue.bytes, weight);
        }
    }
}
