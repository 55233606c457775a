//! How likely is a fall by each distance within each time, seen from one minute? The blend of three answers.
//!
//! 1. The node's own past: how often did it fall that far (`drawdown`), today's rate counted as much as it has deserved,
//!    and minutes that began alike counted most. 2. A random walk with the recent drift, worth a few observations, so that
//!    a short past has an answer too. 3. A logistic model of scale-free indicators, fitted once on many nodes (`fitted`).
//!
//! Independent of any threshold: the forecast for one more threshold is a look-up.

use super::drawdown::{Bins, DISTANCES, LADDER, distances, drawdowns, likeness};
use super::fitted::{Indicators, Model, WEIGHTS};
use super::gaussian::first_passage;
use super::past::{Past, at, float};

/// Probabilities by horizon (rows, as [`LADDER`]) and distance (columns, as [`distances`]). Rise along the ladder, fall
/// with the distance.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Surface {
    /// The level it is seen from, a fraction of the capacity.
    pub(super) level: f64,
    probability: GcSchedule,
}

/// A random walk with drift, a few pseudo-observations strong.
struct Walk {
    near: f64,
    far: f64,
    volatility: f64,
}

/// What the record is compared by: one value a minute.
struct Traits {
    /// Written in the last three minutes, a minute.
    rates: Vec<f64>,
    /// asinh of the percents written in the last ten minutes.
    written: Vec<f64>,
}

/// A little of log odds towards alarm. Half of the blend is shy near 0.5, where alerts switch; this balances missed
/// and false alarms and costs next to nothing in the quality of the probabilities.
const LEAN: f64 = 0.07;

fn lean(p: f64) -> f64 {
    let odds = p * LEAN.exp();
    odds / (1.0 - p + odds)
}

impl Traits {
    fn new(past: &Past) -> Self {
        let each = |value: &dyn Fn(usize) -> f64| (0..past.len()).map(value).collect();
        Self { rates: each(&|k| past.written(k, 3) / 3.0), written: each(&|k| (100.0 * past.written(k, 10)).asinh()) }
    }
}

impl Walk {
    fn new(past: &Past) -> Self {
        Self {
            // A pause ends a burst: what comes is not much faster than what was written in the last three minutes.
            near: (past.fall(10) / 10.0).min(2.0 * past.written(past.len() - 1, 3) / 3.0),
            // A disk that emptied over hours is not expected to go on emptying.
            far: (past.fall(360) / 360.0).max(0.0),
            // Damped: the changes include what was given back.
            volatility: 0.7 * past.volatility(360),
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

/// One value for each horizon of the ladder and each distance.
type GcSchedule = [[f64; DISTANCES]; LADDER.len()];

/// What the node's own past says, with the pseudo-observations of the walk.
fn own_past(past: &Past) -> GcSchedule {
    /// Up to this horizon minutes that began alike count most; beyond, one day has too few of them.
    const LONGEST_LIKENESS: usize = 60;
    let (walk, traits, bins, distances) = (Walk::new(past), Traits::new(past), Bins::new(), distances());
    let alike = likeness(&traits.written);
    let mut schedule = [[0.0; DISTANCES]; LADDER.len()];
    for (row, record) in schedule.iter_mut().zip(drawdowns(past)) {
        let minutes = float(record.horizon);
        let persistence = record.persistence(&traits.rates);
        let weights = (record.horizon <= LONGEST_LIKENESS).then_some(alike.as_slice());
        let shares = record.shares(&bins, persistence, &traits.rates, weights);
        let pseudo = 10.0 * (minutes / 10.0).sqrt();
        for ((cell, distance), reached) in row.iter_mut().zip(&distances).zip(&shares.reached) {
            *cell = (reached + pseudo * walk.reaches(*distance, minutes)) / (shares.all + pseudo);
        }
    }
    schedule
}

/// What the fitted model weighs for a fall by `distance`: one row for each horizon of the ladder, in minutes.
pub(super) fn weighed(past: &Past, distance: f64) -> [(usize, [f64; WEIGHTS.len()]); LADDER.len()] {
    let indicators = indicators(past);
    let mut own = look_up(&own_past(past), distance).into_iter();
    LADDER.map(|minutes| {
        let own = own.next().unwrap_or(0.0);
        (minutes, Model::at(float(minutes), &indicators).values(distance, own))
    })
}

impl Surface {
    /// As seen from the newest minute of `past`.
    pub(super) fn new(past: &Past) -> Self {
        let (indicators, distances) = (indicators(past), distances());
        let mut probability = own_past(past);
        let mut before = [0.0; DISTANCES];
        for (row, minutes) in probability.iter_mut().zip(LADDER) {
            let model = Model::at(float(minutes), &indicators);
            for ((cell, before), distance) in row.iter_mut().zip(&before).zip(&distances) {
                *cell = lean(f64::midpoint(*cell, model.probability(*distance, *cell))).max(*before);
            }
            // What is farther away is not more likely.
            let mut farther: f64 = 0.0;
            for cell in row.iter_mut().rev() {
                farther = farther.max(*cell);
                *cell = farther;
            }
            before = *row;
        }
        Self { level: past.now(), probability }
    }

    /// The probabilities along the ladder for a distance, a fraction of the capacity.
    pub(super) fn along(&self, distance: f64) -> [f64; LADDER.len()] {
        look_up(&self.probability, distance)
    }
}

/// The values along the ladder for a distance, linear in its logarithm between those of the schedule.
fn look_up(schedule: &GcSchedule, distance: f64) -> [f64; LADDER.len()] {
    let distances = distances();
    let next = distances.partition_point(|d| *d <= distance);
    let (near, far) = (next.saturating_sub(1), next.min(DISTANCES - 1));
    let (d0, d1) = (at(&distances, near), at(&distances, far));
    let part = if next == 0 || near == far { 0.0 } else { ((distance / d0).ln() / (d1 / d0).ln()).clamp(0.0, 1.0) };
    let (near, far) = if next == 0 { (0, 0) } else { (near, far) };
    schedule.each_ref().map(|row| (1.0 - part) * at(row, near) + part * at(row, far))
}

/// The indicators of `fitted` that do not depend on the distance.
fn indicators(past: &Past) -> Indicators {
    let [depth, height] = past.within_range(360);
    Indicators {
        fall: past.fall(1),
        pace: past.written(past.len() - 1, 10) / 10.0,
        volatility: [past.volatility(360), past.volatility(1_440)],
        depth,
        height,
    }
}
