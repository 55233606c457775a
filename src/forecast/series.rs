//! What is kept of the past of one level? Points, dense where recent, sparse where old; and a day of minutes.

use super::minutes::{BLOCK_SECONDS, Minutes};
use super::past::Past;
use super::surface::{Surface, weighed};
use super::views::Views;
use serde::{Deserialize, Serialize};

/// One kept value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Point {
    /// Seconds on the history's own clock, which never runs backwards.
    pub(super) at: f64,
    /// Bytes or inodes available.
    pub(super) level: f64,
}

/// The recent past of bytes or inodes available.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Series {
    capacity: f64,
    points: Vec<Point>,
    minutes: Minutes,
    #[serde(skip)]
    views: Views,
}

const MOST_POINTS: usize = 128;
/// Points older than this say nothing about now.
const KEPT_SECONDS: f64 = 6.0 * 3_600.0;
/// A hole of this length or more is not bridged by a rate.
pub(super) const GAP_SECONDS: f64 = 300.0;

impl Series {
    /// Adds a value. A changed capacity shifts the past so that the resize itself is no rise or fall.
    pub(super) fn push(&mut self, at: f64, capacity: f64, level: f64) {
        if let Some(last) = self.points.last().copied() {
            if at <= last.at {
                return;
            }
            if (capacity - self.capacity).abs() > 0.0 {
                let shift = level - last.level;
                self.minutes.rescale(self.capacity / capacity, shift / capacity);
                self.views.clear();
                for point in &mut self.points {
                    point.level += shift;
                }
            }
        }
        self.capacity = capacity;
        self.minutes.push(number_of_block(at), level / capacity);
        self.views.keep_up(&self.minutes);
        let oldest = at - KEPT_SECONDS;
        self.points.retain(|point| point.at >= oldest);
        if self.points.len() >= MOST_POINTS {
            self.thin(at);
        }
        self.points.push(Point { at, level });
    }

    /// Removes the inner point whose neighbours are closest together for their age.
    fn thin(&mut self, now: f64) {
        let crowded = self
            .points
            .windows(3)
            .enumerate()
            .filter_map(|(i, three)| match three {
                [before, _, after] => Some((i + 1, (after.at - before.at) / (now - before.at + 30.0))),
                _ => None,
            })
            .min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((index, _)) = crowded {
            self.points.remove(index);
        }
    }

    /// The newest capacity, more than 0 once there is a value.
    pub(super) fn capacity(&self) -> f64 {
        self.capacity
    }

    /// Bytes of memory behind it.
    pub(super) fn heap_bytes(&self) -> usize {
        self.points.capacity() * size_of::<Point>() + self.minutes.heap_bytes() + self.views.heap_bytes()
    }

    /// The last day.
    pub(super) fn minutes(&self) -> &Minutes {
        &self.minutes
    }

    /// What the past said in the minutes before the newest one, newest first.
    pub(super) fn earlier(&self) -> Vec<Surface> {
        self.views.surfaces(&self.minutes)
    }

    /// What the fitted model weighs for a fall below `below`, by horizon in minutes; `None` before the first value.
    pub(super) fn weighed(&self, below: f64) -> Option<Vec<(usize, Vec<f64>)>> {
        let past = Past::new(&self.minutes, 0)?;
        let distance = (self.last()?.level - below) / self.capacity;
        Some(weighed(&past, distance).into_iter().map(|(minutes, values)| (minutes, values.to_vec())).collect())
    }

    /// The newest value.
    pub(super) fn last(&self) -> Option<Point> {
        self.points.last().copied()
    }

    /// The points of the last `seconds`, oldest first, none from before the last gap.
    pub(super) fn since(&self, seconds: f64) -> &[Point] {
        let Some(last) = self.last() else { return &[] };
        let start = self.points.partition_point(|point| point.at < last.at - seconds);
        let after_gap = self
            .points
            .windows(2)
            .rposition(|two| matches!(two, [a, b] if b.at - a.at >= GAP_SECONDS))
            .map_or(0, |i| i + 1);
        self.points.get(start.max(after_gap)..).unwrap_or(&[])
    }
}

/// A sample on the border of two minutes belongs to the one that ends: a question on the minute sees a whole block.
fn number_of_block(at: f64) -> u64 {
    u64::try_from(floor_index((at / BLOCK_SECONDS - 1e-9).max(0.0).ceil())).unwrap_or(u64::MAX)
}

/// The largest index not above `value`; 0 for negative values and NaN.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float-to-int `as` saturates, which is the documented behaviour"
)]
pub(super) fn floor_index(value: f64) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_seconds_stays_bounded_and_keeps_the_newest() {
        let mut series = Series::default();
        for second in 0..20_000 {
            series.push(f64::from(second), 1e9, 5e8);
        }
        assert_eq!(series.points.len(), 128);
        assert!(series.since(60.0).len() >= 16, "{}", series.since(60.0).len());
        assert_eq!(series.last().map(|p| p.at), Some(19_999.0));
    }

    #[test]
    fn a_gap_is_not_bridged() {
        let mut series = Series::default();
        for at in [0.0, 10.0, 20.0, 1_220.0, 1_230.0] {
            series.push(at, 1e9, 5e8);
        }
        assert_eq!(series.since(3_600.0).len(), 2);
    }

    #[test]
    fn a_resize_is_no_fill() {
        let mut series = Series::default();
        series.push(0.0, 1e9, 5e8);
        series.push(10.0, 5e8, 1e8);
        let levels: Vec<f64> = series.points.iter().map(|p| p.level).collect();
        assert_eq!(levels, [1e8, 1e8]);
    }
}
