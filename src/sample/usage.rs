//! Which layer holds how much of a disk? The result of one walk; how it walks is in `source/walk.rs`.

use super::form::{is_default, seconds};
use crate::layer::LayerId;
use crate::time::Span;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A part of what a layer holds. A later walk splits `Store` into images, containers and build cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// The runtime's root: images, and the writable layers of containers.
    Store,
    /// The kubelet's root: volumes and logs of pods, plugins.
    Kubelet,
    /// Log files of pods.
    Logs,
    /// The rest of the volumes that belong to the layer's own container.
    Volumes,
    /// What no layer claims, counted for the outermost layer of the disk.
    Other,
}

/// What one layer holds alone, nested layers taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerUsage {
    /// Which layer.
    pub layer: LayerId,
    /// Allocated bytes (st_blocks × 512) by component; hard links once.
    pub components: BTreeMap<Component, Bytes>,
}

/// One finished walk of one filesystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUsage {
    /// Every layer that holds something; sums to `used`, unless files were deleted while the walk ran.
    #[serde(default, skip_serializing_if = "is_default")]
    pub layers: Vec<LayerUsage>,
    /// What `statfs` called used when the walk ended.
    pub used: Bytes,
    /// How long the walk took.
    #[serde(default, with = "seconds")]
    pub took: Span,
    /// Directories that could not be read; their bytes are in `Other`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unreadable: u64,
}

impl LayerUsage {
    /// All components together.
    pub fn total(&self) -> Bytes {
        self.components.values().fold(Bytes::ZERO, |sum, bytes| sum.saturating_add(*bytes))
    }
}

impl Component {
    /// The value of the `component` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Kubelet => "kubelet",
            Self::Logs => "logs",
            Self::Volumes => "volumes",
            Self::Other => "other",
        }
    }
}
