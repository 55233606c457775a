//! What can strike? The names of the triggers, of the kubelet's signals, and the horizons that are forecast.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An event that deletes images, kills pods or stops writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Image garbage collection above the high threshold.
    ImageGc,
    /// Eviction that deletes every unused image.
    ImageEviction,
    /// Eviction that kills pods.
    PodEviction,
    /// Eviction for want of inodes.
    InodeEviction,
    /// No byte left for an ordinary writer.
    DiskFull,
}

/// A kubelet eviction signal that concerns a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Signal {
    /// Bytes available on the kubelet's filesystem.
    #[serde(rename = "nodefs.available")]
    NodefsAvailable,
    /// Inodes free on the kubelet's filesystem.
    #[serde(rename = "nodefs.inodesFree")]
    NodefsInodesFree,
    /// Bytes available on the image filesystem.
    #[serde(rename = "imagefs.available")]
    ImagefsAvailable,
    /// Inodes free on the image filesystem.
    #[serde(rename = "imagefs.inodesFree")]
    ImagefsInodesFree,
}

impl Trigger {
    /// Every trigger, in the order in which they usually strike.
    pub const ALL: [Self; 5] =
        [Self::ImageGc, Self::ImageEviction, Self::PodEviction, Self::InodeEviction, Self::DiskFull];

    /// The trigger with this value of the `trigger` label.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == name)
    }

    /// The value of the `trigger` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ImageGc => "image_gc",
            Self::ImageEviction => "image_eviction",
            Self::PodEviction => "pod_eviction",
            Self::InodeEviction => "inode_eviction",
            Self::DiskFull => "disk_full",
        }
    }
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 4] =
        [Self::NodefsAvailable, Self::NodefsInodesFree, Self::ImagefsAvailable, Self::ImagefsInodesFree];

    /// The name that the kubelet's configuration uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NodefsAvailable => "nodefs.available",
            Self::NodefsInodesFree => "nodefs.inodesFree",
            Self::ImagefsAvailable => "imagefs.available",
            Self::ImagefsInodesFree => "imagefs.inodesFree",
        }
    }

    /// Whether it counts inodes rather than bytes.
    pub const fn counts_inodes(self) -> bool {
        matches!(self, Self::NodefsInodesFree | Self::ImagefsInodesFree)
    }

    /// Whether it looks at the image filesystem rather than the kubelet's.
    pub const fn is_imagefs(self) -> bool {
        matches!(self, Self::ImagefsAvailable | Self::ImagefsInodesFree)
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
