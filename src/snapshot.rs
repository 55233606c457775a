//! What does every surface read? One sample and what it means, immutable, published whole.

use crate::assess::Assessment;
use crate::sample::Sample;
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};

/// Everything that is known at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// What was seen.
    pub sample: Sample,
    /// What it means.
    pub assessment: Assessment,
    /// How the agent itself is doing.
    pub agent: AgentHealth,
}

/// How the agent itself is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentHealth {
    /// Each step of the last round.
    pub collectors: Vec<CollectorRun>,
    /// Distance between two samples.
    pub sample_interval: Span,
    /// Which boot of which machine is watched: the kernel's random boot_id; `None` for a demonstration or a recording.
    #[serde(default)]
    pub boot_id: Option<Label>,
    /// What the process itself uses; `None` where its /proc entry cannot be read.
    #[serde(default)]
    pub process: Option<ProcessStats>,
}

/// What the process itself uses, as the standard `process_*` metrics of Prometheus clients say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStats {
    /// CPU time of all threads since the start, user and system.
    pub cpu: Span,
    /// Resident memory.
    pub resident: Bytes,
    /// Virtual memory.
    pub virtual_memory: Bytes,
    /// When the process started.
    pub started_at: Timestamp,
    /// Open file descriptors; `None` where they cannot be counted.
    pub open_files: Option<u64>,
    /// How many it may open; `None` where that is not known.
    pub open_files_limit: Option<u64>,
}

/// One step of one round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectorRun {
    /// `discover`, `statfs`, `kubelet_config`, `runtime`, `usage`.
    pub collector: String,
    /// Whether it gave what it should.
    pub success: bool,
    /// How long it took.
    pub duration: Span,
}
