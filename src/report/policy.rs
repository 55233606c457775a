//! Which settings of a kubelet are in force, and where was each written?

use super::Word;
use crate::form::Form;
use crate::model::Signal;
use crate::time::Span;
use crate::units::Percent;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// Whether image GC runs at all.
    pub image_gc_enabled: bool,
    /// imageGCHighThresholdPercent.
    pub image_gc_high_threshold_percent: SettingReport<Percent>,
    /// imageGCLowThresholdPercent.
    pub image_gc_low_threshold_percent: SettingReport<Percent>,
    /// imageMinimumGCAge.
    #[serde(rename = "image_minimum_gc_age_seconds")]
    pub image_minimum_gc_age: SettingReport<Span>,
    /// imageMaximumGCAge; `None`: off.
    #[serde(rename = "image_maximum_gc_age_seconds")]
    pub image_maximum_gc_age: Option<SettingReport<Span>>,
    /// evictionHard, of disk signals.
    pub eviction_hard: Vec<ThresholdReport>,
    /// evictionSoft, of disk signals.
    pub eviction_soft: Vec<ThresholdReport>,
    /// evictionPressureTransitionPeriod.
    #[serde(rename = "pressure_transition_period_seconds")]
    pub pressure_transition_period: SettingReport<Span>,
    /// What the kubelet would refuse, or what could not be understood.
    pub problems: Vec<Label>,
}

/// A value in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "T: Form")]
pub struct SettingReport<T> {
    /// The value.
    #[serde(with = "crate::form")]
    pub value: T,
    /// `assumed`, `default`, `file`, `drop-in`, `flag`.
    pub origin: Label,
    /// The file that it stands in.
    pub path: Option<Label>,
}

/// An eviction threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdReport {
    /// What it watches.
    pub signal: Word<Signal>,
    /// Bytes or inodes, where it was given so.
    pub quantity: Option<u64>,
    /// A part of the capacity, where it was given so.
    pub fraction: Option<f32>,
    /// Bytes or inodes either way; `None` where the capacity is not known.
    #[serde(default)]
    pub amount: Option<u64>,
    /// As of a setting.
    pub origin: Label,
    /// Likewise.
    pub path: Option<Label>,
    /// How long a soft one must be met.
    #[serde(rename = "grace_period_seconds", with = "crate::form")]
    pub grace_period: Option<Span>,
}
