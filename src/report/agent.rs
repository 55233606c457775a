//! How is the agent itself doing, and how right were its forecasts?

use super::Word;
use crate::forecast::{Horizon, Tally};
use crate::model::Trigger;
use crate::snapshot::AgentHealth;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The agent that made a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentReport {
    /// Its release.
    pub version: Label,
    /// How it is doing.
    #[serde(flatten)]
    pub health: AgentHealth,
}

/// How right the forecasts of one trigger were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreReport {
    /// Which.
    pub trigger: Word<Trigger>,
    /// Crossings with a warning in the hour before.
    pub hit: u64,
    /// Crossings without.
    pub missed: u64,
    /// Warnings without a crossing within an hour.
    pub false_alarm: u64,
    /// How good the probabilities were.
    pub by_horizon: BTreeMap<Word<Horizon>, HorizonScore>,
    /// Forecasts whose time of crossing is known.
    pub intervals_checked: u64,
    /// Of these, those with the crossing between p10 and p90.
    #[serde(default)]
    pub intervals_covered: u64,
    /// The share of these; `None`: nothing checked yet.
    pub coverage: Option<f64>,
}

/// The probabilities of one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HorizonScore {
    /// How many could be checked.
    pub checked: u64,
    /// Sum of their squared errors.
    #[serde(default)]
    pub squared_error: f64,
    /// The mean of these: 0 best, 1 worst; `None`: nothing checked yet.
    pub brier: Option<f64>,
}

impl ScoreReport {
    /// What was found out of a trigger.
    pub(super) fn new(trigger: Trigger, tally: &Tally) -> Self {
        let scores = Horizon::ALL.into_iter().zip(tally.answered).zip(tally.squared_error);
        let by_horizon = scores.map(|((horizon, checked), squared_error)| {
            (horizon.into(), HorizonScore { checked, squared_error, brier: tally.brier(horizon) })
        });
        Self {
            trigger: trigger.into(),
            hit: tally.hit,
            missed: tally.missed,
            false_alarm: tally.false_alarm,
            by_horizon: by_horizon.collect(),
            intervals_checked: tally.timed,
            intervals_covered: tally.covered,
            coverage: tally.coverage(),
        }
    }
}
