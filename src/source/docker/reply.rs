//! What does a dockerd say it has? Plain values: sanitized text, lists cut, only what is used.

use super::bounded::{AtMost, FromPairs, pairs};
use crate::untrusted::Label;
use serde::Deserialize;
use std::fmt;

/// Rows of DriverStatus; Docker has about five.
const MAX_ROWS: usize = 64;

/// A version of the API, as 1.45.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

/// `GET /version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The release, as `26.1.5`.
    pub version: Label,
    /// The newest API that the daemon speaks; `None` where it is not said in the usual form.
    pub api: Option<ApiVersion>,
    /// The oldest one.
    pub oldest_api: Option<ApiVersion>,
}

/// `GET /info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// DockerRootDir, as the layer sees it.
    pub root_dir: Label,
    /// The snapshotter of the containerd image store (DriverStatus has a `driver-type` of `io.containerd.snapshotter.v1`), as
    /// `overlayfs`; `None` where the images lie in Docker's own directory.
    pub snapshotter: Option<Label>,
}

/// One container of `GET /containers/json?all=1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id, 64 hexadecimal digits.
    pub id: Label,
    /// Its first name without the leading slash.
    pub name: Label,
    /// What its labels say of a Kubernetes node in it.
    pub node: Option<NodeMarks>,
}

/// Labels of a container that is a Kubernetes node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeMarks {
    /// Which tool made it.
    pub tool: NodeTool,
    /// The cluster.
    pub cluster: Option<Label>,
    /// `control-plane`, `worker`; k3d: `server`, `agent`, `loadbalancer`.
    pub role: Option<Label>,
}

/// Tools that make Kubernetes nodes as Docker containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeTool {
    /// kind, or Cluster API's Docker provider, which sets the same labels.
    KindOrCapd,
    /// k3d.
    K3d,
    /// minikube with its Docker driver.
    Minikube,
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
    driver_status: AtMost<AtMost<Label, 2>, MAX_ROWS>,
}

impl From<RawInfo> for Info {
    fn from(raw: RawInfo) -> Self {
        let says_containerd = |row: &AtMost<Label, 2>| {
            let mut cells = row.items.iter().map(Label::as_str);
            cells.next() == Some("driver-type") && cells.next() == Some("io.containerd.snapshotter.v1")
        };
        let is_snapshotter = raw.driver_status.items.iter().any(says_containerd);
        Self { root_dir: raw.docker_root_dir, snapshotter: is_snapshotter.then_some(raw.driver) }
    }
}

/// The JSON of one container in the list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawContainer {
    id: Label,
    #[serde(default)]
    names: AtMost<Label, 1>,
    #[serde(default, deserialize_with = "pairs")]
    labels: RawMarks,
}

impl From<RawContainer> for Container {
    fn from(raw: RawContainer) -> Self {
        let name = raw.names.items.first().map_or("", Label::as_str);
        Self { id: raw.id, name: Label::new(name.strip_prefix('/').unwrap_or(name)), node: raw.labels.node() }
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
