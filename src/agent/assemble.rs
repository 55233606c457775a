//! From what is remembered of a layer to its sample, to the runtime to ask, and to the directories that it holds. Pure.

use super::facts::Facts;
use super::filesystems::Measured;
use super::identity::Identity;
use super::kubelets::KubeletFacts;
use super::runtimes::{Answers, Target};
use super::usage::Task;
use crate::access::root::Root;
use crate::discover::{FoundLayer, LayerKey};
use crate::layer::LayerId;
use crate::sample::{
    Absence, Component, FilesystemId, FilesystemSample, KubeletSample, LayerSample, Reading, RuntimeKind,
    RuntimeSample, Source, SourceStatus,
};
use crate::source::runtime_config;
use crate::source::walk::{Claim, Mounts};
use crate::time::Timestamp;
use crate::untrusted::Label;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The filesystems of one layer.
#[derive(Debug, Clone)]
pub(super) struct Located {
    /// Of the image store.
    pub(super) imagefs: Result<FilesystemId, Absence>,
    /// Of the kubelet's root.
    pub(super) nodefs: Result<FilesystemId, Absence>,
}

/// Everything known of one layer.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) layer: &'a FoundLayer,
    pub(super) identity: &'a Identity,
    pub(super) parent: Option<&'a LayerId>,
    pub(super) facts: &'a Facts,
    pub(super) kubelet: Option<&'a KubeletFacts>,
    /// The containerd that keeps the images of a dockerd.
    pub(super) containerd: Option<&'a Facts>,
    pub(super) located: &'a Located,
    pub(super) answers: Option<&'a Answers>,
}

/// Where the images are, and whether the runtime itself answered that.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) path: PathBuf,
    pub(super) is_answer: bool,
}

/// Where the images are: as the runtime says, else as its configuration says, else where they usually are.
pub(super) fn image_store(
    layer: &FoundLayer,
    facts: &Facts,
    containerd: Option<&Facts>,
    answers: Option<&Answers>,
) -> Store {
    let answered = answers.and_then(|answers| answers.image_store.clone());
    let is_answer = answered.is_some();
    let told = answered
        .or_else(|| facts.paths.as_ref().ok().map(|paths| paths.image_store.clone()))
        .or_else(|| layer.runtime.map(|kind| runtime_config::defaults(kind).image_store))
        .unwrap_or_else(|| PathBuf::from("/"));
    let in_containerd = (layer.runtime == Some(RuntimeKind::Docker) && layer.kubelet.is_none())
        .then(|| containerd_store(facts, containerd, answers))
        .flatten();
    // cri-dockerd names Docker's root directory to the kubelet, wherever the images are (Mirantis/cri-dockerd core/imagefs_linux.go).
    Store { path: in_containerd.unwrap_or(told), is_answer }
}

/// Docker's images in the store of a containerd: below the root of that one, whatever Docker's own root directory is.
fn containerd_store(facts: &Facts, containerd: Option<&Facts>, answers: Option<&Answers>) -> Option<PathBuf> {
    let paths = facts.paths.as_ref().ok();
    let snapshotter = answers.and_then(|answers| answers.snapshotter.as_ref()).map(Label::as_str);
    let is_silent = answers.is_none_or(|answers| answers.image_store.is_none());
    if snapshotter.is_none() && !(is_silent && paths.is_some_and(|paths| paths.containerd_image_store)) {
        return None;
    }
    let of_process = containerd.and_then(|facts| facts.paths.as_ref().ok()).map(|paths| paths.root.clone());
    // moby daemon/internal/libcontainerd/supervisor: one that Docker starts itself lies below its own root.
    let managed = || {
        let own = answers.and_then(|answers| answers.image_store.clone()).or_else(|| Some(paths?.root.clone()))?;
        match paths.and_then(|paths| paths.containerd.as_ref()) {
            Some(_) => Some(runtime_config::defaults(RuntimeKind::Containerd).root),
            None => Some(own.join("containerd/daemon")),
        }
    };
    Some(runtime_config::snapshotter(&of_process.or_else(managed)?, snapshotter))
}

/// The runtimes to ask.
pub(super) fn targets(found: &[FoundLayer], facts: &BTreeMap<LayerKey, Facts>) -> Vec<Target> {
    let target = |layer: &FoundLayer| {
        let facts = facts.get(&layer.key)?;
        let (endpoint, stored) = (facts.endpoint.clone()?, Arc::clone(&facts.stored));
        let sandbox_image = facts.paths.as_ref().ok().and_then(|paths| paths.sandbox_image.clone());
        let cri = facts.cri.clone();
        Some(Target { layer: layer.key, kind: layer.runtime?, endpoint, cri, stored, sandbox_image })
    };
    found.iter().filter_map(target).collect()
}

/// One layer as a sample.
pub(super) fn layer_sample(
    parts: &Parts<'_>,
    filesystems: &[FilesystemSample],
    started_at: impl Fn(u64) -> Timestamp,
    now: Timestamp,
) -> LayerSample {
    let Parts { layer, identity, facts, answers, .. } = *parts;
    let store = image_store(layer, facts, parts.containerd, answers).path;
    let paths = facts.paths.as_ref().ok();
    let is_docker = layer.runtime == Some(RuntimeKind::Docker);
    let kubelet = layer.kubelet.as_ref().map(|kubelet| {
        let known = parts.kubelet;
        let started_at = started_at(kubelet.start_ticks);
        KubeletSample {
            pid: kubelet.pid,
            started_at,
            // An older socket is that of the kubelet before.
            serving_since: known.and_then(|known| known.serving_since).filter(|since| *since >= started_at),
            version: known.and_then(|known| known.version.clone()),
            config: known.map_or_else(Reading::not_read, |known| known.config.clone()),
        }
    });
    LayerSample {
        id: identity.id.clone(),
        kind: identity.kind,
        parent: parts.parent.cloned(),
        origin: identity.origin.clone(),
        runtime: layer.runtime.map(|kind| RuntimeSample {
            kind,
            pid: layer.key.pid,
            started_at: started_at(layer.key.start_ticks),
            version: answers.and_then(|answers| answers.version.clone()),
            // containerd 2 does not say it, and has it in its files as ever.
            stats_period: answers
                .and_then(|answers| answers.stats_period)
                .or_else(|| paths.and_then(|paths| paths.stats_period)),
        }),
        image_store: path_label(&store),
        docker_root: is_docker.then(|| path_label(paths.map_or(&store, |paths| &paths.root))),
        imagefs: Reading::from_result(parts.located.imagefs.clone(), now),
        nodefs: Reading::from_result(parts.located.nodefs.clone(), now),
        runtime_used: answers.map_or_else(Reading::not_read, |answers| answers.used.clone()),
        images: answers.map_or_else(Reading::not_read, |answers| answers.images.clone()),
        sources: sources(parts, kubelet.as_ref(), filesystems),
        kubelet,
    }
}

fn sources(parts: &Parts<'_>, kubelet: Option<&KubeletSample>, filesystems: &[FilesystemSample]) -> Vec<SourceStatus> {
    let statfs = match &parts.located.imagefs {
        Ok(id) => filesystems
            .iter()
            .find(|filesystem| filesystem.id == *id)
            .map_or_else(Reading::not_read, |filesystem| filesystem.space.clone().map(|_| ())),
        Err(absence) => Reading::Absent(absence.clone()),
    };
    let mut sources = vec![SourceStatus { source: Source::Statfs, state: statfs }];
    if let Some(kubelet) = kubelet {
        sources.push(SourceStatus { source: Source::KubeletConfig, state: kubelet.config.clone().map(|_| ()) });
    }
    if let Some(kind) = parts.layer.runtime {
        let source = if kind == RuntimeKind::Docker { Source::Docker } else { Source::Cri };
        // A layer whose root may not be opened has no socket to ask.
        let unreachable = parts.facts.root.as_ref().err().map(|absence| Reading::Absent(absence.clone()));
        let state = unreachable.or_else(|| parts.answers.map(|answers| answers.state.clone()));
        sources.push(SourceStatus { source, state: state.unwrap_or_else(Reading::not_read) });
    }
    sources
}

/// The filesystems to walk, each with the directories that layers hold on it, outermost layer first. What a nested layer claims
/// inside an outer one's directory is its own.
pub(super) fn tasks(
    measured: &[Measured],
    found: &[FoundLayer],
    facts: &BTreeMap<LayerKey, Facts>,
    kubelets: &BTreeMap<LayerKey, KubeletFacts>,
    identities: &BTreeMap<LayerKey, Identity>,
    located: &BTreeMap<LayerKey, Located>,
) -> BTreeMap<FilesystemId, Task> {
    let mut tasks = BTreeMap::new();
    for filesystem in measured {
        if let Some(outermost) = identities.get(&filesystem.place.layer) {
            let place = filesystem.place.clone();
            tasks.insert(filesystem.id, Task { outermost: outermost.id.clone(), place, claims: Vec::new() });
        }
    }
    for layer in found {
        let (Some(own), Some(identity), Some(located)) =
            (facts.get(&layer.key), identities.get(&layer.key), located.get(&layer.key))
        else {
            continue;
        };
        let kubelet = layer.kubelet.as_ref().and_then(|kubelet| kubelets.get(&kubelet.key()));
        let containerd = layer.containerd.and_then(|key| facts.get(&key));
        for held in held_by(layer, own, kubelet, containerd, located) {
            let Some(task) = tasks.get_mut(&held.filesystem) else { continue };
            task.claims.push(Claim {
                layer: identity.id.clone(),
                component: held.component,
                root: held.root,
                mounts: if layer.container.is_none() { Mounts::Machine } else { Mounts::Container },
                path: held.path,
                worker: own.walk_worker.clone(),
            });
        }
    }
    tasks
}

struct Held {
    filesystem: FilesystemId,
    component: Component,
    root: Arc<Root>,
    path: PathBuf,
}

/// The directories of one layer. Without a runtime nothing is known to hold images, and the whole disk is the rest.
fn held_by(
    layer: &FoundLayer,
    facts: &Facts,
    kubelet: Option<&KubeletFacts>,
    containerd: Option<&Facts>,
    located: &Located,
) -> Vec<Held> {
    let mut held = Vec::new();
    let mut hold =
        |filesystem: &Result<FilesystemId, Absence>, root: &Result<Arc<Root>, Absence>, component, path: &Path| {
            if let (Ok(filesystem), Ok(root)) = (filesystem, root) {
                held.push(Held { filesystem: *filesystem, component, root: Arc::clone(root), path: path.to_owned() });
            }
        };
    if layer.container.is_some() {
        // kind, CAPD and k3d keep everything of a node in a volume at /var. Other containers have no volume there: their /var is
        // on another filesystem (an overlay), and the walk leaves it out.
        hold(&located.imagefs, &facts.root, Component::Volumes, Path::new("/var"));
    }
    if let (Ok(paths), Some(kind)) = (&facts.paths, layer.runtime) {
        for directory in runtime_config::directories(kind, &paths.root) {
            hold(&located.imagefs, &facts.root, Component::Store, &directory);
        }
    }
    if let Some(Ok(paths)) = containerd.map(|containerd| &containerd.paths) {
        hold(&located.imagefs, &facts.root, Component::Store, &paths.root);
    }
    let config = kubelet.and_then(|kubelet| kubelet.config.value());
    if let (Some(config), Some(root)) = (config, kubelet.map(|kubelet| &kubelet.root)) {
        hold(&located.nodefs, root, Component::Kubelet, Path::new(config.root_dir.as_str()));
        let logs = config.file.as_ref().and_then(|file| file.settings.pod_logs_dir.as_deref());
        hold(&located.nodefs, root, Component::Logs, Path::new(logs.unwrap_or("/var/log/pods")));
    }
    held
}

fn path_label(path: &Path) -> Label {
    Label::new(&path.to_string_lossy())
}
