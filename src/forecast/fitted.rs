//! What do many nodes have in common? A logistic model of scale-free indicators; its constants are the only fitted ones.
//!
//! Fitted on 59 traces of 24 h from simulated and small real CI nodes, minutes from the fifteenth on; `docs/adr/0003-forecast.md`
//! has the figures with whole families of traces left out in turn. Every indicator is a ratio of amounts or a number of
//! minutes, so that the size of the disk does not matter.

use super::drawdown::NEAREST;

/// What is known before the distance is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Indicators {
    /// Net fall a minute over the last 1 and 10 minutes.
    pub(super) fall: [f64; 2],
    /// Written a minute over the last 10, 360 and 1,440 minutes; depth below the peak of 3 minutes, a minute.
    pub(super) pace: [f64; 4],
    /// Volatility for a minute over the last 360 and 1,440 minutes.
    pub(super) volatility: [f64; 2],
    /// Depth below the peak of the last 360 minutes.
    pub(super) depth: f64,
}

/// The model for one horizon, with everything taken in but the distance.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Model {
    minutes: f64,
    weights: [f64; WEIGHTS.len()],
    base: f64,
    indicators: Indicators,
    log_pace: [f64; 4],
    log_volatility: [f64; 2],
}

/// Each weight is a + b l + c l^2 with l = ln(horizon / 30 min).
type Curve = [f64; 3];

const BASE: Curve = [-1.2360, -0.1960, 0.2053];
#[rustfmt::skip]
const WEIGHTS: [Curve; 12] = [
    [0.5016, -0.0902, -0.0016], // own past
    [0.2234, -0.1247, 0.0222], // net fall, 1 min
    [-0.1443, 0.1645, -0.0535], // net fall, 10 min
    [0.2598, -0.1795, 0.0131], // written, 10 min
    [-0.1844, 0.0470, 0.0524], // written, 6 h
    [-0.1215, -0.1893, -0.0506], // written, 24 h
    [0.0383, -0.0070, -0.0014], // below peak of 3 min
    [0.3228, 0.0580, -0.0601], // volatility, 6 h
    [0.3627, 0.1829, 0.0498], // volatility, 24 h
    [0.0790, 0.0289, 0.0019], // its square
    [-0.8680, -0.1765, 0.0528], // below peak of 6 h
    [-0.5362, -0.1842, 0.0256], // distance
];

/// Logits of probabilities nearer to 0 or 1 than this say no more.
const SUREST: f64 = 2e-3;

impl Model {
    /// The model for a horizon in minutes.
    pub(super) fn at(minutes: f64, indicators: &Indicators) -> Self {
        let l = (minutes / 30.0).ln();
        let curve = |[a, b, c]: Curve| (c * l + b) * l + a;
        let log = |value: f64, least: f64| value.max(least).ln();
        Self {
            minutes,
            weights: WEIGHTS.map(curve),
            base: curve(BASE),
            indicators: *indicators,
            // Amounts below 1e-12 of the capacity are nothing; the floor only keeps the logarithm finite.
            log_pace: indicators.pace.map(|pace| log(pace * minutes, 1e-12)),
            log_volatility: indicators.volatility.map(|volatility| log(volatility * minutes.sqrt(), 1e-12)),
        }
    }

    /// The probability of a fall by `distance`, a fraction of the capacity, where `own` is what the node's own past says.
    pub(super) fn probability(&self, distance: f64, own: f64) -> f64 {
        let distance = distance.max(NEAREST);
        let log_distance = distance.ln();
        let [fall_1, fall_10] =
            self.indicators.fall.map(|fall| signed_log((fall * self.minutes / distance).clamp(-30.0, 100.0)));
        let [w10, w360, w1440, p3] = self.log_pace.map(|pace| (pace - log_distance).clamp(PACE.0, PACE.1));
        let [v360, v1440] =
            self.log_volatility.map(|volatility| (volatility - log_distance).clamp(VOLATILITY.0, VOLATILITY.1));
        let peak = signed_log((self.indicators.depth / distance).clamp(0.0, 50.0));
        let values =
            [logit(own), fall_1, fall_10, w10, w360, w1440, p3, v360, v1440, v1440 * v1440, peak, log_distance];
        logistic(values.iter().zip(&self.weights).map(|(value, weight)| value * weight).sum::<f64>() + self.base)
    }
}

/// ln 0.01 and ln 100: beyond, a pace is far too slow or far too fast.
const PACE: (f64, f64) = (-4.605_170, 4.605_170);
/// ln 0.001 and ln 30.
const VOLATILITY: (f64, f64) = (-6.907_755, 3.401_197);

/// Logarithm that keeps the sign and is linear near 0.
fn signed_log(x: f64) -> f64 {
    x.abs().ln_1p().copysign(x)
}

/// Log odds of a probability.
pub(super) fn logit(p: f64) -> f64 {
    let p = p.clamp(SUREST, 1.0 - SUREST);
    (p / (1.0 - p)).ln()
}

/// The probability with the given log odds.
pub(super) fn logistic(z: f64) -> f64 {
    1.0 / (1.0 + (-z.clamp(-30.0, 30.0)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Indicators = Indicators { fall: [0.0; 2], pace: [0.0; 4], volatility: [0.0; 2], depth: 0.0 };

    #[test]
    fn a_calm_node_is_not_expected_to_fill() {
        for (minutes, most) in [(10.0, 0.01), (30.0, 0.01), (360.0, 0.2)] {
            let p = Model::at(minutes, &CALM).probability(0.3, 0.0);
            assert!(p < most, "{minutes} {p}");
        }
    }

    #[test]
    fn a_fast_fill_near_the_line_is_expected_to_arrive() {
        let filling =
            Indicators { fall: [0.02, 0.02], pace: [0.02, 0.002, 0.001, 0.02], volatility: [0.01, 0.005], depth: 0.2 };
        assert!(Model::at(10.0, &filling).probability(0.05, 0.9) > 0.6);
    }

    #[test]
    fn log_odds_and_probability_are_inverse() {
        assert!((logistic(logit(0.3)) - 0.3).abs() < 1e-12);
        assert!((logit(0.0) - -6.212_606).abs() < 1e-6);
    }
}
