//! Given the rates, when is a level reached, and how sure is that? Pure arithmetic, no state.

use super::gaussian::first_passage;
use super::rate::Rate;
use super::{Forecast, Horizon};
use crate::time::Span;
use crate::units::{Bytes, Inodes, Ratio};

/// What the past of one filesystem says about its future.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    pub(super) bytes: Option<Level>,
    pub(super) inodes: Option<Level>,
}

/// The same for one of its two levels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Level {
    /// Available now.
    pub(super) now: f64,
    /// The rate of the last minutes.
    pub(super) near: Rate,
    /// The rate of the last hours.
    pub(super) far: Rate,
}

/// The near rate gives way to the far one with this time constant: fills of CI jobs last some tens of minutes.
const DECAY_SECONDS: f64 = 1_200.0;
/// Beyond this nothing is foreseen.
const FARTHEST_SECONDS: f64 = 86_400.0;

impl Outlook {
    /// Time until fewer than `below` bytes are available; `below` 0 stands for "none available".
    /// `None` while too little was seen; [`Forecast::REACHED`] where it is so already.
    pub fn forecast(&self, below: Bytes) -> Option<Forecast> {
        self.bytes.as_ref().map(|level| level.forecast(below.as_f64()))
    }

    /// The same for inodes.
    pub fn forecast_inodes(&self, below: Inodes) -> Option<Forecast> {
        self.inodes.as_ref().map(|level| level.forecast(below.as_f64()))
    }
}

impl Level {
    fn forecast(&self, below: f64) -> Forecast {
        // "Fewer than 0" cannot happen; the question behind it is when nothing is left.
        let distance = if below > 0.0 { self.now - below } else { self.now };
        if distance < 0.0 || (distance <= 0.0 && below <= 0.0) {
            return Forecast::REACHED;
        }
        let distance = distance.max(f64::MIN_POSITIVE);
        Forecast {
            p10: self.quantile(distance, 0.1),
            p50: self.quantile(distance, 0.5),
            p90: self.quantile(distance, 0.9),
            probability: Horizon::ALL.map(|horizon| Ratio::new(self.within(distance, horizon.span().as_secs_f64()))),
        }
    }

    /// Probability of a fall by `distance` within `seconds`.
    fn within(&self, distance: f64, seconds: f64) -> f64 {
        let memory = DECAY_SECONDS * (1.0 - (-seconds / DECAY_SECONDS).exp());
        let drift = self.far.fall.mul_add(seconds, (self.near.fall - self.far.fall) * memory);
        // A rate seen for a minute says less about the next hour than about the next minute.
        let unproven = 0.1 * self.near.fall.abs() * (1.0 + 15.0 / self.near.span);
        let spread = (self.near.spread + unproven) * memory + self.far.spread * seconds;
        first_passage(distance, drift, spread)
    }

    /// The time by which the level is reached with the given probability: bisection on log time.
    fn quantile(&self, distance: f64, probability: f64) -> Option<Span> {
        let (mut low, mut high) = (0.1f64.ln(), FARTHEST_SECONDS.ln());
        if self.within(distance, FARTHEST_SECONDS) < probability {
            return None;
        }
        for _ in 0..24 {
            let middle = f64::midpoint(low, high);
            if self.within(distance, middle.exp()) < probability {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(Span::from_secs_f64(high.exp()))
    }
}
