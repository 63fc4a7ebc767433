//! Draw how much happened in each second of the last minutes.
//!
//! Everything is drawn in steps into a box of 300 by 100, a unit for each second.

use std::fmt::Write as _;

use super::view::{MinuteView, PlotView};
use super::words::grouped;
use crate::clock::Moment;
use crate::console::journal::{Rates, SECONDS, TrafficCounts};

pub(crate) fn plot(rates: &Rates, now: Moment) -> PlotView {
    let (mut seconds, mut minutes) =
        ([TrafficCounts::default(); WIDTH], [TrafficCounts::default(); 5]);
    let mut sum = TrafficCounts::default();
    for (ago, counts) in rates.since(now) {
        sum.add(counts);
        let ago = usize::try_from(ago).unwrap_or(usize::MAX);
        // The present second is not over, so it is not drawn: it would look like a fall.
        if let Some(second) = WIDTH.checked_sub(ago).and_then(|place| seconds.get_mut(place)) {
            *second = counts;
        }
        if let Some(minute) = minutes.get_mut(ago / 60) {
            minute.add(counts);
        }
    }
    let most = seconds.iter().map(|s| s.events.max(s.decisions())).max().unwrap_or(0);
    let peak = seconds.iter().map(|second| second.events).max().unwrap_or(0);
    let top = round_up(most);
    let area =
        |value: fn(&TrafficCounts) -> u64| format!("M0 100{}V100Z", steps(&seconds, top, value));
    let events = steps(&seconds, top, |second| second.events);
    PlotView {
        events_path: format!("M0 {}{events}", height(seconds[0].events, top)),
        // Each covers the lower part of the one before it.
        blocked_path: area(|second| second.decisions()),
        challenged_path: area(|second| second.allowed + second.challenged),
        allowed_path: area(|second| second.allowed),
        top: format!("{} a second", grouped(top)),
        events: grouped(sum.events),
        allowed: grouped(sum.allowed),
        challenged: grouped(sum.challenged),
        blocked: grouped(sum.blocked),
        label: format!(
            "The last five minutes: {} events, at most {} in a second; {} decisions to allow, \
             {} to challenge, {} to block.",
            grouped(sum.events),
            grouped(peak),
            grouped(sum.allowed),
            grouped(sum.challenged),
            grouped(sum.blocked),
        ),
        minutes: minutes.iter().enumerate().map(|(ago, counts)| minute(ago, *counts)).collect(),
    }
}

fn minute(ago: usize, counts: TrafficCounts) -> MinuteView {
    MinuteView {
        id: ago.to_string(),
        name: format!("{ago} to {}", ago + 1),
        events: grouped(counts.events),
        allowed: grouped(counts.allowed),
        challenged: grouped(counts.challenged),
        blocked: grouped(counts.blocked),
    }
}

/// A stair over all seconds, with a step where the value changes.
fn steps(seconds: &[TrafficCounts], top: u64, value: impl Fn(&TrafficCounts) -> u64) -> String {
    let mut path = String::new();
    let mut start = 0;
    for run in seconds.chunk_by(|one, next| value(one) == value(next)) {
        start += run.len();
        let _ = write!(path, "V{}H{start}", height(value(&run[0]), top));
    }
    path
}

/// How far from the upper edge a value is drawn, in tenths.
fn height(value: u64, top: u64) -> String {
    let tenths = 1000 - 1000 * u128::from(value) / u128::from(top);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => whole.to_string(),
        (whole, tenth) => format!("{whole}.{tenth}"),
    }
}

/// The next of 10, 20, 50, 100, 200 and so on.
fn round_up(most: u64) -> u64 {
    let scale = [1, 2, 5].iter().copied().cycle();
    let powers = (1..18).flat_map(|power| [10_u64.pow(power); 3]);
    scale.zip(powers).map(|(step, power)| step * power).find(|top| *top >= most).unwrap_or(most)
}

const WIDTH: usize = SECONDS as usize;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::START.after(Duration::from_secs(seconds))
    }

    #[test]
    fn nothing_is_a_flat_line() {
        let plot = plot(&Rates::default(), at(0));
        assert_eq!(plot.events_path, "M0 100V100H300");
        assert_eq!(plot.top, "10 a second");
    }

    #[test]
    fn a_second_is_drawn_when_it_is_over_and_moves_to_the_left() {
        let mut rates = Rates::default();
        rates.at(at(7)).events = 5;
        assert_eq!(plot(&rates, at(7)).events_path, "M0 100V100H300");
        assert_eq!(plot(&rates, at(8)).events_path, "M0 100V100H299V50H300");
        assert_eq!(plot(&rates, at(9)).events_path, "M0 100V100H298V50H299V100H300");
        assert_eq!(plot(&rates, at(307)).events_path, "M0 50V50H1V100H300");
        assert_eq!(plot(&rates, at(308)).events_path, "M0 100V100H300");
    }

    #[test]
    fn decisions_stand_on_one_another() {
        let mut rates = Rates::default();
        *rates.at(at(0)) = TrafficCounts { events: 0, allowed: 1, challenged: 2, blocked: 3 };
        let plot = plot(&rates, at(1));
        assert_eq!(plot.allowed_path, "M0 100V100H299V90H300V100Z");
        assert_eq!(plot.challenged_path, "M0 100V100H299V70H300V100Z");
        assert_eq!(plot.blocked_path, "M0 100V100H299V40H300V100Z");
    }

    #[test]
    fn the_scale_is_a_round_number() {
        for (most, top) in [(0, 10), (10, 10), (11, 20), (21, 50), (980, 1000), (1001, 2000)] {
            assert_eq!(round_up(most), top, "{most}");
        }
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn each_minute_has_its_numbers() {
        let mut rates = Rates::default();
        rates.at(at(0)).events = 1;
        rates.at(at(59)).allowed = 1234;
        rates.at(at(60)).blocked = 2;
        let plot = plot(&rates, at(60));
        let numbers: Vec<_> = plot.minutes.iter().map(|m| (&*m.events, &*m.allowed)).collect();
        assert_eq!(numbers[..2], [("0", "1,234"), ("1", "0")]);
        assert_eq!((&*plot.minutes[0].blocked, &*plot.blocked), ("2", "2"));
    }
}
