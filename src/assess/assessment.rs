//! What does a sample mean, as values: of each filesystem, each layer and each trigger.

use super::images::{ImagesAssessment, Observed};
use super::timeline::Timeline;
use crate::forecast::{Forecast, Tally};
use crate::layer::LayerId;
use crate::model::{GcPolicy, Signal, Trigger};
use crate::sample::FilesystemId;
use crate::time::{Span, Timestamp};
use crate::units::{ByteRate, Percent, Ratio};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one sample means.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// One for each filesystem of the sample, in its order.
    pub filesystems: Vec<FilesystemAssessment>,
    /// One for each layer of the sample, in its order.
    pub layers: Vec<LayerAssessment>,
    /// How right earlier forecasts were, by trigger, over all filesystems and thresholds that were ever watched; a trigger that
    /// never was armed is not in it.
    pub scores: BTreeMap<Trigger, Tally>,
}

/// What is known of one filesystem beyond its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct FilesystemAssessment {
    /// Which.
    pub id: FilesystemId,
    /// The kubelet's integer percentage; `None` where the filesystem could not be measured.
    pub kubelet_percent: Option<Percent>,
    /// df's Use%.
    pub df_percent: Option<Percent>,
    /// Net rate at which it fills; negative when emptying; `None` before there are enough samples.
    pub fill_rate: Option<ByteRate>,
    /// The last hours and the next, for a chart.
    pub timeline: Timeline,
    /// What is expected to trigger on it, soonest first, over all layers; at most 100.
    pub expected_triggers: Vec<ExpectedTrigger>,
}

/// What is known of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerAssessment {
    /// Which.
    pub id: LayerId,
    /// The settings in force: `None` while a kubelet runs whose settings cannot be read, and in an inner layer without a kubelet,
    /// where no image GC runs. A machine without any kubelet of its own is given the defaults that one would have.
    pub policy: Option<GcPolicy>,
    /// When the next image GC run is due; `None` without a kubelet or where image GC is off.
    pub next_image_gc_at: Option<Timestamp>,
    /// Every trigger that is armed in this layer. What is not in the list cannot trigger. An eviction with a soft threshold besides
    /// a lower hard one is in it with both.
    pub triggers: Vec<TriggerAssessment>,
    /// What its images mean; `None` where the runtime does not tell them.
    pub images: Option<ImagesAssessment>,
    /// What was seen to be deleted since highwater started, by what deleted it; `None`: it cannot be told. Not kept across a
    /// restart.
    pub observed: BTreeMap<Option<Trigger>, Observed>,
}

/// How near one trigger is.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerAssessment {
    /// Which.
    pub trigger: Trigger,
    /// The eviction signal with the highest threshold, where an eviction signal is behind it.
    pub signal: Option<Signal>,
    /// The filesystem it watches.
    pub filesystem: FilesystemId,
    /// Bytes (or inodes, for inode_eviction) available below which it triggers.
    pub threshold: u64,
    /// Bytes (or inodes) that can still be used up before that; negative once crossed; `None` where the filesystem
    /// could not be measured.
    pub headroom: Option<i64>,
    /// When the threshold is crossed; `None` while too little has been seen.
    pub forecast: Option<Forecast>,
    /// When the kubelet acts on it: at its next image GC run or eviction manager sync after the crossing. `None` where `forecast` is.
    pub action: Option<Quantiles>,
}

/// When something happens, at quantiles of the forecast; `None`: not expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// With 10 % probability it is sooner.
    #[serde(rename = "p10_seconds", with = "crate::form")]
    pub p10: Option<Span>,
    /// The median.
    #[serde(rename = "p50_seconds", with = "crate::form")]
    pub p50: Option<Span>,
    /// With 90 % probability it is sooner.
    #[serde(rename = "p90_seconds", with = "crate::form")]
    pub p90: Option<Span>,
}

impl From<&Forecast> for Quantiles {
    fn from(forecast: &Forecast) -> Self {
        Self { p10: forecast.p10, p50: forecast.p50, p90: forecast.p90 }
    }
}

/// One trigger of one layer, in the order in which those of a disk act.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedTrigger {
    /// Of which layer; for the full disk the first one on it.
    pub layer: LayerId,
    /// Which trigger.
    pub trigger: Trigger,
    /// Bytes (or inodes, for inode_eviction) available below which it triggers.
    pub threshold: u64,
    /// Until the kubelet acts, the median; `None`: not expected, or too little seen to say.
    pub acts_in: Option<Span>,
    /// The probability that its threshold is crossed within an hour; `None` while too little has been seen.
    pub within_an_hour: Option<Ratio>,
    /// One before it that frees so much that this one does not come.
    pub preempted_by: Option<PreemptedBy>,
}

/// A trigger that preempts another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreemptedBy {
    /// Of which layer.
    pub layer: LayerId,
    /// Its trigger.
    pub trigger: Trigger,
    /// Whether it does so at the least that it frees, and acts first at every quantile of the forecast. Otherwise it may.
    pub is_certain: bool,
}
