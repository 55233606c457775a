//! What does a CRI runtime say it has? Plain values: text made harmless, lists cut, impossible numbers turned into "not known".

use super::message;
use crate::source::listing::MAX_NAMES;
use crate::time::Timestamp;
use crate::units::{Bytes, Inodes};
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the runtime says it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// `containerd`, `cri-o`, `docker` (cri-dockerd).
    pub runtime: Label,
    /// Its release, as `1.7.24~ds1` or `v2.1.4`.
    pub version: Label,
    /// The API it speaks, as `v1`.
    pub api: Label,
}

/// Whether the runtime works, and how it is configured as far as that decides what lies on the disk.
///
/// The settings come from what containerd 1.x adds to a verbose Status; newer ones keep some of them elsewhere, other runtimes
/// all of them: then they are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// Condition RuntimeReady.
    pub runtime_ready: Option<bool>,
    /// Condition NetworkReady; false on a node without CNI.
    pub network_ready: Option<bool>,
    /// The image of every pod's sandbox ("pause").
    pub sandbox_image: Option<Label>,
    /// The snapshotter, as `overlayfs`.
    pub snapshotter: Option<Label>,
    /// Whether the compressed layers are deleted once they are unpacked.
    pub discard_unpacked_layers: Option<bool>,
    /// containerd's root, as the layer sees it.
    pub root_dir: Option<Label>,
    /// How often it measures what its images use, in seconds; 1 to a day.
    pub stats_period: Option<u32>,
}

/// One filesystem for images. In containerd the sum of its snapshots, without compressed blobs, up to 10 s old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsUsage {
    /// The directory that holds the images, as the layer sees it.
    pub mountpoint: Label,
    /// Bytes; `None` where it is not said or above 2^63-1.
    pub used: Option<Bytes>,
    /// Inodes; `None` where it is not said or above 2^63-1.
    pub inodes: Option<Inodes>,
    /// When the runtime measured it; `None` where it is not said.
    pub timestamp: Option<Timestamp>,
}

/// One pod, also one that has ended and is not cleaned up yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// The id of its sandbox, which its containers name.
    pub id: Label,
    /// Its name.
    pub name: Label,
    /// Its namespace.
    pub namespace: Label,
    /// Its uid; for static pods a hash.
    pub uid: Label,
    /// Whether its sandbox runs.
    pub state: PodState,
    /// When the sandbox was made.
    pub created_at: Option<Timestamp>,
    /// Prow's job, from the annotation `prow.k8s.io/job` (complete) or else the label of that name (cut at 63 characters).
    pub prow_job: Option<Label>,
    /// Prow's build, from the label `prow.k8s.io/build-id`.
    pub prow_build_id: Option<Label>,
    /// Whether the label `created-by-prow` is `true`.
    pub created_by_prow: bool,
    /// Where the kubelet has the pod from, annotation `kubernetes.io/config.source`: `file` for a static pod, `api`, `http`.
    pub config_source: Option<Label>,
}

/// State of a pod's sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PodState {
    /// SANDBOX_READY.
    Ready,
    /// SANDBOX_NOTREADY.
    NotReady,
    /// Any other number.
    Unknown,
}

/// One container in any state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its id.
    pub id: Label,
    /// The sandbox of its pod.
    pub pod_sandbox_id: Label,
    /// Its name in the pod.
    pub name: Label,
    /// How often the kubelet has tried: 0 for the first.
    pub attempt: u32,
    /// The image as the runtime was asked for it; with a kubelet this is the image's id.
    pub image: Option<Label>,
    /// The image as the pod names it, where the kubelet passes that on.
    pub user_image: Option<Label>,
    /// The image's digest or id; what the kubelet takes for "in use" up to 1.29.
    pub image_ref: Option<Label>,
    /// The image's id, from Kubernetes 1.30 on.
    pub image_id: Option<Label>,
    /// Its state.
    pub state: ContainerState,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Label `io.kubernetes.pod.name`.
    pub pod_name: Option<Label>,
    /// Label `io.kubernetes.pod.namespace`.
    pub pod_namespace: Option<Label>,
}

/// State of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// CONTAINER_CREATED.
    Created,
    /// CONTAINER_RUNNING.
    Running,
    /// CONTAINER_EXITED.
    Exited,
    /// CONTAINER_UNKNOWN, or any other number.
    Unknown,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its id, the digest of its configuration.
    pub id: Label,
    /// Its names with tags, at most [`MAX_NAMES`].
    pub tags: Vec<Label>,
    /// Its names with digests, at most [`MAX_NAMES`].
    pub digests: Vec<Label>,
    /// It has more tags or digests than are kept.
    pub more_names: bool,
    /// What the kubelet counts for it; `None` above 2^63-1, which an int64 cannot hold.
    pub size: Option<Bytes>,
    /// Whether the runtime says that it must not be deleted.
    pub pinned: bool,
}

/// How many bytes of memory a value takes, roughly, so that small messages cannot grow into a large list.
pub(super) trait Weight {
    /// Bytes on the heap and in the list.
    fn weight(&self) -> usize;
}

/// A label with its allocation: the text, and what an allocator keeps beside it.
fn label_weight(label: &Label) -> usize {
    label.as_str().len() + 16
}

fn labels_weight<'a>(labels: impl IntoIterator<Item = &'a Label>) -> usize {
    labels.into_iter().map(|label| label_weight(label) + size_of::<Label>()).sum()
}

impl Weight for FsUsage {
    fn weight(&self) -> usize {
        size_of::<Self>() + label_weight(&self.mountpoint)
    }
}

impl Weight for Pod {
    fn weight(&self) -> usize {
        let always = [&self.id, &self.name, &self.namespace, &self.uid];
        let sometimes = [&self.prow_job, &self.prow_build_id, &self.config_source];
        size_of::<Self>() + labels_weight(always) + labels_weight(sometimes.into_iter().flatten())
    }
}

impl Weight for Container {
    fn weight(&self) -> usize {
        let always = [&self.id, &self.pod_sandbox_id, &self.name];
        let sometimes =
            [&self.image, &self.user_image, &self.image_ref, &self.image_id, &self.pod_name, &self.pod_namespace];
        size_of::<Self>() + labels_weight(always) + labels_weight(sometimes.into_iter().flatten())
    }
}

impl Weight for Image {
    fn weight(&self) -> usize {
        size_of::<Self>() + label_weight(&self.id) + labels_weight(self.tags.iter().chain(&self.digests))
    }
}

impl From<message::VersionResponse> for Version {
    fn from(reply: message::VersionResponse) -> Self {
        Self {
            runtime: reply.runtime_name.into(),
            version: reply.runtime_version.into(),
            api: reply.runtime_api_version.into(),
        }
    }
}

impl From<message::StatusResponse> for Status {
    fn from(reply: message::StatusResponse) -> Self {
        let conditions = reply.status.unwrap_or_default().conditions;
        let condition =
            |name: &str| conditions.iter().find(|condition| condition.r#type == name).map(|condition| condition.status);
        let config = reply.info.get("config").and_then(|json| serde_json::from_str::<Config>(json).ok());
        let config = config.unwrap_or_default();
        Self {
            runtime_ready: condition("RuntimeReady"),
            network_ready: condition("NetworkReady"),
            sandbox_image: config.sandbox_image.and_then(said),
            snapshotter: config.containerd.snapshotter.and_then(said),
            discard_unpacked_layers: config.containerd.discard_unpacked_layers,
            root_dir: config.containerd_root_dir.and_then(said),
            stats_period: config
                .stats_collect_period
                .and_then(|period| u32::try_from(period.as_u64()?).ok())
                .filter(|seconds| (1..=86_400).contains(seconds)),
        }
    }
}

/// The settings that containerd reports. There are credentials of registries beside them, which are not read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    sandbox_image: Option<String>,
    containerd: ContainerdConfig,
    containerd_root_dir: Option<String>,
    /// Seconds; from containerd 2.4 on a text, which is how often it measures the CPU.
    stats_collect_period: Option<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerdConfig {
    snapshotter: Option<String>,
    discard_unpacked_layers: Option<bool>,
}

impl From<message::FilesystemUsage> for FsUsage {
    fn from(reply: message::FilesystemUsage) -> Self {
        Self {
            mountpoint: reply.fs_id.unwrap_or_default().mountpoint.into(),
            used: reply.used_bytes.and_then(|used| credible(used.value)).map(Bytes::new),
            inodes: reply.inodes_used.and_then(|inodes| credible(inodes.value)).map(Inodes::new),
            timestamp: moment(reply.timestamp),
        }
    }
}

impl From<message::PodSandbox> for Pod {
    fn from(reply: message::PodSandbox) -> Self {
        let metadata = reply.metadata.unwrap_or_default();
        Self {
            id: reply.id.into(),
            name: metadata.name.into(),
            namespace: metadata.namespace.into(),
            uid: metadata.uid.into(),
            state: match reply.state {
                0 => PodState::Ready,
                1 => PodState::NotReady,
                _ => PodState::Unknown,
            },
            created_at: moment(reply.created_at),
            prow_job: pick(&reply.annotations, "prow.k8s.io/job").or_else(|| pick(&reply.labels, "prow.k8s.io/job")),
            prow_build_id: pick(&reply.labels, "prow.k8s.io/build-id"),
            created_by_prow: reply.labels.get("created-by-prow").is_some_and(|value| value == "true"),
            config_source: pick(&reply.annotations, "kubernetes.io/config.source"),
        }
    }
}

impl From<message::Container> for Container {
    fn from(reply: message::Container) -> Self {
        let metadata = reply.metadata.unwrap_or_default();
        let image = reply.image.unwrap_or_default();
        Self {
            id: reply.id.into(),
            pod_sandbox_id: reply.pod_sandbox_id.into(),
            name: metadata.name.into(),
            attempt: metadata.attempt,
            image: said(image.image),
            user_image: said(image.user_specified_image),
            image_ref: said(reply.image_ref),
            image_id: said(reply.image_id),
            state: match reply.state {
                0 => ContainerState::Created,
                1 => ContainerState::Running,
                2 => ContainerState::Exited,
                _ => ContainerState::Unknown,
            },
            created_at: moment(reply.created_at),
            pod_name: pick(&reply.labels, "io.kubernetes.pod.name"),
            pod_namespace: pick(&reply.labels, "io.kubernetes.pod.namespace"),
        }
    }
}

impl From<message::Image> for Image {
    fn from(reply: message::Image) -> Self {
        Self {
            id: reply.id.into(),
            more_names: reply.repo_tags.len() > MAX_NAMES || reply.repo_digests.len() > MAX_NAMES,
            tags: names(reply.repo_tags),
            digests: names(reply.repo_digests),
            size: credible(reply.size).map(Bytes::new),
            pinned: reply.pinned,
        }
    }
}

fn names(texts: Vec<String>) -> Vec<Label> {
    texts.into_iter().take(MAX_NAMES).map(Label::from).collect()
}

/// proto3 does not tell an empty string from an absent one.
fn said(text: String) -> Option<Label> {
    (!text.is_empty()).then(|| text.into())
}

fn pick(map: &BTreeMap<String, String>, key: &str) -> Option<Label> {
    map.get(key).filter(|value| !value.is_empty()).map(|value| Label::new(value))
}

/// Above 2^63-1 a number is a negative one gone wrong: Go counts sizes in int64.
fn credible(number: u64) -> Option<u64> {
    i64::try_from(number).is_ok().then_some(number)
}

/// Nanoseconds since the epoch; 0 and negative values stand for "not said".
fn moment(nanos: i64) -> Option<Timestamp> {
    (nanos > 0).then(|| Timestamp::from_micros(nanos / 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(config: &str) -> Status {
        message::StatusResponse { status: None, info: [("config".to_owned(), config.to_owned())].into() }.into()
    }

    #[test]
    fn what_containerd_2_means_by_a_period_costs_nothing_else() {
        // What 2.4.2 answered, without most of it.
        let two = r#"{"containerd": {"defaultRuntimeName": "runc"}, "statsCollectPeriod": "", "statsRetentionPeriod": "",
            "containerdRootDir": "/var/lib/containerd", "rootDir": "/var/lib/containerd/io.containerd.grpc.v1.cri"}"#;
        let status = status(two);
        assert_eq!(status.root_dir.as_ref().map(Label::as_str), Some("/var/lib/containerd"));
        assert_eq!(status.stats_period, None);
    }

    #[test]
    fn containerd_1_says_how_often_it_measures() {
        assert_eq!(status(r#"{"statsCollectPeriod": 10}"#).stats_period, Some(10));
        assert_eq!(status(r#"{"statsCollectPeriod": 0}"#).stats_period, None);
        assert_eq!(status(r#"{"statsCollectPeriod": -1}"#).stats_period, None);
    }
}
