//! Which settings are in force in a kubelet, and where does each come from? The types; they are filled in `effective`.

mod effective;

use super::Signal;
use super::quantity::ThresholdValue;
use crate::time::Span;
use crate::units::Percent;
use crate::untrusted::Label;
use std::fmt;

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// There is no kubelet, or its settings cannot be read: the kubelet's defaults, assumed.
    Assumed,
    /// The kubelet's built-in default, in force because nothing else was said.
    Default,
    /// The `--config` file, with its path as the kubelet sees it.
    File(Label),
    /// A drop-in below `--config-dir`, with its path.
    DropIn(Label),
    /// A command-line flag.
    Flag,
}

/// A value in force and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub origin: Origin,
}

/// The effective policy of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct GcPolicy {
    /// Image garbage collection.
    pub image_gc: ImageGcPolicy,
    /// Hard eviction thresholds in force for disk signals; those that are off are not in the list.
    pub eviction_hard: Vec<EvictionThreshold>,
    /// Soft eviction thresholds in force for disk signals.
    pub eviction_soft: Vec<SoftThreshold>,
    /// Time for which DiskPressure outlives the last sight of a threshold.
    pub pressure_transition_period: Setting<Span>,
    /// Settings that the kubelet would refuse, or that could not be understood; each costs only itself.
    pub problems: Vec<Label>,
}

/// Thresholds of image garbage collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageGcPolicy {
    /// Whether the collection loop runs. It does not when the high threshold is 100 and no maximum age is set; up to
    /// 1.29 100 alone stops it. A loop that runs at 100, for the sake of a maximum age, deletes for space below 1 %
    /// available.
    pub enabled: bool,
    /// The percentage from which on images are deleted.
    pub high: Setting<Percent>,
    /// The percentage down to which they are deleted.
    pub low: Setting<Percent>,
    /// Images younger than this stay.
    pub minimum_age: Setting<Span>,
    /// Images unused for longer go whatever the disk says; `None`: off.
    pub maximum_age: Option<Setting<Span>>,
}

/// An eviction threshold as the kubelet keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct EvictionThreshold {
    /// What it watches.
    pub signal: Signal,
    /// Below which value it is met.
    pub value: ThresholdValue,
    /// Where it was written.
    pub origin: Origin,
    /// What the kubelet frees beyond the threshold before it is content (evictionMinimumReclaim).
    pub minimum_reclaim: Option<ThresholdValue>,
}

/// A soft threshold: acted on once it has been met for the grace period.
#[derive(Debug, Clone, PartialEq)]
pub struct SoftThreshold {
    /// The threshold.
    pub threshold: EvictionThreshold,
    /// How long it must be met.
    pub grace_period: Span,
}

impl Origin {
    /// One word for tables: `assumed`, `default`, `file`, `drop-in`, `flag`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Assumed => "assumed",
            Self::Default => "default",
            Self::File(_) => "file",
            Self::DropIn(_) => "drop-in",
            Self::Flag => "flag",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
