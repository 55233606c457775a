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
    /// Lays out what was known `ago` blocks before the newest; `None` where that is nothing.
    pub(super) fn new(minutes: &Minutes, ago: usize) -> Option<Self> {
        let mut known = minutes.seen(ago).flatten().next()?.level;
        let mut past = Self { level: Vec::new(), fresh: Vec::new(), low: Vec::new(), fallen: Vec::new() };
        let mut fallen = 0.0;
        for minute in minutes.seen(ago) {
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

    /// The number of minutes, at least 1.
    pub(super) fn len(&self) -> usize {
        self.level.len()
    }

    /// The newest level.
    pub(super) fn now(&self) -> f64 {
        self.level.last().copied().unwrap_or(0.0)
    }

    /// Net fall over the last `window` minutes.
    pub(super) fn fall(&self, window: usize) -> f64 {
        let k = self.len() - 1;
        let start = k.saturating_sub(window);
        (at(&self.level, start) - self.now()) * scale(window, k - start)
    }

    /// What was written, not counting what was given back, over the last `window` minutes before and including minute `k`.
    pub(super) fn written(&self, k: usize, window: usize) -> f64 {
        let start = k.saturating_sub(window);
        (at(&self.fallen, k) - at(&self.fallen, start)) * scale(window, k - start)
    }

    /// How far the level is below its highest and above its lowest value of the last `window` minutes.
    pub(super) fn within_range(&self, window: usize) -> [f64; 2] {
        let now = self.now();
        let recent = self.level.iter().skip(self.len().saturating_sub(window + 1));
        let (high, low) = recent.fold((now, now), |(high, low), level| (f64::max(high, *level), f64::min(low, *level)));
        [high - now, now - low]
    }

    /// Root mean square change for a minute over the last `window` minutes, from changes over five minutes. What is given back
    /// at once was written before and tells how much the jobs write; but without falls there is nothing to fear, however
    /// much is given back.
    pub(super) fn volatility(&self, window: usize) -> f64 {
        let from = self.len().saturating_sub(window);
        let (mut all, mut falls) = (0.0, 0.0);
        let later = self.level.iter().skip(from.max(VOLATILITY_STEP));
        for (before, after) in self.level.iter().skip(from.saturating_sub(VOLATILITY_STEP)).zip(later) {
            let square = (before - after).powi(2);
            all += square;
            falls += if before > after { square } else { 0.0 };
        }
        let scale = float(self.len() - from) * float(VOLATILITY_STEP);
        (all / scale).sqrt().min(MOST_RELEASED * (falls / scale).sqrt())
    }

    /// How many times as much was written in the last three minutes as in any three minutes before this fill: those that ended
    /// eleven minutes ago or earlier. 0 while there is less than an hour to compare with.
    pub(super) fn novelty(&self) -> f64 {
        const WINDOW: usize = 3;
        const BEFORE: usize = 11;
        const FEWEST: usize = 60;
        /// Less in three minutes is nothing, on any disk: a hundred-thousandth of it.
        const LEAST: f64 = 1e-5;
        if self.len() <= FEWEST {
            return 0.0;
        }
        let written = |(before, after): (&f64, &f64)| after - before;
        let all = self.fallen.iter().zip(self.fallen.iter().skip(WINDOW));
        let most = all.take(self.len() - WINDOW - BEFORE).map(written).fold(LEAST, f64::max);
        let k = self.len() - 1;
        (at(&self.fallen, k) - at(&self.fallen, k - WINDOW)) / most
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
        Past::new(&minutes, 0).expect("not empty")
    }

    fn assert_near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} for {expected}");
    }

    #[test]
    fn what_is_given_back_does_not_hide_what_was_written() {
        let past = past(&[0.9, 0.8, 0.95, 0.85]);
        assert_near(past.fall(3), 0.05);
        assert_near(past.written(3, 3), 0.2);
        let [below, above] = past.within_range(3);
        assert_near(below, 0.1);
        assert_near(above, 0.05);
    }

    #[test]
    fn a_short_past_is_scaled_up() {
        assert_near(past(&[0.9, 0.8]).fall(10), 1.0);
        assert_near(past(&[0.9]).fall(10), 0.0);
    }

    #[test]
    fn volatility_of_a_line_is_its_slope_times_the_root_of_the_step() {
        let line: Vec<f64> = (0..100).map(|i| 0.9 - 0.001 * float(i)).collect();
        assert_near(past(&line).volatility(30), 0.001 * 5f64.sqrt());
    }
    #[test]
    fn a_fill_is_new_as_long_as_nothing_like_it_was_seen_before() {
        // Ten minutes of 0.001 a minute; calm; then a fill of 0.004 a minute.
        let level = |i: usize| 0.9 - 0.001 * float(i.min(10)) - 0.004 * float(i.saturating_sub(100));
        let novelty = |minutes: usize| past(&(0..minutes).map(level).collect::<Vec<_>>()).novelty();
        assert_near(novelty(60), 0.0);
        assert_near(novelty(101), 0.0);
        assert_near(novelty(104), 4.0);
        assert_near(novelty(112), 4.0);
        assert_near(novelty(115), 1.0);
    }
}
