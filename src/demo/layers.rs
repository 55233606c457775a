//! Which layers are there, and how are their kubelets set up? The answers that `discover` and `source` would give on such a node.

use super::disk::{Held, ID, Unused};
use super::images;
use super::job::{Holder, Job, Node, Setup};
use crate::layer::{LayerId, LayerKind};
use crate::sample::{
    AbsenceReason, KubeletConfig, KubeletSample, KubeletSettings, KubeletVersion, LayerOrigin, LayerSample, Reading,
    RuntimeKind, RuntimeSample, SettingsFile, Source, SourceStatus,
};
use crate::time::{Span, Timestamp};
use crate::untrusted::Label;
use std::collections::BTreeMap;

/// A node container's CRI socket is there this long after the container.
const SOCKET_AFTER: Span = Span::from_secs(20);
/// And its kubelet starts this long after the container.
const KUBELET_AFTER: Span = Span::from_secs(35);

/// When a node's kubelet starts, where the round began at `round`.
pub(super) fn kubelet_start(node: &Node, round: Timestamp) -> Timestamp {
    round + node.appears + KUBELET_AFTER
}

/// The name of a holder's layer.
pub(super) fn name(job: &Job, holder: Holder) -> LayerId {
    match holder {
        Holder::Host => LayerId::host(),
        Holder::Dind => job.layer(),
        Holder::Node(position) => {
            job.nodes.get(position).map_or_else(|| job.layer(), |node| job.layer().child(&[node.name]))
        }
    }
}

pub(super) fn host(job: &Job, held: &Held, unused: &Unused, now: Timestamp, boot: Timestamp) -> LayerSample {
    // An ordinary kubelet: a file that says nothing of disks.
    let config = config(KubeletSettings::default(), KubeletSettings::default());
    LayerSample {
        kubelet: Some(kubelet(1_180, boot, config, now)),
        runtime: Some(runtime(RuntimeKind::Containerd, 940, boot, "v2.1.4")),
        runtime_used: Reading::present(held.runtime_used(Holder::Host), now),
        images: Reading::present(images::of(job, Holder::Host, unused, Span::ZERO), now),
        sources: vec![up(Source::Statfs, now), up(Source::KubeletConfig, now), up(Source::Cri, now)],
        ..layer(LayerId::host(), LayerKind::Host, None, now)
    }
}

pub(super) fn dind(job: &Job, started: Timestamp, now: Timestamp) -> LayerSample {
    LayerSample {
        origin: origin(job),
        runtime: Some(runtime(RuntimeKind::Docker, 20_411, started, "28.4.0")),
        image_store: Label::new("/docker-graph"),
        docker_root: Some(Label::new("/docker-graph")),
        runtime_used: Reading::absent(AbsenceReason::NotRead, "a dockerd has no ImageFsInfo"),
        images: Reading::absent(AbsenceReason::NotRead, "no kubelet deletes the images of Docker"),
        sources: vec![up(Source::Statfs, now), up(Source::Docker, now)],
        ..layer(job.layer(), LayerKind::Dind, Some(LayerId::host()), now)
    }
}

pub(super) fn node(
    job: &Job,
    position: usize,
    node: &Node,
    held: &Held,
    unused: &Unused,
    round: Timestamp,
    now: Timestamp,
) -> LayerSample {
    let holder = Holder::Node(position);
    let appeared = round + node.appears;
    let socket = if now >= appeared + SOCKET_AFTER {
        Reading::present((), now)
    } else {
        Reading::absent(AbsenceReason::Gone, "connect /run/containerd/containerd.sock: no such file")
    };
    let kubelet_start = kubelet_start(node, round);
    let kubelet = (now >= kubelet_start).then(|| kubelet(node.kubelet_pid, kubelet_start, settings(node.setup), now));
    let mut sources = vec![up(Source::Statfs, now)];
    sources.extend(kubelet.is_some().then(|| up(Source::KubeletConfig, now)));
    sources.push(SourceStatus { source: Source::Cri, state: socket.clone() });
    LayerSample {
        origin: LayerOrigin {
            test_cluster: Some(Label::new(&node.cluster)),
            node_role: Some(Label::new(node.role)),
            ..origin(job)
        },
        kubelet,
        runtime: Some(runtime(RuntimeKind::Containerd, node.runtime_pid, appeared, "v2.0.5")),
        runtime_used: socket.clone().map(|()| held.runtime_used(holder)),
        images: socket.map(|()| images::of(job, holder, unused, now.since(round))),
        sources,
        ..layer(name(job, holder), node.setup.kind(), Some(job.layer()), now)
    }
}

fn layer(id: LayerId, kind: LayerKind, parent: Option<LayerId>, now: Timestamp) -> LayerSample {
    LayerSample {
        id,
        kind,
        parent,
        origin: LayerOrigin::default(),
        runtime: None,
        kubelet: None,
        image_store: Label::new("/var/lib/containerd"),
        docker_root: None,
        imagefs: Reading::present(ID, now),
        nodefs: Reading::present(ID, now),
        runtime_used: Reading::not_read(),
        images: Reading::not_read(),
        sources: Vec::new(),
    }
}

fn origin(job: &Job) -> LayerOrigin {
    LayerOrigin {
        pod_namespace: Some(Label::new("test-pods")),
        pod: Some(Label::new(&job.pod)),
        prow_job: Some(Label::new("periodic-cluster-api-e2e-main")),
        prow_build_id: Some(Label::new(&job.build_id)),
        container: Some(Label::new(&job.container)),
        ..LayerOrigin::default()
    }
}

fn runtime(kind: RuntimeKind, pid: u32, started_at: Timestamp, version: &str) -> RuntimeSample {
    RuntimeSample { kind, pid, started_at, version: Some(Label::new(version)), stats_period: None }
}

fn kubelet(pid: u32, started_at: Timestamp, config: KubeletConfig, now: Timestamp) -> KubeletSample {
    KubeletSample {
        pid,
        started_at,
        serving_since: None,
        version: Some(KubeletVersion { release: Label::new("v1.37.2"), origin: None }),
        config: Reading::present(config, now),
    }
}

/// The settings of each kind of node, in the place where that tool writes them.
fn settings(setup: Setup) -> KubeletConfig {
    let off = |value: &str| {
        let signals = ["imagefs.available", "nodefs.available", "nodefs.inodesFree"];
        let pairs = signals.map(|signal| (signal.to_owned(), Some(value.to_owned())));
        Some(BTreeMap::from(pairs))
    };
    let flags = KubeletSettings { eviction_hard: off("0%"), ..KubeletSettings::default() };
    let high = Some(100);
    match setup {
        Setup::Kind => config(
            KubeletSettings::default(),
            KubeletSettings {
                image_gc_high_threshold_percent: high,
                eviction_hard: off("0%"),
                ..KubeletSettings::default()
            },
        ),
        Setup::OldCapd => config(flags, KubeletSettings::default()),
        Setup::NewCapd => {
            config(KubeletSettings { image_gc_high_threshold_percent: high, ..flags }, KubeletSettings::default())
        }
    }
}

fn config(flags: KubeletSettings, file: KubeletSettings) -> KubeletConfig {
    KubeletConfig {
        flags,
        file: Some(SettingsFile { path: Label::new("/var/lib/kubelet/config.yaml"), settings: file }),
        drop_ins: Vec::new(),
        root_dir: Label::new("/var/lib/kubelet"),
        problems: Vec::new(),
        never_pulled: Vec::new(),
        modified_at: None,
    }
}

fn up(source: Source, now: Timestamp) -> SourceStatus {
    SourceStatus { source, state: Reading::present((), now) }
}
