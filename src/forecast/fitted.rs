//! What do many nodes have in common? A logistic model of scale-free indicators; its constants are the only fitted ones.
//!
//! Fitted by `examples/fit_forecast.rs` on 59 traces of 24 h from simulated and small real CI nodes, minutes from the fifteenth
//! on; `docs/adr/0003-forecast.md` has the figures with whole families of traces left out in turn. Every indicator is a ratio of amounts or a number of
//! minutes, so that the size of the disk does not matter.

use super::drawdown::NEAREST;

/// What is known before the distance is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Indicators {
    /// Net fall over the last minute.
    pub(super) fall: f64,
    /// Written a minute over the last 10 minutes.
    pub(super) pace: f64,
    /// Volatility for a minute over the last 360 and 1,440 minutes.
    pub(super) volatility: [f64; 2],
    /// Depth below the peak of the last 360 minutes.
    pub(super) depth: f64,
    /// Height above the lowest level of the last 360 minutes.
    pub(super) height: f64,
}

/// The model for one horizon, with everything taken in but the distance.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Model {
    weights: [f64; WEIGHTS.len()],
    base: f64,
    fall: f64,
    log_pace: f64,
    log_volatility: [f64; 2],
    depth: f64,
    height: f64,
}

/// Each weight is a + b l + c l^2 with l = ln(horizon / 30 min).
type Curve = [f64; 3];

const BASE: Curve = [-1.6978, -0.6712, 0.2140];
#[rustfmt::skip]
pub(super) const WEIGHTS: [Curve; 9] = [
    [0.5032, -0.0891, -0.0042], // own past
    [0.1779, -0.0630, 0.0041], // net fall, 1 min
    [0.3442, -0.2519, 0.0256], // written, 10 min
    [-0.0948, 0.0203, -0.0455], // volatility, 6 h
    [0.2855, -0.2793, 0.0817], // volatility, 24 h
    [-0.0297, 0.0543, -0.0026], // its excess, squared
    [-0.7922, 0.1037, 0.0872], // below peak of 6 h
    [-0.5837, -0.0757, 0.0673], // distance
    [0.5218, 0.3558, 0.0760], // above low of 6 h
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
            weights: WEIGHTS.map(curve),
            base: curve(BASE),
            fall: indicators.fall * minutes,
            // Amounts below 1e-12 of the capacity are nothing; the floor only keeps the logarithm finite.
            log_pace: log(indicators.pace * minutes, 1e-12),
            log_volatility: indicators.volatility.map(|volatility| log(volatility * minutes.sqrt(), 1e-12)),
            depth: indicators.depth,
            height: indicators.height,
        }
    }

    /// The probability of a fall by `distance`, a fraction of the capacity, where `own` is what the node's own past says.
    pub(super) fn probability(&self, distance: f64, own: f64) -> f64 {
        let values = self.values(distance, own);
        logistic(values.iter().zip(&self.weights).map(|(value, weight)| value * weight).sum::<f64>() + self.base)
    }

    /// What is weighed, in the order of the weights.
    pub(super) fn values(&self, distance: f64, own: f64) -> [f64; WEIGHTS.len()] {
        let distance = distance.max(NEAREST);
        let log_distance = distance.ln();
        let fall = signed_log((self.fall / distance).clamp(-30.0, 100.0));
        let pace = (self.log_pace - log_distance).clamp(PACE.0, PACE.1);
        let [six_hours, day] =
            self.log_volatility.map(|volatility| (volatility - log_distance).clamp(VOLATILITY.0, VOLATILITY.1));
        let excess = (day + 2.0).max(0.0);
        let depth = signed_log((self.depth / distance).clamp(0.0, 50.0));
        let height = signed_log((self.height / distance).clamp(0.0, 50.0));
        [logit(own), fall, pace, six_hours, day, excess * excess, depth, log_distance, height]
    }
}

/// ln 0.03 and ln 100: beyond, a pace is far too slow or far too fast to tell more.
const PACE: (f64, f64) = (-3.506_558, 4.605_170);
/// ln 0.02 and ln 30.
const VOLATILITY: (f64, f64) = (-3.912_023, 3.401_197);

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

    const CALM: Indicators = Indicators { fall: 0.0, pace: 0.0, volatility: [0.0; 2], depth: 0.0, height: 0.0 };

    #[test]
    fn a_calm_node_is_not_expected_to_fill() {
        for (minutes, most) in [(10.0, 0.01), (30.0, 0.01), (360.0, 0.2)] {
            let p = Model::at(minutes, &CALM).probability(0.3, 0.0);
            assert!(p < most, "{minutes} {p}");
        }
    }

    #[test]
    fn a_fast_fill_near_the_line_is_expected_to_arrive() {
        let filling = Indicators { fall: 0.02, pace: 0.02, volatility: [0.01, 0.005], depth: 0.2, height: 0.0 };
        assert!(Model::at(10.0, &filling).probability(0.05, 0.9) > 0.6);
    }

    #[test]
    fn log_odds_and_probability_are_inverse() {
        assert!((logistic(logit(0.3)) - 0.3).abs() < 1e-12);
        assert!((logit(0.0) - -6.212_606).abs() < 1e-6);
    }
}
