//! What does a forecast say? Its form, the same for every trigger and every method.

use crate::time::Span;
use crate::units::Ratio;
use serde::{Deserialize, Serialize};

/// The horizons for which a probability is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Horizon {
    /// Ten minutes.
    #[serde(rename = "10m")]
    TenMinutes,
    /// Half an hour.
    #[serde(rename = "30m")]
    HalfHour,
    /// One hour.
    #[serde(rename = "1h")]
    Hour,
    /// Six hours.
    #[serde(rename = "6h")]
    SixHours,
}

/// When a level is reached, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Time until the level is reached: with 10 % probability it is sooner. `None`: not predicted.
    pub p10: Option<Span>,
    /// The middle: as likely sooner as later. `None`: not predicted.
    pub p50: Option<Span>,
    /// With 90 % probability it is sooner. `None`: not predicted.
    pub p90: Option<Span>,
    /// Probability that it is reached within each of [`Horizon::ALL`], rising with the horizon.
    pub probability: [Ratio; 4],
}

impl Horizon {
    /// Every horizon, shortest first.
    pub const ALL: [Self; 4] = [Self::TenMinutes, Self::HalfHour, Self::Hour, Self::SixHours];

    /// The value of the `horizon` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenMinutes => "10m",
            Self::HalfHour => "30m",
            Self::Hour => "1h",
            Self::SixHours => "6h",
        }
    }

    /// How long it is.
    pub const fn span(self) -> Span {
        match self {
            Self::TenMinutes => Span::from_secs(600),
            Self::HalfHour => Span::from_secs(1_800),
            Self::Hour => Span::from_secs(3_600),
            Self::SixHours => Span::from_secs(21_600),
        }
    }
}

impl Forecast {
    /// The level has been reached already.
    pub const REACHED: Self =
        Self { p10: Some(Span::ZERO), p50: Some(Span::ZERO), p90: Some(Span::ZERO), probability: [Ratio::new(1.0); 4] };

    /// The probability within a horizon.
    pub const fn within(&self, horizon: Horizon) -> Ratio {
        let [ten, half, hour, six] = self.probability;
        match horizon {
            Horizon::TenMinutes => ten,
            Horizon::HalfHour => half,
            Horizon::Hour => hour,
            Horizon::SixHours => six,
        }
    }
}
