//! What was seen of one layer: its runtime, its kubelet, where its images live, and which of that could be read.

use super::form::{is_default, seconds};
use super::reading::seen;
use super::{FilesystemId, ImageStore, KubeletSample, Reading};
use crate::layer::{LayerId, LayerKind};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};

/// One layer at one instant.
///
/// In a recording most of what changes has lines of its own, and filesystems have names there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerSample {
    /// Its name.
    #[serde(rename = "layer")]
    pub id: LayerId,
    /// What it is.
    pub kind: LayerKind,
    /// The layer whose runtime made the container that this one lives in; `None` for the outermost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<LayerId>,
    /// Which pod, job and cluster it belongs to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub origin: LayerOrigin,
    /// The runtime that keeps the images; `None` on a machine without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeSample>,
    /// The kubelet that drives it, if any.
    #[serde(skip)]
    pub kubelet: Option<KubeletSample>,
    /// The directory of the images, as the layer sees it.
    #[serde(default = "of_containerd")]
    pub image_store: Label,
    /// Docker's data root, where the runtime is Docker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_root: Option<Label>,
    /// The filesystem of the image store.
    #[serde(skip, default = "Reading::not_recorded")]
    pub imagefs: Reading<FilesystemId>,
    /// The filesystem of the kubelet's root directory, or the image store's where there is no kubelet.
    #[serde(skip, default = "Reading::not_recorded")]
    pub nodefs: Reading<FilesystemId>,
    /// What the runtime says its images use (CRI ImageFsInfo): snapshots only, up to 10 s old, never what the kubelet acts on.
    #[serde(skip, default = "Reading::not_recorded")]
    pub runtime_used: Reading<Bytes>,
    /// Its images and containers, and when the runtime was asked. Not asked of Docker, whose images no kubelet deletes.
    #[serde(skip, default = "Reading::not_recorded")]
    pub images: Reading<ImageStore>,
    /// What could be read of this layer, one entry for each source that applies to it.
    #[serde(skip)]
    pub sources: Vec<SourceStatus>,
}

fn of_containerd() -> Label {
    Label::new("/var/lib/containerd")
}

/// Where a layer comes from. Everything here is chosen by whoever runs the pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerOrigin {
    /// Namespace of the pod whose container this layer lives in, directly or further in.
    pub pod_namespace: Option<Label>,
    /// Name of that pod.
    pub pod: Option<Label>,
    /// Prow's job name, from the pod's label `prow.k8s.io/job` (or the annotation of that name).
    pub prow_job: Option<Label>,
    /// Prow's build id, from the pod's label `prow.k8s.io/build-id`.
    pub prow_build_id: Option<Label>,
    /// kind's or CAPD's cluster name, from the container's label `io.x-k8s.kind.cluster`.
    pub test_cluster: Option<Label>,
    /// `control-plane` or `worker`, from the container's label `io.x-k8s.kind.role`.
    pub node_role: Option<Label>,
    /// The id of the container this layer lives in.
    pub container: Option<Label>,
}

impl LayerOrigin {
    /// Namespace and name of the pod; a namespace that is not known is empty.
    pub fn pod(&self) -> Option<(&str, &str)> {
        Some((self.pod_namespace.as_ref().map_or("", Label::as_str), self.pod.as_ref()?.as_str()))
    }
}

/// A runtime that keeps images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeSample {
    /// Which program.
    pub kind: RuntimeKind,
    /// Its process id as this machine's /proc counts it.
    #[serde(default)]
    pub pid: u32,
    /// When the process started.
    #[serde(with = "seconds")]
    pub started_at: Timestamp,
    /// Its release, where it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Label>,
    /// How often it measures what its images use (containerd's stats_collect_period), where it says so. A kubelet acts on an
    /// imagefs signal only when there is a new figure.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds")]
    pub stats_period: Option<Span>,
}

/// The runtimes that can be a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    /// containerd with its CRI plugin.
    Containerd,
    /// CRI-O.
    Crio,
    /// dockerd.
    Docker,
}

/// The inputs of a layer; the value of the `source` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The filesystem of the image store.
    Statfs,
    /// The kubelet's arguments and files.
    KubeletConfig,
    /// The CRI socket.
    Cri,
    /// The Docker Engine API.
    Docker,
}

/// Whether one source of one layer could be read, and when it last was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Which source.
    pub source: Source,
    /// Present: read at that time. Absent: why not.
    #[serde(flatten, deserialize_with = "seen")]
    pub state: Reading<()>,
}

impl RuntimeKind {
    /// The value of the `runtime` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Crio => "cri-o",
            Self::Docker => "docker",
        }
    }
}

impl Source {
    /// The value of the `source` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Statfs => "statfs",
            Self::KubeletConfig => "kubelet_config",
            Self::Cri => "cri",
            Self::Docker => "docker",
        }
    }
}
