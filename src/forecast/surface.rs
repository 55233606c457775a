//! How likely is a fall by each distance within each time, seen from one minute? The blend of three answers.
//!
//! 1. The node's own past: how often did it fall that far (`drawdown`), today's rate counted as much as it has deserved,
//!    and minutes that began alike counted most. 2. A random walk with the recent drift, worth a few observations, so that
//!    a short past has an answer too. 3. A logistic model of scale-free indicators, fitted once on many nodes (`fitted`).
//!
//! Independent of any threshold: the forecast for one more threshold is a look-up.

use super::drawdown::{Bins, DISTANCES, Drawdowns, LADDER, distances, likeness};
use super::fitted::{Indicators, Model};
use super::gaussian::first_passage;
use super::past::{Past, at, float};

/// Probabilities by horizon (rows, as [`LADDER`]) and distance (columns, as [`distances`]). Rise along the ladder, fall
/// with the distance.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Surface {
    /// The level it is seen from, a fraction of the capacity.
    pub(super) level: f64,
    probability: [[f64; DISTANCES]; LADDER.len()],
}

/// A random walk with drift, a few pseudo-observations strong.
struct Walk {
    near: f64,
    far: f64,
    volatility: f64,
}

/// What the record is compared by: one value a minute.
pub(super) struct Traits {
    /// Written in the last three minutes, a minute.
    rates: Vec<f64>,
    /// asinh of the percents written in the last ten minutes.
    written: Vec<f64>,
}

/// A little of log odds towards alarm. Half of the blend is shy near 0.5, where alerts switch; this balances missed
/// and false alarms and costs next to nothing in the quality of the probabilities.
const LEAN: f64 = 0.08;

fn lean(p: f64) -> f64 {
    let odds = p * LEAN.exp();
    odds / (1.0 - p + odds)
}

impl Traits {
    pub(super) fn new(past: &Past) -> Self {
        let each = |value: &dyn Fn(usize) -> f64| (0..past.len()).map(value).collect();
        Self { rates: each(&|k| past.written(k, 3) / 3.0), written: each(&|k| (100.0 * past.written(k, 10)).asinh()) }
    }
}

impl Walk {
    fn new(past: &Past, k: usize) -> Self {
        let measured = |window: usize| float(window.min(k).max(1));
        Self {
            near: past.fall(k, 10.min(k)) / measured(10),
            // A disk that emptied over hours is not expected to go on emptying.
            far: (past.fall(k, 360.min(k)) / measured(360)).max(0.0),
            // Damped: the changes include what was given back.
            volatility: 0.7 * past.volatility(k, 360),
        }
    }

    /// Probability of a fall by `distance` within `minutes`; today's drift fades with a time constant of ten minutes.
    fn reaches(&self, distance: f64, minutes: f64) -> f64 {
        const FADE: f64 = 10.0;
        let memory = FADE * (1.0 - (-minutes / FADE).exp());
        let drift = self.far * minutes + (self.near - self.far) * memory;
        first_passage(distance, drift, self.volatility * minutes.sqrt() + 1e-9)
    }
}

impl Surface {
    /// As seen from minute `k`, with nothing that happened after it.
    pub(super) fn new(past: &Past, records: &[Drawdowns], traits: &Traits, k: usize) -> Self {
        /// Up to this horizon minutes that began alike count most; beyond, one day has too few of them.
        const LONGEST_LIKENESS: usize = 60;
        let walk = Walk::new(past, k);
        let alike = likeness(&traits.written, k);
        let indicators = indicators(past, k);
        let (bins, distances) = (Bins::new(), distances());
        let mut probability = [[0.0; DISTANCES]; LADDER.len()];
        let mut before = [0.0; DISTANCES];
        for (row, record) in probability.iter_mut().zip(records) {
            let minutes = float(record.horizon);
            let persistence = record.persistence(k, &traits.rates);
            let weights = (record.horizon <= LONGEST_LIKENESS).then_some(alike.as_slice());
            let like_now = record.shares(&bins, k, persistence, &traits.rates, weights);
            let pseudo = 10.0 * (minutes / 10.0).sqrt();
            let model = Model::at(minutes, &indicators);
            for (((cell, before), distance), reached) in
                row.iter_mut().zip(&mut before).zip(&distances).zip(&like_now.reached)
            {
                let own = (reached + pseudo * walk.reaches(*distance, minutes)) / (like_now.all + pseudo);
                *cell = lean(f64::midpoint(own, model.probability(*distance, own))).max(*before);
            }
            // What is farther away is not more likely.
            let mut farther: f64 = 0.0;
            for (cell, before) in row.iter_mut().zip(&mut before).rev() {
                farther = farther.max(*cell);
                *cell = farther;
                *before = farther;
            }
        }
        Self { level: at(&past.level, k), probability }
    }

    /// The probabilities along the ladder for a distance, a fraction of the capacity.
    pub(super) fn along(&self, distance: f64) -> [f64; LADDER.len()] {
        let distances = distances();
        let next = distances.partition_point(|d| *d <= distance);
        let (near, far) = (next.saturating_sub(1), next.min(DISTANCES - 1));
        let (d0, d1) = (at(&distances, near), at(&distances, far));
        let part = if next == 0 || near == far { 0.0 } else { ((distance / d0).ln() / (d1 / d0).ln()).clamp(0.0, 1.0) };
        let (near, far) = if next == 0 { (0, 0) } else { (near, far) };
        self.probability.each_ref().map(|row| (1.0 - part) * at(row, near) + part * at(row, far))
    }
}

/// The indicators of `fitted` that do not depend on the distance.
fn indicators(past: &Past, k: usize) -> Indicators {
    Indicators {
        fall: past.fall(k, 1),
        pace: past.written(k, 10) / 10.0,
        volatility: [past.volatility(k, 360), past.volatility(k, 1_440)],
        depth: past.below_peak(k, 360),
    }
}
