//! What was seen at one instant? Plain values: no I/O, no conclusions, nothing derived.

mod duration;
mod filesystem;
mod form;
mod image;
mod kubelet;
mod layer;
mod reading;
pub mod recording;
mod usage;

pub use duration::parse_go_duration;
pub use filesystem::{FilesystemId, FilesystemName, Space};
pub use image::{Container, ContainerState, Image, ImageId, ImageStore, Pod, StoredLayer};
pub use kubelet::{KubeletConfig, KubeletSample, KubeletSettings, KubeletVersion, SettingsFile, VersionOrigin};
pub use layer::{LayerOrigin, LayerSample, RuntimeKind, RuntimeSample, Source, SourceStatus};
pub use reading::{Absence, AbsenceReason, Reading};
pub use usage::{Component, DiskUsage, LayerUsage};

use crate::time::Timestamp;

/// Everything that was seen of one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When the round began.
    pub at: Timestamp,
    /// Every filesystem that holds an image store or a kubelet root, once.
    pub filesystems: Vec<FilesystemSample>,
    /// Every layer, parents before children.
    pub layers: Vec<LayerSample>,
}

/// One filesystem at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct FilesystemSample {
    /// Which.
    pub id: FilesystemId,
    /// What it is called.
    pub name: FilesystemName,
    /// Its numbers.
    pub space: Reading<Space>,
    /// A `statfs` that was begun and has not come back.
    pub stuck: bool,
    /// Who holds how much of it, by the slow walk.
    pub usage: Reading<DiskUsage>,
}
