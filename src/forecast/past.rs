//! How did the level move up to a given minute? Levels as fractions of the capacity, times in minutes.
//!
//! Falls are positive. A window that reaches beyond the beginning is measured as far as there is a past and scaled up.

use super::minutes::Minutes;

/// The minutes of one level, laid out for arithmetic.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Past {
    /// The newest known level of each minute.
    pub(super) level: Vec<f64>,
    /// Whether the minute had a sample of its own.
    pub(super) fresh: Vec<bool>,
    /// The lowest level of each minute; infinite where there was no sample.
    pub(super) low: Vec<f64>,
    /// Sum of all falls from minute to minute so far, rises left out.
    fallen: Vec<f64>,
}

/// Volatility is measured on changes over this many minutes: long enough to even out single layers of an image.
const VOLATILITY_STEP: usize = 5;
/// Jobs that write for half an hour and give back within minutes move the level up to this much faster up than down.
const MOST_RELEASED: f64 = 5.0;

impl Past {
    /// Lays out the blocks; `None` where there are none.
    pub(super) fn new(minutes: &Minutes) -> Option<Self> {
        let mut known = minutes.iter().flatten().next()?.level;
        let mut past = Self { level: Vec::new(), fresh: Vec::new(), low: Vec::new(), fallen: Vec::new() };
        let mut fallen = 0.0;
        for minute in minutes.iter() {
            let before = known;
            known = minute.map_or(before, |m| m.level);
            fallen += (before - known).max(0.0);
            past.level.push(known);
            past.fresh.push(minute.is_some());
            past.low.push(minute.map_or(f64::INFINITY, |m| m.low));
            past.fallen.push(fallen);
        }
        Some(past)
    }

    /// The number of minutes.
    pub(super) fn len(&self) -> usize {
        self.level.len()
    }

    /// Net fall over the last `window` minutes before and including minute `k`.
    pub(super) fn fall(&self, k: usize, window: usize) -> f64 {
        let start = k.saturating_sub(window);
        (at(&self.level, start) - at(&self.level, k)) * scale(window, k - start)
    }

    /// The same, counting falls only: what was written, not what was given back.
    pub(super) fn written(&self, k: usize, window: usize) -> f64 {
        let start = k.saturating_sub(window);
        (at(&self.fallen, k) - at(&self.fallen, start)) * scale(window, k - start)
    }

    /// How far the level is below its highest value of the last `window` minutes.
    pub(super) fn below_peak(&self, k: usize, window: usize) -> f64 {
        let now = at(&self.level, k);
        let from = k.saturating_sub(window);
        self.level.iter().take(k + 1).skip(from).fold(now, |peak, level| peak.max(*level)) - now
    }

    /// Root mean square change for a minute over the last `window` minutes, from changes over five minutes. What is given back
    /// at once was written before and tells how much the jobs write; but without falls there is nothing to fear, however
    /// much is given back.
    pub(super) fn volatility(&self, k: usize, window: usize) -> f64 {
        let from = (k + 1).saturating_sub(window);
        let (mut all, mut falls) = (0.0, 0.0);
        let later = self.level.iter().take(k + 1).skip(from.max(VOLATILITY_STEP));
        for (before, after) in self.level.iter().skip(from.saturating_sub(VOLATILITY_STEP)).zip(later) {
            let square = (before - after).powi(2);
            all += square;
            falls += if before > after { square } else { 0.0 };
        }
        let scale = float(k + 1 - from) * float(VOLATILITY_STEP);
        (all / scale).sqrt().min(MOST_RELEASED * (falls / scale).sqrt())
    }
}

/// The value at an index that exists by construction; 0 otherwise.
pub(super) fn at(values: &[f64], index: usize) -> f64 {
    values.get(index).copied().unwrap_or(0.0)
}

/// A small count as a float.
pub(super) fn float(count: usize) -> f64 {
    crate::units::u64_as_f64(u64::try_from(count).unwrap_or(u64::MAX))
}

fn scale(window: usize, measured: usize) -> f64 {
    if measured == 0 { 0.0 } else { float(window) / float(measured) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(levels: &[f64]) -> Past {
        let mut minutes = Minutes::default();
        for (number, level) in levels.iter().enumerate() {
            minutes.push(u64::try_from(number).expect("small"), *level);
        }
        Past::new(&minutes).expect("not empty")
    }

    fn assert_near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} for {expected}");
    }

    #[test]
    fn what_is_given_back_does_not_hide_what_was_written() {
        let past = past(&[0.9, 0.8, 0.95, 0.85]);
        assert_near(past.fall(3, 3), 0.05);
        assert_near(past.written(3, 3), 0.2);
        assert_near(past.below_peak(3, 3), 0.1);
    }

    #[test]
    fn a_short_past_is_scaled_up() {
        assert_near(past(&[0.9, 0.8]).fall(1, 10), 1.0);
        assert_near(past(&[0.9]).fall(0, 10), 0.0);
    }

    #[test]
    fn volatility_of_a_line_is_its_slope_times_the_root_of_the_step() {
        let line: Vec<f64> = (0..100).map(|i| 0.9 - 0.001 * float(i)).collect();
        assert_near(past(&line).volatility(99, 30), 0.001 * 5f64.sqrt());
    }
}
