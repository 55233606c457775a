//! How fast does a level fall right now? Net rates over several windows that end now; the middle one is taken, so that
//! neither one burst nor one returned gigabyte decides for long.

use super::series::Point;

/// A rate and how far it may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    /// Units per second by which the level falls; negative while it rises.
    pub(super) fall: f64,
    /// Standard deviation of `fall`, from how far the windows disagree.
    pub(super) spread: f64,
    /// Seconds over which it was measured.
    pub(super) span: f64,
}

impl Rate {
    /// The rate in another unit.
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { fall: self.fall * factor, spread: self.spread * factor, span: self.span }
    }
}

/// The window of the fill rate, in seconds.
pub(super) const RATE_SECONDS: f64 = 120.0;
/// Fewer points say nothing about the spread.
const FEWEST_POINTS: usize = 3;
/// The windows, as parts of the time covered by the points.
const WINDOWS: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 1.0];

/// The rate over `points`, oldest first; `None` with fewer than three points or less than a second between them.
pub(super) fn recent_rate(points: &[Point]) -> Option<Rate> {
    let (oldest, newest) = (points.first()?, points.last()?);
    let span = newest.at - oldest.at;
    if points.len() < FEWEST_POINTS || span < 1.0 {
        return None;
    }
    let mut rates = WINDOWS.map(|part| mean_rate(points, *newest, part * span));
    rates.sort_unstable_by(f64::total_cmp);
    let [_, low, fall, high, _] = rates;
    // The inner three of five windows that share their end; a normal variable has 1.35 deviations between its quartiles.
    Some(Rate { fall, spread: (high - low) / 1.35, span })
}

/// Net rate over the last `window` seconds, or over the newest step where that is longer.
fn mean_rate(points: &[Point], newest: Point, window: f64) -> f64 {
    let before = points.partition_point(|point| point.at <= newest.at - window);
    let start = before.saturating_sub(1).min(points.len().saturating_sub(2));
    points.get(start).map_or(0.0, |start| (start.level - newest.level) / (newest.at - start.at))
}

/// The longest of a few windows, a minute or longer, over which the level fell on a line: no window that ends now and no
/// half of it differs by more than a tenth. `None` where there is none.
pub(super) fn steady_rate(points: &[Point]) -> Option<Rate> {
    const LENGTHS: [f64; 6] = [3_600.0, 1_800.0, 900.0, 300.0, 120.0, 60.0];
    const FEWEST_STEPS: usize = 4;
    const TOLERANCE: f64 = 0.03;
    let newest = *points.last()?;
    LENGTHS.into_iter().find_map(|length| {
        let window = points.get(points.partition_point(|point| point.at < newest.at - length)..)?;
        let oldest = window.first()?;
        let span = newest.at - oldest.at;
        // 0.9: with irregular samples the oldest point of a window lies somewhat inside it.
        if window.len() <= FEWEST_STEPS || span < 0.9 * length {
            return None;
        }
        let fall = (oldest.level - newest.level) / span;
        let off = window
            .iter()
            .map(|point| (oldest.level - fall * (point.at - oldest.at) - point.level).abs())
            .fold(0.0, f64::max);
        // On a line through the ends no point is off by more than a small part of the whole fall.
        (fall > 0.0 && off <= TOLERANCE / 2.0 * fall * span).then_some(Rate { fall, spread: off / span, span })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[(f64, f64)]) -> Vec<Point> {
        values.iter().map(|&(at, level)| Point { at, level }).collect()
    }

    fn every(step: f64, count: u32, level: impl Fn(f64) -> f64) -> Vec<Point> {
        (0..count).map(|i| f64::from(i) * step).map(|at| Point { at, level: level(at) }).collect()
    }

    #[test]
    fn a_straight_line_has_its_slope_and_no_spread() {
        let rate = recent_rate(&points(&[(0.0, 100.0), (1.0, 98.0), (3.0, 94.0), (4.0, 92.0)])).expect("four points");
        assert_eq!(rate, Rate { fall: 2.0, spread: 0.0, span: 4.0 });
    }

    #[test]
    fn space_given_back_long_ago_does_not_decide() {
        let rate = recent_rate(&every(5.0, 25, |at| 1_000.0 - at + if at > 40.0 { 500.0 } else { 0.0 }));
        assert!((rate.expect("two minutes").fall - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_pause_of_half_the_window_is_a_pause() {
        let rate = recent_rate(&every(5.0, 25, |at| 1_000.0 - at.min(55.0))).expect("two minutes");
        assert!(rate.fall.abs() < 1e-9);
    }

    #[test]
    fn two_points_are_not_enough() {
        assert_eq!(recent_rate(&points(&[(0.0, 1.0), (10.0, 0.0)])), None);
    }

    #[test]
    fn an_even_fill_is_steady_for_as_long_as_it_lasts() {
        let filled = every(5.0, 61, |at| if at < 200.0 { 1_000.0 } else { 1_200.0 - at });
        let rate = steady_rate(&filled).expect("a minute of even fill");
        assert!((rate.fall - 1.0).abs() < 1e-9 && (rate.span - 60.0).abs() < 1e-9, "{rate:?}");
    }

    #[test]
    fn bursts_pauses_and_a_flat_disk_are_not_steady() {
        assert_eq!(steady_rate(&every(5.0, 61, |at| 1_000.0 - 30.0 * (at / 30.0).floor())), None);
        assert_eq!(steady_rate(&every(5.0, 61, |_| 1_000.0)), None);
    }
}
