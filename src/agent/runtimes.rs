//! What do the runtimes say? Asked slowly by a thread of its own; the sampler takes the latest answers without waiting.

use super::clock;
use super::identity::ContainerName;
use super::images;
use super::lock::lock;
use super::stored::Stored;
use crate::access::socket::{Endpoint, ReplyLimits};
use crate::discover::LayerKey;
use crate::sample::{AbsenceReason, ImageStore, LayerOrigin, Reading, RuntimeKind};
use crate::source::listing::Listing;
use crate::source::{cri, docker};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use crate::untrusted::Label;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

/// A runtime to ask.
#[derive(Debug, Clone)]
pub struct Target {
    /// The layer it keeps.
    pub layer: LayerKey,
    /// Which program.
    pub kind: RuntimeKind,
    /// Its socket. The same one is kept from round to round, so that a path that hangs keeps one thread and no more.
    pub endpoint: Endpoint,
    /// Where the kubelet is answered that drives a Docker.
    pub cri: Option<Endpoint>,
    /// What its images keep on the disk, likewise kept.
    pub stored: Arc<Stored>,
    /// The image of every pod's sandbox, where the runtime's files name it.
    pub sandbox_image: Option<Label>,
}

/// What a runtime answered last.
#[derive(Debug, Clone)]
pub struct Answers {
    /// Its release.
    pub version: Option<Label>,
    /// How often it measures what its images use.
    pub stats_period: Option<Span>,
    /// The directory of its images.
    pub image_store: Option<PathBuf>,
    /// The snapshotter of the containerd in which a Docker keeps its images, where it does.
    pub snapshotter: Option<Label>,
    /// What it says its images use.
    pub used: Reading<Bytes>,
    /// Its images and the containers of pods.
    pub images: Reading<ImageStore>,
    /// Its containers, by id, and its pods, by the id of their sandbox.
    pub names: BTreeMap<String, ContainerName>,
    /// Whether it could be asked.
    pub state: Reading<()>,
}

/// Whom to ask, and what they said. Locks are held for a copy, never across a question.
#[derive(Debug, Default)]
pub struct Runtimes {
    targets: Mutex<Vec<Target>>,
    answers: Mutex<BTreeMap<LayerKey, Answers>>,
    checks: Mutex<BTreeMap<LayerKey, Timestamp>>,
}

impl Runtimes {
    /// Nobody to ask yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the runtimes to ask; answers of others are forgotten.
    pub fn set_targets(&self, targets: Vec<Target>) {
        lock(&self.answers).retain(|key, _| targets.iter().any(|target| target.layer == *key));
        *lock(&self.targets) = targets;
    }

    /// The runtimes to ask.
    pub fn targets(&self) -> Vec<Target> {
        lock(&self.targets).clone()
    }

    /// Replaces the times at which kubelets are expected to look at their images next.
    pub fn set_checks(&self, checks: BTreeMap<LayerKey, Timestamp>) {
        *lock(&self.checks) = checks;
    }

    /// When the kubelet of each layer looks next, where it does.
    pub fn checks(&self) -> BTreeMap<LayerKey, Timestamp> {
        lock(&self.checks).clone()
    }

    /// The latest answers.
    pub fn answers(&self) -> BTreeMap<LayerKey, Answers> {
        lock(&self.answers).clone()
    }

    /// Keeps an answer, unless the layer vanished while it was asked.
    pub fn put(&self, layer: LayerKey, answers: Answers) {
        if lock(&self.targets).iter().any(|target| target.layer == layer) {
            lock(&self.answers).insert(layer, answers);
        }
    }
}

/// Asks every runtime once, all at the same time, so that a silent one delays nobody, and keeps each answer as it comes.
pub async fn ask_all(runtimes: &Arc<Runtimes>, limits: &ReplyLimits) {
    drop(ask_some(runtimes, limits, |_| true).await);
}

/// The same for the runtimes of some layers only; says how long each took.
pub async fn ask_some(
    runtimes: &Arc<Runtimes>,
    limits: &ReplyLimits,
    wanted: impl Fn(LayerKey) -> bool,
) -> Vec<(LayerKey, Duration)> {
    let mut questions = JoinSet::new();
    for target in runtimes.targets().into_iter().filter(|target| wanted(target.layer)) {
        let (runtimes, limits) = (Arc::clone(runtimes), limits.clone());
        questions.spawn(async move {
            let begin = clock::monotonic();
            let answers = ask(&target, &limits).await;
            runtimes.put(target.layer, answers);
            (target.layer, begin.elapsed())
        });
    }
    let mut took = Vec::new();
    while let Some(answered) = questions.join_next().await {
        took.extend(answered.ok());
    }
    took
}

async fn ask(target: &Target, limits: &ReplyLimits) -> Answers {
    let now = clock::now();
    match target.kind {
        RuntimeKind::Docker => {
            let mut answers = from_docker(&docker::snapshot(&target.endpoint, limits, now).await);
            // The kubelet deletes what cri-dockerd lists, whoever pulled or built it.
            if let Some(cri) = &target.cri {
                answers.images = images::store(&cri::snapshot(cri, limits, now).await, None);
                if let Reading::Present { value, .. } = &mut answers.images {
                    value.hidden_volumes = false;
                }
            }
            answers
        }
        RuntimeKind::Containerd | RuntimeKind::Crio => {
            let snapshot = cri::snapshot(&target.endpoint, limits, now).await;
            let mut answers = from_cri(&snapshot, target.sandbox_image.as_ref());
            if let Reading::Present { value, .. } = &mut answers.images {
                if let (RuntimeKind::Containerd, Some(place)) = (target.kind, answers.image_store.clone()) {
                    target.stored.fill(target.endpoint.root(), place, value).await;
                }
                value.hidden_volumes &= mounts_images(target.kind, answers.version.as_ref());
            }
            answers
        }
    }
}

/// Whether a runtime can mount an image as a volume: containerd from 2.1 on, CRI-O from 1.31 on. One of unknown release may.
fn mounts_images(kind: RuntimeKind, version: Option<&Label>) -> bool {
    let first = match kind {
        RuntimeKind::Containerd => (2, 1),
        RuntimeKind::Crio => (1, 31),
        RuntimeKind::Docker => return false,
    };
    let text = version.map_or("", Label::as_str).trim_start_matches('v');
    let mut numbers = text.split(['.', '~', '-', '+']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= first,
        _ => true,
    }
}

/// A list that was cut is no failure, but not the whole truth either: a layer in a container that is not listed has no name.
fn state_of<T>(list: &Reading<Listing<T>>) -> Reading<()> {
    match list {
        Reading::Present { value, .. } if !value.is_complete() => {
            Reading::absent(AbsenceReason::TooLarge, "the runtime's list is longer than the limit and was cut")
        }
        Reading::Present { at, .. } => Reading::present((), *at),
        Reading::Absent(absence) => Reading::Absent(absence.clone()),
    }
}

fn from_cri(snapshot: &cri::CriSnapshot, sandbox_image: Option<&Label>) -> Answers {
    let first = snapshot.image_fs.value().and_then(|list| list.first());
    let mut names = BTreeMap::new();
    for pod in snapshot.pods.value().into_iter().flat_map(|pods| &pods.items) {
        names.insert(pod.pod.id.as_str().to_owned(), name_of_pod(pod));
    }
    for container in snapshot.containers.value().into_iter().flat_map(|containers| &containers.items) {
        if let Some(pod) = names.get(container.pod.as_str()).cloned() {
            names.insert(container.id.as_str().to_owned(), pod);
        }
    }
    Answers {
        version: snapshot.version.value().map(|version| version.version.clone()),
        stats_period: snapshot
            .status
            .value()
            .and_then(|status| status.stats_period)
            .map(|seconds| Span::from_secs(i64::from(seconds))),
        image_store: first.map(|usage| PathBuf::from(usage.mountpoint.as_str())).filter(|path| path.is_absolute()),
        snapshotter: None,
        images: images::store(snapshot, sandbox_image),
        used: snapshot.image_fs.clone().and_then(|list| list.first().and_then(|usage| usage.used)),
        names,
        state: state_of(&snapshot.pods),
    }
}

fn name_of_pod(listed: &cri::ListedPod) -> ContainerName {
    let pod = &listed.pod;
    ContainerName {
        parts: vec![pod.namespace.clone(), pod.name.clone()],
        origin: LayerOrigin {
            pod_namespace: Some(pod.namespace.clone()),
            pod: Some(pod.name.clone()),
            prow_job: listed.prow_job.clone(),
            prow_build_id: listed.prow_build_id.clone(),
            ..LayerOrigin::default()
        },
        k3d: false,
    }
}

fn from_docker(snapshot: &docker::DockerSnapshot) -> Answers {
    let containers = snapshot.containers.value().into_iter().flat_map(|containers| &containers.items);
    let names = containers.map(|container| (container.id.as_str().to_owned(), name_of_container(container))).collect();
    let root = snapshot.info.value().map(|info| PathBuf::from(info.root_dir.as_str()));
    Answers {
        version: snapshot.version.value().map(|version| version.version.clone()),
        stats_period: None,
        image_store: root.filter(|path| path.is_absolute()),
        snapshotter: snapshot.info.value().and_then(|info| info.snapshotter.clone()),
        // Docker says what its images use only after walking all of them (/system/df), which is never asked.
        used: Reading::absent(AbsenceReason::NotRead, "Docker does not tell without walking its disk"),
        images: Reading::absent(AbsenceReason::NotRead, "not asked: no kubelet drives this Docker"),
        names,
        state: state_of(&snapshot.containers),
    }
}

fn name_of_container(container: &docker::Container) -> ContainerName {
    let node = container.node.as_ref();
    ContainerName {
        parts: vec![container.name.clone()],
        origin: LayerOrigin {
            test_cluster: node.and_then(|node| node.cluster.clone()),
            node_role: node.and_then(|node| node.role.clone()),
            ..LayerOrigin::default()
        },
        k3d: node.is_some_and(|node| node.tool == docker::NodeTool::K3d),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_runtimes_mount_no_images() {
        let cases = [
            (RuntimeKind::Containerd, Some("1.7.24~ds1"), false),
            (RuntimeKind::Containerd, Some("v2.0.5"), false),
            (RuntimeKind::Containerd, Some("v2.1.0-rc.1"), true),
            (RuntimeKind::Containerd, Some("2.3.7"), true),
            (RuntimeKind::Crio, Some("1.30.2"), false),
            (RuntimeKind::Crio, Some("1.31.0"), true),
            (RuntimeKind::Containerd, Some("unknown"), true),
            (RuntimeKind::Crio, None, true),
        ];
        for (kind, version, expected) in cases {
            assert_eq!(mounts_images(kind, version.map(Label::new).as_ref()), expected, "{kind:?} {version:?}");
        }
    }
}
