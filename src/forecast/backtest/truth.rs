//! What really happened? Events of a trace and the times at which a forecast is judged.

use super::trace::TracePoint;
use crate::units::u64_as_f64;

/// Distance of the judged times, seconds.
pub(super) const STEP: i64 = 60;
/// Judging starts this long after the first sample.
const WARMUP: i64 = 900;
/// A level is armed after this long at or above the threshold.
const REARM: i64 = 600;
/// A time is judged only if the newest sample is at most this old.
pub(super) const MAX_AGE: i64 = 300;

/// Events and judged times of one trace and threshold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Truth {
    /// First samples below the threshold after ten minutes at or above it.
    pub(super) events: Vec<i64>,
    /// Multiples of a minute at which the threshold was armed and the newest sample fresh.
    pub(super) judged: Vec<i64>,
}

/// Every minute from the first sample to the last.
pub(super) fn minutes(points: &[TracePoint]) -> impl Iterator<Item = i64> {
    let first = points.first().map_or(0, |point| point.at);
    let last = points.last().map_or(-1, |point| point.at);
    let start = first.div_euclid(STEP) + i64::from(first.rem_euclid(STEP) != 0);
    (start..=last.div_euclid(STEP)).map(|minute| minute * STEP)
}

/// Finds the events below `part` of the size.
pub(super) fn truth(points: &[TracePoint], part: f64) -> Truth {
    let mut truth = Truth::default();
    let first = points.first().map_or(0, |point| point.at);
    // The first sample at or above the line since the last one below it.
    let mut above_since: Option<i64> = None;
    let mut last_below: Option<i64> = None;
    let mut newest: Option<(i64, bool)> = None;
    let mut rest = points.iter().peekable();
    for minute in minutes(points) {
        while let Some(point) = rest.next_if(|point| point.at <= minute) {
            let below = u64_as_f64(point.available) < part * u64_as_f64(point.size);
            if below {
                if above_since.is_some_and(|since| point.at - since >= REARM) {
                    truth.events.push(point.at);
                }
                above_since = None;
                last_below = Some(point.at);
            } else {
                above_since.get_or_insert(point.at);
            }
            newest = Some((point.at, below));
        }
        let armed = above_since.is_some_and(|since| minute - since >= REARM)
            && last_below.is_none_or(|last| minute - last > REARM);
        let fresh = newest.is_some_and(|(at, below)| minute - at <= MAX_AGE && !below);
        if armed && fresh && minute >= first + WARMUP {
            truth.judged.push(minute);
        }
    }
    // Samples after the last whole minute may still hold an event.
    for point in rest {
        let below = u64_as_f64(point.available) < part * u64_as_f64(point.size);
        if below && above_since.take().is_some_and(|since| point.at - since >= REARM) {
            truth.events.push(point.at);
        } else if !below {
            above_since.get_or_insert(point.at);
        }
    }
    truth
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(levels: impl Fn(i64) -> u64) -> Vec<TracePoint> {
        (0..400).map(|i| i * 15).map(|at| TracePoint { at, size: 1_000, available: levels(at) }).collect()
    }

    #[test]
    fn a_crossing_is_one_event_and_ends_the_judged_times() {
        let truth = truth(&points(|at| if at < 3_000 { 500 } else { 100 }), 0.16);
        assert_eq!(truth.events, [3_000]);
        assert_eq!((truth.judged.first(), truth.judged.last()), (Some(&900), Some(&2_940)));
    }

    #[test]
    fn hovering_around_the_line_is_no_new_event() {
        let truth = truth(&points(|at| if at < 3_000 || at % 600 < 300 { 500 } else { 100 }), 0.16);
        assert_eq!(truth.events, [3_300]);
    }

    #[test]
    fn a_gap_is_not_judged() {
        let mut points = points(|_| 500);
        points.retain(|point| point.at < 2_000 || point.at > 4_000);
        let judged = truth(&points, 0.16).judged;
        assert!(!judged.iter().any(|minute| (2_300..4_000).contains(minute)));
    }
}
