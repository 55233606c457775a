//! How near is one trigger, and which of several comes first?

use super::{Text, Word};
use crate::assess::{Quantiles, Urgency};
use crate::forecast::{Forecast, Horizon};
use crate::model::{Signal, Trigger};
use crate::time::Span;
use crate::units::Ratio;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An armed trigger of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerReport {
    /// Which.
    pub trigger: Word<Trigger>,
    /// The eviction signal behind it.
    pub signal: Option<Word<Signal>>,
    /// What threshold and headroom count.
    pub unit: Word<Unit>,
    /// The device of the filesystem that it watches.
    pub device: Option<Text>,
    /// Its mountpoint.
    pub mountpoint: Option<Text>,
    /// It triggers while less than this is available.
    pub threshold: u64,
    /// What can be used up before that; negative once crossed; `None` where that could not be measured.
    pub headroom: Option<i64>,
    /// When the threshold is crossed; `None`: too little seen yet.
    pub forecast: Option<ForecastReport>,
    /// When the kubelet acts on it; `None` where `forecast` is.
    pub acts_in: Option<Quantiles>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Inodes.
    Inodes,
}

/// When a threshold is crossed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecastReport {
    /// At quantiles.
    #[serde(flatten)]
    pub quantiles: Quantiles,
    /// The probability that it is within each horizon.
    pub probability: BTreeMap<Word<Horizon>, Ratio>,
}

impl TriggerReport {
    /// Whether its threshold is crossed.
    pub fn is_crossed(&self) -> bool {
        self.headroom.is_some_and(|headroom| headroom < 0)
    }

    /// The median of when the kubelet acts.
    pub fn median(&self) -> Option<Span> {
        self.acts_in.and_then(|acts| acts.p50)
    }

    /// Smaller is more urgent.
    pub fn urgency(&self) -> Urgency {
        Urgency::new(self.median(), self.headroom, self.unit.is(Unit::Inodes))
    }
}

impl ForecastReport {
    /// The probability within a horizon; `None` where the agent does not tell it.
    pub fn within(&self, horizon: Horizon) -> Option<Ratio> {
        self.probability.get(&horizon.into()).copied()
    }
}

impl From<&Forecast> for ForecastReport {
    fn from(forecast: &Forecast) -> Self {
        let within = |horizon: Horizon| (horizon.into(), forecast.within(horizon));
        Self { quantiles: forecast.into(), probability: Horizon::ALL.into_iter().map(within).collect() }
    }
}
