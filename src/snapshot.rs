//! What does every surface read? One sample and what it means, immutable, published whole.

use crate::assess::Assessment;
use crate::sample::Sample;
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use crate::untrusted::Label;
use crate::verdict::Windows;
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

/// After how many missed rounds a snapshot says nothing of the present any more.
const STALE_AFTER_ROUNDS: i64 = 10;
/// Never earlier than this, however short the rounds: a machine under load may pause for some seconds.
const STALE_AFTER_AT_LEAST: Span = Span::from_secs(60);

impl Snapshot {
    /// Whether it is so old at `now` that the agent must have stopped sampling: older than ten rounds and than a minute.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let rounds = Span::from_micros(self.agent.sample_interval.micros().saturating_mul(STALE_AFTER_ROUNDS));
        now.since(self.sample.at) > rounds.max(STALE_AFTER_AT_LEAST)
    }
}

/// How the agent itself is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentHealth {
    /// Each step of the last round.
    pub collectors: Vec<CollectorRun>,
    /// The sampling interval.
    #[serde(rename = "sample_interval_seconds", with = "crate::form")]
    pub sample_interval: Span,
    /// The windows of its settings, by which the verdict is given.
    #[serde(default)]
    pub windows: Windows,
    /// Which boot of which machine is watched: the kernel's random boot_id; `None` for a demonstration or a recording.
    #[serde(default)]
    pub boot_id: Option<Label>,
    /// What the kernel calls the node; `None` for a demonstration or a recording. The report says it at its top.
    #[serde(skip)]
    pub node: Option<Label>,
    /// What the process itself uses; `None` where its /proc entry cannot be read.
    #[serde(default)]
    pub process: Option<ProcessStats>,
}

impl AgentHealth {
    /// That of a demonstration or a recording, of which there is nothing to say.
    pub fn none(sample_interval: Span) -> Self {
        Self {
            collectors: Vec::new(),
            sample_interval,
            windows: Windows::default(),
            boot_id: None,
            node: None,
            process: None,
        }
    }
}

/// What the process itself uses, as the standard `process_*` metrics of Prometheus clients say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStats {
    /// CPU time of all threads since the start, user and system.
    #[serde(rename = "cpu_seconds", with = "crate::form")]
    pub cpu: Span,
    /// Resident memory.
    #[serde(rename = "resident_bytes")]
    pub resident: Bytes,
    /// Virtual memory.
    #[serde(rename = "virtual_memory_bytes")]
    pub virtual_memory: Bytes,
    /// When the process started.
    #[serde(with = "crate::form")]
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
    pub collector: Label,
    /// Whether it gave what it should.
    pub success: bool,
    /// How long it took.
    #[serde(rename = "duration_seconds", with = "crate::form")]
    pub duration: Span,
}
