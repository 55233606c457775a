//! What does every surface read? One sample and what it means, immutable, published whole.

use crate::assess::Assessment;
use crate::sample::Sample;
use crate::time::Span;
use serde::{Deserialize, Serialize};

/// Everything that is known at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
