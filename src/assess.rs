//! What does a sample mean? The one place where what was seen, the kubelet's rules and the forecast meet; pure.

use crate::forecast::Forecast;
use crate::layer::LayerId;
use crate::model::{GcPolicy, Signal, Trigger};
use crate::sample::FilesystemId;
use crate::time::Timestamp;
use crate::units::{ByteRate, Percent};
use serde::{Deserialize, Serialize};

/// What one sample means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// One for each filesystem of the sample, in its order.
    pub filesystems: Vec<FilesystemAssessment>,
    /// One for each layer of the sample, in its order.
    pub layers: Vec<LayerAssessment>,
}

/// What is known of one filesystem beyond its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilesystemAssessment {
    /// Which.
    pub id: FilesystemId,
    /// The kubelet's integer percentage; `None` where the filesystem could not be measured.
    pub kubelet_percent: Option<Percent>,
    /// df's Use%.
    pub df_percent: Option<Percent>,
    /// Net rate at which it fills; negative when emptying; `None` before there are enough samples.
    pub fill_rate: Option<ByteRate>,
}

/// What is known of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerAssessment {
    /// Which.
    pub id: LayerId,
    /// The settings in force.
    pub policy: GcPolicy,
    /// When the kubelet looks next whether images must go; `None` without a kubelet or where its loop is off.
    pub next_gc_check: Option<Timestamp>,
    /// Every trigger that is armed in this layer. What is not in the list cannot strike.
    pub triggers: Vec<TriggerAssessment>,
}

/// How near one trigger is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerAssessment {
    /// Which.
    pub trigger: Trigger,
    /// The eviction signal with the highest threshold, where an eviction signal is behind it.
    pub signal: Option<Signal>,
    /// The filesystem it watches.
    pub filesystem: FilesystemId,
    /// Bytes (or inodes, for inode_eviction) available below which it strikes.
    pub strikes_below: u64,
    /// Bytes (or inodes) that can still be used up before that; negative once crossed; `None` where the filesystem
    /// could not be measured.
    pub headroom: Option<i64>,
    /// When it acts; `None` while too little has been seen.
    pub forecast: Option<Forecast>,
}
