//! What is known of one layer?

use super::filesystem::ComponentBytes;
use super::{ErrorReport, ImagesReport, PolicyReport, RemedyReport, Text, TriggerReport, Urgency, Word};
use crate::layer::LayerKind;
use crate::model::Trigger;
use crate::sample::{LayerOrigin, Source};
use crate::time::Timestamp;
use crate::units::Bytes;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};

/// A layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerReport {
    /// Its name, unique among the layers.
    pub layer: Text,
    /// What it is.
    pub kind: Word<LayerKind>,
    /// The name of the layer it lives in.
    pub parent: Option<Text>,
    /// How many layers it lives in; 0 for the outermost.
    #[serde(default)]
    pub depth: usize,
    /// The device of the filesystem of its images.
    pub device: Option<Text>,
    /// The mountpoint of that.
    pub mountpoint: Option<Text>,
    /// The directory of its images, as it sees it.
    pub image_store: Label,
    /// Docker's data root.
    pub docker_root: Option<Label>,
    /// The runtime that keeps its images.
    pub runtime: Option<RuntimeReport>,
    /// The kubelet that drives it.
    pub kubelet: Option<KubeletReport>,
    /// Which pod, job and cluster it belongs to.
    #[serde(flatten)]
    pub origin: LayerOrigin,
    /// Its exclusive bytes, without `other`; `None` where one of its filesystems has not been walked since it is there.
    pub exclusive_bytes: Option<Bytes>,
    /// The same by component, with `other`.
    pub exclusive_bytes_by_component: Option<ComponentBytes>,
    /// What the runtime says its images use.
    pub runtime_used_bytes: Option<Bytes>,
    /// The settings in force, where they are known.
    pub policy: Option<PolicyReport>,
    /// When the next image GC run is due, where it would delete any.
    #[serde(with = "crate::form")]
    pub next_image_gc_at: Option<Timestamp>,
    /// The one of the triggers that acts first.
    #[serde(default)]
    pub first_trigger: Option<Word<Trigger>>,
    /// Every armed trigger, once.
    pub triggers: Vec<TriggerReport>,
    /// Counts of its images; `None` where they cannot be read.
    pub images: Option<ImagesReport>,
    /// Why not.
    pub images_error: Option<ErrorReport>,
    /// What helps best; `None` where nothing would be lost for good, or where that is not known.
    pub best_remedy: Option<RemedyReport>,
    /// What could be read, each source once.
    pub sources: Vec<SourceReport>,
}

/// A runtime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuntimeReport {
    /// `containerd`, `cri-o`, `docker`.
    pub name: Label,
    /// Its release, where it answers.
    pub version: Option<Label>,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    #[serde(with = "crate::form")]
    pub started_at: Timestamp,
}

/// A kubelet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KubeletReport {
    /// Its release, where something tells it.
    pub version: Option<Label>,
    /// What does: `build_info`, `path`, `package`, `node_image`.
    #[serde(default)]
    pub version_origin: Option<Label>,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    #[serde(with = "crate::form")]
    pub started_at: Timestamp,
    /// Since when it serves pod resources.
    #[serde(default, with = "crate::form")]
    pub serving_since: Option<Timestamp>,
}

/// One source of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Which.
    pub source: Word<Source>,
    /// Whether it could be read.
    pub up: bool,
    /// When.
    #[serde(with = "crate::form")]
    pub read_at: Option<Timestamp>,
    /// Why not.
    pub error: Option<ErrorReport>,
}

impl LayerReport {
    /// The part of its name that its parent's does not have.
    pub fn short_name(&self) -> &str {
        let parent = self.parent.as_deref().unwrap_or_default();
        self.layer.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/')).unwrap_or(&self.layer)
    }

    /// The armed trigger of this kind.
    pub fn trigger(&self, trigger: &Word<Trigger>) -> Option<&TriggerReport> {
        self.triggers.iter().find(|found| found.trigger == *trigger)
    }

    /// The trigger that acts first.
    pub fn first(&self) -> Option<&TriggerReport> {
        self.trigger(self.first_trigger.as_ref()?)
    }

    /// That of the trigger that acts first.
    pub fn urgency(&self) -> Urgency {
        self.first().map_or(Urgency::NONE, TriggerReport::urgency)
    }
}
