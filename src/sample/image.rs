//! Which images and containers does a layer hold? As its runtime lists them; what that means is in `model/`.

use super::form::is_default;
use crate::units::Bytes;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What one runtime holds, listed in one go.
///
/// A recording has a line for each item of the lists, and the rest in a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageStore {
    /// Every image.
    #[serde(skip)]
    pub images: Vec<Image>,
    /// Every container of a pod, in any state.
    #[serde(skip)]
    pub containers: Vec<Container>,
    /// Every pod sandbox, in any state.
    #[serde(skip)]
    pub pods: Vec<Pod>,
    /// Whether the lists are whole: false where one was cut or an entry could not be read.
    #[serde(default = "whole")]
    pub complete: bool,
    /// Images may be mounted as volumes that are not among [`Container::image_volumes`]: the runtime can do that, and does not
    /// tell.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hidden_volumes: bool,
    /// The image of every pod's sandbox ("pause") by its name, where the runtime tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_image: Option<Label>,
}

fn whole() -> bool {
    true
}

/// The id of an image: the digest of its configuration, `sha256:...`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(Label);

/// An image as the CRI lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its names with tags; may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Label>,
    /// Its names with digests; may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<Label>,
    /// What the kubelet counts for it. With containerd the compressed blobs, not what is unpacked, shared layers in
    /// full. `None` above 2^63-1.
    pub size: Option<Bytes>,
    /// Whether the runtime says that it must not be deleted.
    #[serde(default)]
    pub pinned: bool,
    /// What it keeps on the disk, each part once; `None` where that is not known: the CRI does not tell, and only containerd's
    /// own records do. Shared, since it is copied with every sample and hardly ever changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Arc<[StoredLayer]>>,
}

/// One part of an image on the disk: a layer, or its blob and its unpacked files each by themselves. The same part in two images
/// has the same name and is stored once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLayer {
    /// The digest of its chain, or any other name that identifies it in this store.
    pub id: Label,
    /// What becomes free with the last image that has it.
    pub bytes: Bytes,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its id.
    pub id: Label,
    /// The sandbox of its pod, [`Pod::id`].
    pub pod: Label,
    /// Its name in the pod.
    pub name: Label,
    /// Its state.
    pub state: ContainerState,
    /// The image's id, which kubelets from 1.30 on make the runtime tell; `None` where it is not told.
    pub image_id: Option<ImageId>,
    /// What older kubelets compare with the ids of images: with containerd and CRI-O the id or a digest.
    pub image_ref: Option<ImageId>,
    /// Images that are mounted as volumes, as far as they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_volumes: Vec<ImageId>,
}

/// State of a container in the CRI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Made and not started.
    Created,
    /// Running.
    Running,
    /// Ended.
    Exited,
    /// Not known to the runtime.
    Unknown,
}

/// A pod sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its id.
    pub id: Label,
    /// The uid of the pod; several sandboxes can have the same.
    pub uid: Label,
    /// Namespace of the pod.
    pub namespace: Label,
    /// Name of the pod.
    pub name: Label,
    /// Whether the sandbox runs; `None` where it is not told.
    pub ready: Option<bool>,
    /// Whether the pod comes from a file on the node: `kubernetes.io/config.source` is `file`.
    #[serde(default)]
    pub is_static: bool,
}

impl ImageId {
    /// Takes an id as the runtime gives it.
    pub fn new(id: impl Into<Label>) -> Self {
        Self(id.into())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<&str> for ImageId {
    fn from(id: &str) -> Self {
        Self(Label::new(id))
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Image {
    /// What people call it: the first tag, else the first digest, else its id.
    pub fn display_name(&self) -> &str {
        self.tags.first().or(self.digests.first()).map_or(self.id.as_str(), Label::as_str)
    }
}
