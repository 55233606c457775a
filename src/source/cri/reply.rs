//! What does a CRI runtime say it has? The sample's own types: sanitized text, lists cut, impossible numbers turned into "not
//! known".

use super::message;
use crate::sample::{Container, ContainerState, Image, ImageId, Pod};
use crate::source::listing::MAX_NAMES;
use crate::units::Bytes;
use crate::untrusted::Label;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The runtime's release, as `1.7.24~ds1` or `v2.1.4`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The release.
    pub version: Label,
}

/// What a verbose Status says of the configuration, as far as that decides which images can be deleted and when.
///
/// containerd up to 1.7, CRI-O and cri-dockerd name the sandbox image there; containerd 2 keeps it elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The image of every pod's sandbox ("pause").
    pub sandbox_image: Option<Label>,
    /// How often the runtime measures what its images use, in seconds; 1 to a day.
    pub stats_period: Option<u32>,
}

/// One filesystem for images. In containerd the sum of its snapshots, without compressed blobs, up to 10 s old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsUsage {
    /// The directory that holds the images, as the layer sees it.
    pub mountpoint: Label,
    /// Bytes; `None` where it is not said or above 2^63-1.
    pub used: Option<Bytes>,
}

/// One pod, also one that has ended and is not cleaned up yet, with what Prow notes on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPod {
    /// The pod.
    pub pod: Pod,
    /// Prow's job, from the annotation `prow.k8s.io/job` (complete) or else the label of that name (cut at 63 characters).
    pub prow_job: Option<Label>,
    /// Prow's build, from the label `prow.k8s.io/build-id`.
    pub prow_build_id: Option<Label>,
}

/// How many bytes of memory a value takes, roughly, so that small messages cannot grow into a large list.
pub(super) trait Weight {
    /// Bytes on the heap and in the list.
    fn weight(&self) -> usize;
}

/// A label with its allocation: the text, and what an allocator keeps beside it.
fn text_weight(text: &str) -> usize {
    text.len() + 16
}

fn labels_weight<'a>(labels: impl IntoIterator<Item = &'a Label>) -> usize {
    labels.into_iter().map(|label| text_weight(label.as_str()) + size_of::<Label>()).sum()
}

impl Weight for FsUsage {
    fn weight(&self) -> usize {
        size_of::<Self>() + text_weight(self.mountpoint.as_str())
    }
}

impl Weight for ListedPod {
    fn weight(&self) -> usize {
        let always = [&self.pod.id, &self.pod.name, &self.pod.namespace, &self.pod.uid];
        let sometimes = [&self.prow_job, &self.prow_build_id];
        size_of::<Self>() + labels_weight(always) + labels_weight(sometimes.into_iter().flatten())
    }
}

impl Weight for Container {
    fn weight(&self) -> usize {
        let ids = [&self.image_ref, &self.image_id].into_iter().flatten();
        let ids: usize = ids.map(|id| text_weight(id.as_str())).sum();
        size_of::<Self>() + labels_weight([&self.id, &self.pod, &self.name]) + ids
    }
}

impl Weight for Image {
    fn weight(&self) -> usize {
        size_of::<Self>() + text_weight(self.id.as_str()) + labels_weight(self.tags.iter().chain(&self.digests))
    }
}

impl From<message::VersionResponse> for Version {
    fn from(reply: message::VersionResponse) -> Self {
        Self { version: reply.runtime_version.into() }
    }
}

impl From<message::StatusResponse> for Status {
    fn from(reply: message::StatusResponse) -> Self {
        let config = reply.info.get("config").and_then(|json| serde_json::from_str::<Config>(json).ok());
        let config = config.unwrap_or_default();
        Self {
            sandbox_image: config.sandbox_image.and_then(said),
            stats_period: config
                .stats_collect_period
                .and_then(|period| u32::try_from(period.as_u64()?).ok())
                .filter(|seconds| (1..=86_400).contains(seconds)),
        }
    }
}

/// The settings that runtimes report. There are credentials of registries beside them, which are not read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    sandbox_image: Option<String>,
    /// Seconds; from containerd 2.4 on a text, which is how often it measures the CPU.
    stats_collect_period: Option<serde_json::Value>,
}

impl From<message::FilesystemUsage> for FsUsage {
    fn from(reply: message::FilesystemUsage) -> Self {
        Self {
            mountpoint: reply.fs_id.unwrap_or_default().mountpoint.into(),
            used: reply.used_bytes.and_then(|used| credible(used.value)).map(Bytes::new),
        }
    }
}

impl From<message::PodSandbox> for ListedPod {
    fn from(reply: message::PodSandbox) -> Self {
        let metadata = reply.metadata.unwrap_or_default();
        let pod = Pod {
            id: reply.id.into(),
            name: metadata.name.into(),
            namespace: metadata.namespace.into(),
            uid: metadata.uid.into(),
            // SANDBOX_READY, SANDBOX_NOTREADY.
            ready: match reply.state {
                0 => Some(true),
                1 => Some(false),
                _ => None,
            },
            is_static: reply.annotations.get("kubernetes.io/config.source").is_some_and(|source| source == "file"),
        };
        Self {
            pod,
            prow_job: pick(&reply.annotations, "prow.k8s.io/job").or_else(|| pick(&reply.labels, "prow.k8s.io/job")),
            prow_build_id: pick(&reply.labels, "prow.k8s.io/build-id"),
        }
    }
}

impl From<message::Container> for Container {
    fn from(reply: message::Container) -> Self {
        Self {
            id: reply.id.into(),
            pod: reply.pod_sandbox_id.into(),
            name: reply.metadata.unwrap_or_default().name.into(),
            state: match reply.state {
                0 => ContainerState::Created,
                1 => ContainerState::Running,
                2 => ContainerState::Exited,
                _ => ContainerState::Unknown,
            },
            image_id: said(reply.image_id).map(ImageId::new),
            image_ref: said(reply.image_ref).map(ImageId::new),
            // Not in the list: where nothing else tells (`agent/stored.rs`), they are hidden.
            image_volumes: Vec::new(),
        }
    }
}

impl From<message::Image> for Image {
    fn from(reply: message::Image) -> Self {
        Self {
            id: ImageId::new(reply.id),
            tags: names(reply.repo_tags),
            digests: names(reply.repo_digests),
            size: credible(reply.size).map(Bytes::new),
            pinned: reply.pinned,
            layers: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn status(config: &str) -> Status {
        message::StatusResponse { info: [("config".to_owned(), config.to_owned())].into() }.into()
    }

    #[test]
    fn what_containerd_2_means_by_a_period_costs_nothing_else() {
        // What 2.4.2 answered, without most of it.
        let two = r#"{"sandboxImage": "x", "containerd": {"defaultRuntimeName": "runc"}, "statsCollectPeriod": "",
            "containerdRootDir": "/var/lib/containerd", "rootDir": "/var/lib/containerd/io.containerd.grpc.v1.cri"}"#;
        assert_eq!(status(two), Status { sandbox_image: Some("x".into()), stats_period: None });
    }

    #[test]
    fn containerd_1_says_how_often_it_measures() {
        assert_eq!(status(r#"{"statsCollectPeriod": 10}"#).stats_period, Some(10));
        assert_eq!(status(r#"{"statsCollectPeriod": 0}"#).stats_period, None);
        assert_eq!(status(r#"{"statsCollectPeriod": -1}"#).stats_period, None);
    }

    #[test]
    fn every_runtime_that_names_the_sandbox_image_in_its_status_does_so_alike() {
        // CRI-O and cri-dockerd have nothing else in it.
        let cri_o = r#"{"sandboxImage":"registry.k8s.io/pause:3.10"}"#;
        assert_eq!(status(cri_o).sandbox_image, Some("registry.k8s.io/pause:3.10".into()));
        assert_eq!(status("{}").sandbox_image, None);
    }
}
