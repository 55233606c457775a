//! How likely does a drifting random walk fall by a given amount within a given time? Closed formulas only.
//!
//! Sources: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.2.17 (normal distribution); the first-passage
//! probability of a Brownian motion with drift by the reflection principle.

use std::f64::consts::TAU;

/// Standard normal distribution function; absolute error below 1e-7. NaN stays NaN.
pub(super) fn normal_cdf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let polynomial =
        t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-0.5 * x * x).exp() / TAU.sqrt() * polynomial;
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Probability that a Gaussian path with total drift `drift` and standard deviation `spread` at its end has been at
/// `distance` or beyond at some time. `distance` > 0; `spread` 0 means certainty about the drift.
pub(super) fn first_passage(distance: f64, drift: f64, spread: f64) -> f64 {
    if distance <= 0.0 {
        return 1.0;
    }
    if spread <= 0.0 {
        return if drift >= distance { 1.0 } else { 0.0 };
    }
    // Both terms are below exp(-32) then; most distances are that far away.
    if distance - drift > 8.0 * spread {
        return 0.0;
    }
    let ended_beyond = normal_cdf((drift - distance) / spread);
    let z = (distance + drift) / spread;
    let exponent = 2.0 * drift * distance / (spread * spread);
    // For large z the product of a huge and a tiny number is replaced by its asymptote.
    let came_back = if z > 5.0 {
        (exponent - 0.5 * z * z).exp() / (z * TAU.sqrt())
    } else {
        exponent.min(700.0).exp() * normal_cdf(-z)
    };
    (ended_beyond + came_back).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_matches_its_table() {
        for (x, p) in [(-3.0, 0.001_349_9), (-1.281_551_6, 0.1), (0.0, 0.5), (1.959_964, 0.975), (8.0, 1.0)] {
            assert!((normal_cdf(x) - p).abs() < 2e-7, "{x}");
        }
    }

    #[test]
    fn without_drift_half_of_the_touching_paths_end_beyond() {
        // Reflection principle: P(touch) = 2 P(end beyond); one standard deviation away that is 2 * 0.158655.
        assert!((first_passage(1.0, 0.0, 1.0) - 0.317_310).abs() < 1e-6);
    }

    #[test]
    fn a_certain_drift_is_a_step() {
        assert!(first_passage(10.0, 9.9, 0.0) < 0.5);
        assert!(first_passage(10.0, 10.1, 0.0) > 0.5);
    }

    #[test]
    fn extreme_values_stay_probabilities() {
        for distance in [0.0, 1e-9, 1.0, 1e18] {
            for drift in [-1e18, -1.0, 0.0, 1.0, 1e18] {
                for spread in [0.0, 1e-9, 1.0, 1e18] {
                    let p = first_passage(distance, drift, spread);
                    assert!((0.0..=1.0).contains(&p), "{distance} {drift} {spread} {p}");
                }
            }
        }
    }
}
