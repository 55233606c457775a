//! What is known of one filesystem, and who holds its bytes?

use super::{Text, Word};
use crate::assess::Timeline;
use crate::model::Trigger;
use crate::sample::{Absence, AbsenceReason, Component, Space};
use crate::time::{Span, Timestamp};
use crate::units::{ByteRate, Bytes, Inodes, Percent, Ratio};
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A filesystem that holds an image store or a kubelet's directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilesystemReport {
    /// The device; together with the mountpoint unique.
    pub device: Text,
    /// The mountpoint.
    pub mountpoint: Text,
    /// `major:minor`.
    pub device_number: Label,
    /// When `statfs` answered.
    #[serde(with = "crate::form")]
    pub measured_at: Option<Timestamp>,
    /// f_blocks.
    pub size_bytes: Option<Bytes>,
    /// f_bfree.
    pub free_bytes: Option<Bytes>,
    /// f_bavail.
    pub avail_bytes: Option<Bytes>,
    /// Size less free.
    pub used_bytes: Option<Bytes>,
    /// f_files.
    pub files: Option<Inodes>,
    /// f_ffree.
    pub files_free: Option<Inodes>,
    /// Used, as the kubelet computes it.
    pub kubelet_percent: Option<Percent>,
    /// Used, as df does.
    pub df_percent: Option<Percent>,
    /// The net rate at which it fills.
    pub fill_bytes_per_second: Option<ByteRate>,
    /// A `statfs` that was begun has not come back.
    pub stuck: bool,
    /// Why it could not be measured.
    pub error: Option<ErrorReport>,
    /// Who holds how much of it.
    pub usage: Option<UsageReport>,
    /// Why that is not known.
    pub usage_error: Option<ErrorReport>,
    /// What is expected to trigger on it, soonest first.
    pub expected_triggers: Vec<ExpectedTriggerReport>,
    /// For the chart of the page; too long for the JSON.
    #[serde(skip)]
    pub timeline: Timeline,
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// The class of the reason.
    pub reason: Word<AbsenceReason>,
    /// What was attempted, and what the machine said.
    pub detail: Label,
}

/// Bytes by component.
pub type ComponentBytes = BTreeMap<Word<Component>, Bytes>;

/// One finished walk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageReport {
    /// When it ended.
    #[serde(with = "crate::form")]
    pub measured_at: Option<Timestamp>,
    /// How long it took.
    #[serde(rename = "took_seconds", with = "crate::form")]
    pub took: Span,
    /// What `statfs` called used at its end.
    pub used_bytes: Bytes,
    /// Directories that could not be read.
    pub unreadable_directories: u64,
    /// Every layer that holds something.
    pub layers: Vec<LayerUsageReport>,
}

/// What one layer holds of a filesystem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerUsageReport {
    /// Which layer.
    pub layer: Text,
    /// All of it.
    pub bytes: Bytes,
    /// By component.
    pub components: ComponentBytes,
}

/// One trigger of one layer, in the order in which those of a filesystem act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectedTriggerReport {
    /// Of which layer; for the full disk the first one on it.
    pub layer: Text,
    /// Which.
    pub trigger: Word<Trigger>,
    /// Bytes, or inodes, available below which it triggers.
    pub threshold: u64,
    /// Until the kubelet acts, the median; `None`: not expected.
    #[serde(rename = "acts_in_seconds", with = "crate::form")]
    pub acts_in: Option<Span>,
    /// The probability that its threshold is crossed within an hour; `None`: too little seen yet.
    #[serde(rename = "probability_1h")]
    pub within_an_hour: Option<Ratio>,
    /// One before it that frees so much that this one does not come.
    pub preempted_by: Option<PreemptedByReport>,
}

/// A trigger that preempts another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreemptedByReport {
    /// Of which layer.
    pub layer: Text,
    /// Which.
    pub trigger: Word<Trigger>,
    /// Whether it certainly does; otherwise it may.
    pub is_certain: bool,
}

/// One that holds bytes, over all filesystems, as of the last walks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HolderReport {
    /// Namespace of the pod, empty where it is not known; `None` with `pod`.
    pub pod_namespace: Option<Label>,
    /// Text of the pod; `None` for what is outside of every pod.
    pub pod: Option<Label>,
    /// Its job.
    pub prow_job: Option<Label>,
    /// The build of that.
    pub prow_build_id: Option<Label>,
    /// How many layers are in it.
    pub layers: usize,
    /// What these hold.
    pub bytes: Bytes,
    /// By component.
    pub components: ComponentBytes,
}

impl FilesystemReport {
    /// Whether it is the one of this name.
    pub fn is(&self, device: Option<&Text>, mountpoint: Option<&Text>) -> bool {
        device == Some(&self.device) && mountpoint == Some(&self.mountpoint)
    }

    /// Its numbers, where it could be measured.
    pub fn space(&self) -> Option<Space> {
        Some(Space {
            capacity: self.size_bytes?,
            free: self.free_bytes?,
            available: self.avail_bytes?,
            files: self.files?,
            files_free: self.files_free?,
        })
    }
}

impl From<&Absence> for ErrorReport {
    fn from(absence: &Absence) -> Self {
        Self { reason: absence.reason.into(), detail: absence.detail.clone() }
    }
}

/// `denied: open /proc/1/root: EACCES`.
impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}
