//! What does a dockerd say it has? Plain values: text made harmless, lists cut, impossible numbers turned into "not known".

use super::bounded::{AtMost, FromPairs, count, label, pairs};
use crate::source::listing::MAX_NAMES;
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most names and mounts that are kept of one container or image.
const MAX_ENTRIES: usize = 64;

/// A version of the API, as 1.45.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ApiVersion {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

/// `GET /version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The release, as `26.1.5`.
    pub version: Label,
    /// The newest API that the daemon speaks; `None` where it is not said in the usual form.
    pub api: Option<ApiVersion>,
    /// The oldest one.
    pub oldest_api: Option<ApiVersion>,
}

/// `GET /info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// DockerRootDir, as the layer sees it.
    pub root_dir: Label,
    /// The storage driver: `overlay2`, `vfs`, or with the containerd image store the name of a snapshotter, `overlayfs`.
    pub driver: Label,
    /// Whether the images are kept in containerd (DriverStatus has a `driver-type` of `io.containerd.snapshotter.v1`).
    pub containerd_image_store: bool,
}

/// One container of `GET /containers/json?all=1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its id, 64 hexadecimal digits.
    pub id: Label,
    /// Its first name without the leading slash.
    pub name: Label,
    /// The image as it was asked for.
    pub image: Label,
    /// The image's id.
    pub image_id: Label,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`.
    pub state: Label,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// What its labels say of a Kubernetes node in it.
    pub node: Option<NodeMarks>,
    /// What `GET /containers/{id}/json` adds, where it was asked and answered.
    pub inspection: Option<Inspection>,
}

/// From `GET /containers/{id}/json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// The first process, as the daemon's own pid namespace counts it; `None` where nothing runs.
    pub pid: Option<u32>,
    /// Its mounts, at most 64.
    pub mounts: Vec<Mount>,
    /// There are more.
    pub more_mounts: bool,
}

/// One mount of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// `bind`, `volume`, `tmpfs`.
    pub kind: Label,
    /// Where it comes from, as the daemon sees it; empty for tmpfs.
    pub source: Label,
    /// Where the container sees it.
    pub destination: Label,
}

/// Labels of a container that is a Kubernetes node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMarks {
    /// Which tool made it.
    pub tool: NodeTool,
    /// The cluster.
    pub cluster: Option<Label>,
    /// `control-plane`, `worker`; k3d: `server`, `agent`, `loadbalancer`.
    pub role: Option<Label>,
}

/// Tools that make Kubernetes nodes as Docker containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeTool {
    /// kind, or Cluster API's Docker provider, which sets the same labels.
    KindOrCapd,
    /// k3d.
    K3d,
    /// minikube with its Docker driver.
    Minikube,
}

/// One image of `GET /images/json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its id.
    pub id: Label,
    /// Its names with tags, at most 64; without `<none>:<none>`.
    pub tags: Vec<Label>,
    /// Its names with digests, at most 64; without `<none>@<none>`.
    pub digests: Vec<Label>,
    /// It has more tags or digests than are kept.
    pub more_names: bool,
    /// With everything it shares with others; `None` where it is negative or above 2^63-1.
    pub size: Option<Bytes>,
    /// When it was built.
    pub created_at: Option<Timestamp>,
}

impl ApiVersion {
    /// Takes the two numbers.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The JSON of `GET /version`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawVersion {
    version: Label,
    #[serde(default)]
    api_version: String,
    #[serde(default, rename = "MinAPIVersion")]
    min_api_version: String,
}

impl From<RawVersion> for Version {
    fn from(raw: RawVersion) -> Self {
        Self {
            version: raw.version,
            api: ApiVersion::parse(&raw.api_version),
            oldest_api: ApiVersion::parse(&raw.min_api_version),
        }
    }
}

/// The JSON of `GET /info`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawInfo {
    docker_root_dir: Label,
    driver: Label,
    #[serde(default)]
    driver_status: AtMost<AtMost<Label, 2>, MAX_ENTRIES>,
}

impl From<RawInfo> for Info {
    fn from(raw: RawInfo) -> Self {
        let says_containerd = |row: &AtMost<Label, 2>| {
            let mut cells = row.items.iter().map(Label::as_str);
            cells.next() == Some("driver-type") && cells.next() == Some("io.containerd.snapshotter.v1")
        };
        Self {
            root_dir: raw.docker_root_dir,
            driver: raw.driver,
            containerd_image_store: raw.driver_status.items.iter().any(says_containerd),
        }
    }
}

/// The JSON of one container in the list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawContainer {
    id: Label,
    #[serde(default)]
    names: AtMost<Label, 1>,
    #[serde(default = "empty", deserialize_with = "label")]
    image: Label,
    #[serde(default = "empty", rename = "ImageID", deserialize_with = "label")]
    image_id: Label,
    #[serde(default = "empty", deserialize_with = "label")]
    state: Label,
    #[serde(default, deserialize_with = "count")]
    created: Option<u64>,
    #[serde(default, deserialize_with = "pairs")]
    labels: RawMarks,
}

impl From<RawContainer> for Container {
    fn from(raw: RawContainer) -> Self {
        let name = raw.names.items.first().map_or("", Label::as_str);
        Self {
            id: raw.id,
            name: Label::new(name.strip_prefix('/').unwrap_or(name)),
            image: raw.image,
            image_id: raw.image_id,
            state: raw.state,
            created_at: raw.created.and_then(moment),
            node: raw.labels.node(),
            inspection: None,
        }
    }
}

#[derive(Debug, Default)]
struct RawMarks {
    kind_cluster: Option<Label>,
    kind_role: Option<Label>,
    is_k3d: bool,
    k3d_cluster: Option<Label>,
    k3d_role: Option<Label>,
    minikube: Option<Label>,
    minikube_role: Option<Label>,
}

impl FromPairs for RawMarks {
    fn pair(&mut self, key: &str, value: &str) {
        let slot = match key {
            "io.x-k8s.kind.cluster" => &mut self.kind_cluster,
            "io.x-k8s.kind.role" => &mut self.kind_role,
            "k3d.cluster" => &mut self.k3d_cluster,
            "k3d.role" => &mut self.k3d_role,
            "name.minikube.sigs.k8s.io" => &mut self.minikube,
            "role.minikube.sigs.k8s.io" => &mut self.minikube_role,
            "app" => {
                self.is_k3d = value == "k3d";
                return;
            }
            _ => return,
        };
        *slot = Some(Label::new(value));
    }
}

impl RawMarks {
    fn node(self) -> Option<NodeMarks> {
        let (tool, cluster, role) = if self.kind_cluster.is_some() || self.kind_role.is_some() {
            (NodeTool::KindOrCapd, self.kind_cluster, self.kind_role)
        } else if self.is_k3d {
            (NodeTool::K3d, self.k3d_cluster, self.k3d_role)
        } else if self.minikube.is_some() {
            (NodeTool::Minikube, self.minikube, self.minikube_role)
        } else {
            return None;
        };
        Some(NodeMarks { tool, cluster, role })
    }
}

/// The JSON of one container on its own.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawInspection {
    state: RawState,
    #[serde(default)]
    mounts: AtMost<RawMount, MAX_ENTRIES>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawState {
    #[serde(default, deserialize_with = "count")]
    pid: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawMount {
    #[serde(default = "empty", rename = "Type", deserialize_with = "label")]
    kind: Label,
    #[serde(default = "empty", deserialize_with = "label")]
    source: Label,
    destination: Label,
}

impl From<RawInspection> for Inspection {
    fn from(raw: RawInspection) -> Self {
        Self {
            // 0 stands for "does not run".
            pid: raw.state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
            more_mounts: raw.mounts.more,
            mounts: raw
                .mounts
                .items
                .into_iter()
                .map(|mount| Mount { kind: mount.kind, source: mount.source, destination: mount.destination })
                .collect(),
        }
    }
}

/// The JSON of one image in the list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawImage {
    id: Label,
    #[serde(default)]
    repo_tags: AtMost<Label, MAX_NAMES>,
    #[serde(default)]
    repo_digests: AtMost<Label, MAX_NAMES>,
    #[serde(default, deserialize_with = "count")]
    size: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    created: Option<u64>,
}

impl From<RawImage> for Image {
    fn from(raw: RawImage) -> Self {
        let named = |names: Vec<Label>| -> Vec<Label> {
            names.into_iter().filter(|name| !name.as_str().starts_with("<none>")).collect()
        };
        Self {
            id: raw.id,
            more_names: raw.repo_tags.more || raw.repo_digests.more,
            tags: named(raw.repo_tags.items),
            digests: named(raw.repo_digests.items),
            size: raw.size.map(Bytes::new),
            created_at: raw.created.and_then(moment),
        }
    }
}

/// Seconds since the epoch; 0 stands for "not said".
fn moment(seconds: u64) -> Option<Timestamp> {
    let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    Some(Timestamp::from_micros(0) + Span::from_secs(seconds))
}

fn empty() -> Label {
    Label::new("")
}
