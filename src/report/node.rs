//! What is known of a node at one moment: the root of the report.

use super::agent::{AgentReport, ScoreReport};
use super::filesystem::{FilesystemReport, HolderReport};
use super::layer::LayerReport;
use super::problem::Problem;
use super::trigger::TriggerReport;
use super::verdict::VerdictReport;
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};

/// Rises when a field changes its meaning or is removed; new fields leave it as it is.
pub const SCHEMA_VERSION: u32 = 1;

/// A node at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What the kernel calls the node; `None` for a demonstration or a recording.
    #[serde(default)]
    pub node: Option<Label>,
    /// When it was sampled.
    #[serde(with = "crate::form")]
    pub sampled_at: Timestamp,
    /// How long ago that was when the report was made.
    #[serde(rename = "age_seconds", with = "crate::form")]
    pub age: Span,
    /// Whether the agent has stopped sampling, so that nothing here is of the present.
    pub stale: bool,
    /// How bad it is, by the windows of the agent's own settings.
    #[serde(default)]
    pub verdict: VerdictReport,
    /// The filesystems, in the order of the sample.
    pub filesystems: Vec<FilesystemReport>,
    /// The layers, parents first.
    pub layers: Vec<LayerReport>,
    /// Who holds the bytes, most first; empty where no walk has finished yet.
    #[serde(default)]
    pub holders: Vec<HolderReport>,
    /// What belongs to no layer.
    #[serde(default)]
    pub unowned_bytes: Bytes,
    /// What could not be read or understood, filesystems first.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// How right earlier forecasts were, by trigger.
    pub forecast_scores: Vec<ScoreReport>,
    /// How the agent itself is doing.
    pub agent: AgentReport,
}

impl Report {
    /// When it is shown.
    pub fn now(&self) -> Timestamp {
        self.sampled_at + self.age
    }

    /// The filesystem of a layer's images.
    pub fn imagefs(&self, layer: &LayerReport) -> Option<&FilesystemReport> {
        self.filesystems.iter().find(|disk| disk.is(layer.device.as_ref(), layer.mountpoint.as_ref()))
    }

    /// The layers with those of their triggers that watch a filesystem.
    pub fn triggers_on<'r>(
        &'r self,
        disk: &'r FilesystemReport,
    ) -> impl Iterator<Item = (&'r LayerReport, &'r TriggerReport)> {
        let all = self.layers.iter().flat_map(|layer| layer.triggers.iter().map(move |trigger| (layer, trigger)));
        all.filter(|(_, trigger)| disk.is(trigger.device.as_ref(), trigger.mountpoint.as_ref()))
    }
}
