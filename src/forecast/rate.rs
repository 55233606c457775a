//! How fast does a level fall right now? A median of slopes, so that one spike or one returned gigabyte does not decide.
//!
//! Source: the estimator of Theil and Sen (median of all pairwise slopes).

use super::series::Point;

/// A rate and how far it may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    /// Units per second by which the level falls; negative while it rises.
    pub(super) fall: f64,
    /// Standard deviation of `fall`.
    pub(super) spread: f64,
    /// Seconds over which it was measured.
    pub(super) span: f64,
}

/// Fewer points say nothing about the spread.
const FEWEST_POINTS: usize = 3;
/// More points add cost, not knowledge.
const MOST_POINTS: usize = 40;

/// The rate over `points`, oldest first; `None` with fewer than three points or less than a second between them.
pub(super) fn median_rate(points: &[Point]) -> Option<Rate> {
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    // Counted from the newest, so that the newest point always takes part.
    let chosen: Vec<Point> = points.iter().rev().step_by(stride).copied().collect();
    let (newest, oldest) = (chosen.first()?, chosen.last()?);
    let span = newest.at - oldest.at;
    if chosen.len() < FEWEST_POINTS || span < 1.0 {
        return None;
    }
    let mut slopes = Vec::with_capacity(chosen.len() * chosen.len() / 2);
    for (i, later) in chosen.iter().enumerate() {
        for earlier in chosen.iter().skip(i + 1) {
            let seconds = later.at - earlier.at;
            if seconds > 0.0 {
                slopes.push((earlier.level - later.level) / seconds);
            }
        }
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let fall = quantile(&slopes, 0.5)?;
    // Quartiles of slopes between neighbours scatter by sampling noise; the share that survives in the median shrinks
    // with the number of points. 1.35 standard deviations lie between the quartiles of a normal distribution.
    let quartiles = quantile(&slopes, 0.75)? - quantile(&slopes, 0.25)?;
    let independent = f64::from(u32::try_from(chosen.len()).unwrap_or(u32::MAX)) / 2.0;
    Some(Rate { fall, spread: quartiles / 1.35 / independent.sqrt(), span })
}

fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get(crate::forecast::series::floor_index(q * crate::units::u64_as_f64(u64::try_from(last).ok()?))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[(f64, f64)]) -> Vec<Point> {
        values.iter().map(|&(at, level)| Point { at, level }).collect()
    }

    #[test]
    fn a_straight_line_has_its_slope_and_no_spread() {
        let rate = median_rate(&points(&[(0.0, 100.0), (1.0, 98.0), (3.0, 94.0), (4.0, 92.0)])).expect("four points");
        assert_eq!(rate, Rate { fall: 2.0, spread: 0.0, span: 4.0 });
    }

    #[test]
    fn one_wild_value_does_not_decide() {
        let line = [(0.0, 100.0), (1.0, 99.0), (2.0, 98.0), (3.0, 5000.0), (4.0, 96.0), (5.0, 95.0), (6.0, 94.0)];
        let rate = median_rate(&points(&line)).expect("seven points");
        assert!((rate.fall - 1.0).abs() < 1e-9);
    }

    #[test]
    fn two_points_are_not_enough() {
        assert_eq!(median_rate(&points(&[(0.0, 1.0), (10.0, 0.0)])), None);
    }
}
