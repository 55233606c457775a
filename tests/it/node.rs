//! A fixed node for tests of the surfaces: host, a Docker-in-Docker pod in it, and in that an old and a new CAPD node, on one
//! 280 GiB disk. The values are made up to differ from each other, not to be what assess would say.

use highwater::assess::{
    Assessment, ExpectedTrigger, FilesystemAssessment, LayerAssessment, Observed, PreemptedBy, Projection, Quantiles,
    State, Timeline, TriggerAssessment, assess,
};
use highwater::export::page::{self, PageOptions};
use highwater::export::{json, table};
use highwater::forecast::{Forecast, Moment, Tally};
use highwater::layer::{LayerId, LayerKind};
use highwater::model::{
    EvictionThreshold, GcPolicy, ImageGcPolicy, Origin, Setting, Signal, SoftThreshold, ThresholdValue, Trigger,
};
use highwater::report::{Explanation, Question, Report, UnknownLayer};
use highwater::sample::{
    AbsenceReason, Component, Container, ContainerState, DiskUsage, FilesystemId, FilesystemName, FilesystemSample,
    Image, ImageId, ImageStore, KubeletConfig, KubeletSample, KubeletSettings, KubeletVersion, LayerOrigin,
    LayerSample, LayerUsage, Pod, Reading, RuntimeKind, RuntimeSample, Sample, Source, SourceStatus, Space,
    StoredLayer, VersionOrigin,
};
use highwater::snapshot::{AgentHealth, CollectorRun, ProcessStats, Snapshot};
use highwater::time::{Span, Timestamp};
use highwater::units::{ByteRate, Bytes, Inodes, Percent, Ratio};
use highwater::untrusted::Label;
use highwater::verdict::Windows;
use std::collections::BTreeMap;

/// 2026-11-24T07:45:54Z.
pub(crate) const AT: Timestamp = Timestamp::from_micros(1_795_506_354_000_000);

pub(crate) const DISK: FilesystemId =
    FilesystemId { dev: 0x0801, capacity: Bytes::from_gib(280), files: Inodes::new(18_350_080) };

/// Two seconds after the sample.
pub(crate) fn now() -> Timestamp {
    AT + Span::from_secs(2)
}

/// What is known of a snapshot two seconds after it.
pub(crate) fn report(snapshot: &Snapshot) -> Report {
    Report::new(snapshot, now())
}

/// What explains every layer with a kubelet.
pub(crate) fn explanation(snapshot: &Snapshot) -> Explanation {
    explain(snapshot, Question::default()).unwrap()
}

/// The answer to a question two seconds after the snapshot.
pub(crate) fn explain(snapshot: &Snapshot, question: Question<'_>) -> Result<Explanation, UnknownLayer> {
    Explanation::new(snapshot, now(), question)
}

/// The table of `check`.
pub(crate) fn table(snapshot: &Snapshot, width: Option<u16>) -> String {
    table::render(&report(snapshot), width)
}

/// The JSON of `check`.
pub(crate) fn json(snapshot: &Snapshot) -> String {
    json::line(&report(snapshot))
}

/// The page.
pub(crate) fn page(snapshot: &Snapshot) -> String {
    page_with(snapshot, &PageOptions::default())
}

/// The page, with something else besides.
pub(crate) fn page_with(snapshot: &Snapshot, options: &PageOptions) -> String {
    page::render(Some((&report(snapshot), &explanation(snapshot))), options)
}

pub(crate) fn host() -> LayerId {
    LayerId::host()
}

pub(crate) fn dind() -> LayerId {
    host().child(&["test-pods", "4f0c8a1e-prow"])
}

pub(crate) fn old_capd() -> LayerId {
    dind().child(&["capd-worker-old"])
}

pub(crate) fn new_capd() -> LayerId {
    dind().child(&["capd-worker-new"])
}

/// The node; the new CAPD node's CRI socket does not answer and its kubelet's settings cannot be read.
pub(crate) fn snapshot() -> Snapshot {
    let mut snapshot = without_images();
    let seen = seen_for_twenty_minutes(&snapshot.sample);
    for (layer, seen) in snapshot.assessment.layers.iter_mut().zip(seen.layers) {
        layer.images = seen.images;
    }
    let old_capd = &mut snapshot.assessment.layers[2];
    old_capd.observed.insert(Some(Trigger::ImageGc), Observed { runs: 2, images: 5, bytes: Bytes::from_mib(1_234) });
    old_capd.observed.insert(None, Observed { runs: 1, images: 1, bytes: Bytes::from_mib(3) });
    snapshot
}

/// What assess says of a node that has looked like this for twenty minutes, asked every 30 seconds.
pub(crate) fn seen_for_twenty_minutes(sample: &Sample) -> Assessment {
    let mut state = State::default();
    for round in (0..=40).rev() {
        let mut earlier = sample.clone();
        earlier.at = sample.at - Span::from_secs(round * 30);
        for layer in &mut earlier.layers {
            if let Reading::Present { at, .. } = &mut layer.images {
                *at = *at - Span::from_secs(round * 30);
            }
        }
        let (assessment, next) = assess(&earlier, state);
        state = next;
        if round == 0 {
            return assessment;
        }
    }
    unreachable!("the last round is 0")
}

/// The old node acts first and spares the host.
fn expected_triggers() -> Vec<ExpectedTrigger> {
    let strike = |layer: LayerId, acts_in: Option<i64>, chance: f64| ExpectedTrigger {
        layer,
        trigger: Trigger::ImageGc,
        threshold: 48_103_633_716,
        acts_in: acts_in.map(Span::from_secs),
        within_an_hour: Some(Ratio::new(chance)),
        preempted_by: None,
    };
    let spared = PreemptedBy { layer: old_capd(), trigger: Trigger::ImageGc, is_certain: true };
    vec![
        strike(old_capd(), Some(1_000), 0.81),
        ExpectedTrigger { preempted_by: Some(spared), ..strike(host(), Some(1_090), 0.81) },
        ExpectedTrigger { trigger: Trigger::DiskFull, threshold: 1, ..strike(host(), None, 0.001) },
    ]
}

fn without_images() -> Snapshot {
    Snapshot {
        sample: Sample {
            at: AT,
            filesystems: vec![disk()],
            layers: vec![host_layer(), dind_layer(), old_capd_layer(), new_capd_layer()],
        },
        assessment: Assessment {
            filesystems: vec![FilesystemAssessment {
                id: DISK,
                kubelet_percent: Some(Percent::new(83)),
                df_percent: Some(Percent::new(82)),
                fill_rate: Some(ByteRate::new(4_194_304.5)),
                timeline: timeline(),
                expected_triggers: expected_triggers(),
            }],
            layers: vec![
                layer_assessment(host(), &Origin::Default),
                LayerAssessment {
                    id: dind(),
                    policy: None,
                    next_image_gc_at: None,
                    triggers: vec![disk_full()],
                    images: None,
                    observed: BTreeMap::new(),
                },
                layer_assessment(old_capd(), &Origin::File(Label::new("/var/lib/kubelet/config.yaml"))),
                LayerAssessment {
                    id: new_capd(),
                    policy: None,
                    next_image_gc_at: None,
                    triggers: vec![disk_full()],
                    images: None,
                    observed: BTreeMap::new(),
                },
            ],
            scores: [(Trigger::ImageGc, scores()), (Trigger::DiskFull, Tally::default())].into(),
        },
        agent: AgentHealth {
            collectors: vec![run("discover", true, 12), run("statfs", true, 1), run("runtime", false, 2_000)],
            sample_interval: Span::from_secs(5),
            windows: Windows::default(),
            node: Some(Label::new("ci-node-7")),
            boot_id: Some(Label::new("0f7ba2f4-43d2-4f0c-9a3f-7a7a2e6c1d55")),
            process: Some(ProcessStats {
                cpu: Span::from_millis(1_230),
                resident: Bytes::from_mib(9),
                virtual_memory: Bytes::from_mib(120),
                started_at: AT - Span::from_secs(3_600),
                open_files: Some(23),
                open_files_limit: Some(1_048_576),
            }),
        },
    }
}

/// A job that ended three hours ago, a quarter of an hour in which nothing was measured, and the present fill.
fn timeline() -> Timeline {
    let available = |minutes_ago: i64| match minutes_ago {
        240.. => Some(60_000 + 100 * (minutes_ago - 240)),
        180.. => Some(200_000),
        91..106 => None,
        _ => Some(49_152 + 800 * minutes_ago),
    };
    let past = (0..=360).rev().filter_map(|minutes_ago| {
        let mib = u64::try_from(available(minutes_ago)?).ok()?;
        Some(Moment { at: AT - Span::from_secs(60 * minutes_ago), available: Bytes::from_mib(mib) })
    });
    let ahead = (0..12_u64).map(|step| Projection {
        available: Bytes::from_mib(49_152 - 4_096 * (step + 1)),
        forecast: Forecast {
            p10: Some(Span::from_secs(i64::try_from(step + 1).unwrap() * 700)),
            p50: (step < 8).then_some(Span::from_secs(i64::try_from(step + 1).unwrap() * 1_400)),
            p90: (step < 2).then_some(Span::from_secs(i64::try_from(step + 1).unwrap() * 3_000)),
            probability: [0.0, 0.0, 0.5, 0.9].map(Ratio::new),
        },
    });
    Timeline { past: past.collect(), ahead: ahead.collect() }
}

fn run(collector: &str, success: bool, millis: i64) -> CollectorRun {
    CollectorRun { collector: Label::new(collector), success, duration: Span::from_millis(millis) }
}

fn disk() -> FilesystemSample {
    let held = |layer, components: &[(Component, u64)]| LayerUsage {
        layer,
        components: components.iter().map(|(part, gib)| (*part, Bytes::from_gib(*gib))).collect(),
    };
    FilesystemSample {
        id: DISK,
        name: FilesystemName { device: Label::new("/dev/nvme0n1p1"), mountpoint: Label::new("/var/lib") },
        space: Reading::present(
            Space {
                capacity: Bytes::from_gib(280),
                free: Bytes::from_gib(62),
                available: Bytes::from_gib(48),
                files: Inodes::new(18_350_080),
                files_free: Inodes::new(12_000_000),
            },
            AT,
        ),
        stuck: false,
        usage: Reading::present(
            DiskUsage {
                layers: vec![
                    held(host(), &[(Component::Store, 40), (Component::Logs, 1), (Component::Other, 15)]),
                    held(dind(), &[(Component::Store, 60), (Component::Volumes, 2)]),
                    held(old_capd(), &[(Component::Store, 70), (Component::Kubelet, 1)]),
                    held(new_capd(), &[(Component::Store, 20)]),
                ],
                used: Bytes::from_gib(209),
                took: Span::from_secs(31),
                unreadable: 0,
            },
            AT - Span::from_secs(240),
        ),
    }
}

fn layer(id: LayerId, kind: LayerKind, parent: Option<LayerId>) -> LayerSample {
    LayerSample {
        id,
        kind,
        parent,
        origin: LayerOrigin::default(),
        runtime: Some(RuntimeSample {
            kind: RuntimeKind::Containerd,
            pid: 412,
            started_at: AT - Span::from_secs(7_200),
            version: Some(Label::new("v2.1.4")),
            stats_period: None,
        }),
        kubelet: None,
        image_store: Label::new("/var/lib/containerd"),
        docker_root: None,
        imagefs: Reading::present(DISK, AT),
        nodefs: Reading::present(DISK, AT),
        runtime_used: Reading::not_read(),
        images: Reading::not_read(),
        sources: vec![up(Source::Statfs, 0), up(Source::Cri, 7)],
    }
}

fn up(source: Source, seconds_ago: i64) -> SourceStatus {
    SourceStatus { source, state: Reading::present((), AT - Span::from_secs(seconds_ago)) }
}

fn version() -> KubeletVersion {
    KubeletVersion { release: Label::new("v1.37.2"), origin: Some(VersionOrigin::BuildInfo) }
}

fn kubelet(config: Reading<KubeletConfig>) -> KubeletSample {
    let started_at = AT - Span::from_secs(7_000);
    let serving_since = Some(started_at + Span::from_millis(200));
    KubeletSample { pid: 512, started_at, serving_since, version: Some(version()), config }
}

fn read_config() -> Reading<KubeletConfig> {
    let config = KubeletConfig {
        flags: KubeletSettings::default(),
        file: None,
        drop_ins: Vec::new(),
        root_dir: Label::new("/var/lib/kubelet"),
        problems: Vec::new(),
        never_pulled: Vec::new(),
        modified_at: None,
    };
    Reading::present(config, AT)
}

fn host_layer() -> LayerSample {
    LayerSample {
        kubelet: Some(kubelet(read_config())),
        runtime_used: Reading::present(Bytes::from_gib(31), AT),
        images: Reading::present(host_images(), AT - Span::from_secs(7)),
        sources: vec![up(Source::Statfs, 0), up(Source::KubeletConfig, 60), up(Source::Cri, 7)],
        ..layer(host(), LayerKind::Host, None)
    }
}

fn origin() -> LayerOrigin {
    LayerOrigin {
        pod_namespace: Some(Label::new("test-pods")),
        pod: Some(Label::new("4f0c8a1e-prow")),
        prow_job: Some(Label::new("periodic-cluster-api-e2e-main")),
        prow_build_id: Some(Label::new("1993200812345678848")),
        ..LayerOrigin::default()
    }
}

fn dind_layer() -> LayerSample {
    LayerSample {
        origin: origin(),
        runtime: Some(RuntimeSample {
            kind: RuntimeKind::Docker,
            pid: 2_201,
            started_at: AT - Span::from_secs(3_000),
            version: Some(Label::new("28.4.0")),
            stats_period: None,
        }),
        docker_root: Some(Label::new("/docker-graph")),
        images: Reading::absent(AbsenceReason::NotRead, "no kubelet deletes the images of Docker"),
        sources: vec![up(Source::Statfs, 0), up(Source::Docker, 3)],
        ..layer(dind(), LayerKind::Dind, Some(host()))
    }
}

fn node_origin(role: &str) -> LayerOrigin {
    LayerOrigin {
        test_cluster: Some(Label::new("self-hosted-x7")),
        node_role: Some(Label::new(role)),
        container: Some(Label::new("0123456789ab")),
        ..origin()
    }
}

fn old_capd_layer() -> LayerSample {
    LayerSample {
        origin: node_origin("worker"),
        kubelet: Some(kubelet(read_config())),
        images: Reading::present(old_capd_images(), AT - Span::from_secs(7)),
        sources: vec![up(Source::Statfs, 0), up(Source::KubeletConfig, 60), up(Source::Cri, 7)],
        ..layer(old_capd(), LayerKind::CapdNode, Some(dind()))
    }
}

/// An image of so many MiB, whose id is made of its name.
fn image(name: &str, digest: Option<&str>, mib: u64) -> Image {
    Image {
        id: ImageId::new(format!("sha256:{name}")),
        tags: vec![Label::new(name)],
        digests: digest.map(|digest| Label::from(format!("{digest}@sha256:{name}"))).into_iter().collect(),
        size: Some(Bytes::from_mib(mib)),
        pinned: false,
        layers: None,
    }
}

/// A pod of one running container.
fn add_pod(store: &mut ImageStore, namespace: &str, name: &str, image: &str) {
    store.pods.push(Pod {
        id: Label::new(name),
        uid: Label::new(name),
        namespace: Label::new(namespace),
        name: Label::new(name),
        ready: Some(true),
        is_static: false,
    });
    let id = ImageId::new(format!("sha256:{image}"));
    store.containers.push(Container {
        id: Label::from(format!("{name}-1")),
        pod: Label::new(name),
        name: "main".into(),
        state: ContainerState::Running,
        image_id: Some(id.clone()),
        image_ref: Some(id),
        image_volumes: Vec::new(),
    });
}

const PAUSE: &str = "registry.k8s.io/pause:3.10";
const PROXY: &str = "registry.k8s.io/kube-proxy:v1.37.2";

fn host_images() -> ImageStore {
    let mut store = ImageStore { complete: true, ..ImageStore::default() };
    store.images = vec![
        Image { pinned: true, ..image(PAUSE, Some("registry.k8s.io/pause"), 1) },
        image(PROXY, Some("registry.k8s.io/kube-proxy"), 30),
        image("example.com/test/runner:v7", Some("example.com/test/runner"), 2_000),
    ];
    add_pod(&mut store, "kube-system", "kube-proxy-x", PROXY);
    add_pod(&mut store, "test-pods", "runner-x", "example.com/test/runner:v7");
    store
}

/// One that is used, one that is pinned, one that can be pulled again, and two that cannot.
fn old_capd_images() -> ImageStore {
    let mut store = ImageStore { complete: true, ..ImageStore::default() };
    store.images = vec![
        Image { pinned: true, ..image(PAUSE, Some("registry.k8s.io/pause"), 1) },
        image(PROXY, Some("registry.k8s.io/kube-proxy"), 30),
        image("example.com/capi/controller:dev", None, 7_000),
        image("example.com/tools/webhook:v1", Some("example.com/tools/webhook"), 5_000),
        image("workload:e2e", None, 900),
    ];
    for image in &mut store.images {
        // Unpacked it takes twice what the runtime lists.
        let bytes = image.size.unwrap_or(Bytes::ZERO);
        image.layers = Some([StoredLayer { id: image.tags[0].clone(), bytes: bytes.saturating_add(bytes) }].into());
    }
    add_pod(&mut store, "kube-system", "kube-proxy-y", PROXY);
    store
}

fn new_capd_layer() -> LayerSample {
    let denied =
        || Reading::absent(AbsenceReason::Unsafe, "/var/lib/kubelet/config.yaml: symbolic link out of the root");
    LayerSample {
        origin: node_origin("control-plane"),
        images: Reading::absent(AbsenceReason::TimedOut, "/run/containerd/containerd.sock: no answer within 2s"),
        kubelet: Some(kubelet(denied())),
        sources: vec![
            up(Source::Statfs, 0),
            SourceStatus { source: Source::KubeletConfig, state: denied().map(|_: KubeletConfig| ()) },
            SourceStatus {
                source: Source::Cri,
                state: Reading::absent(AbsenceReason::TimedOut, "/run/containerd/containerd.sock: no answer within 2s"),
            },
        ],
        ..layer(new_capd(), LayerKind::CapdNode, Some(dind()))
    }
}

fn setting<T>(value: T, origin: &Origin) -> Setting<T> {
    Setting { value, origin: origin.clone() }
}

fn policy(origin: &Origin) -> GcPolicy {
    let threshold = |signal, value| EvictionThreshold { signal, value, origin: origin.clone(), minimum_reclaim: None };
    GcPolicy {
        image_gc: ImageGcPolicy {
            enabled: true,
            high: setting(Percent::new(85), origin),
            low: setting(Percent::new(80), origin),
            minimum_age: setting(Span::from_secs(120), origin),
            maximum_age: None,
        },
        eviction_hard: vec![
            threshold(Signal::NodefsAvailable, ThresholdValue::Fraction(0.1)),
            threshold(Signal::NodefsInodesFree, ThresholdValue::Fraction(0.05)),
            threshold(Signal::ImagefsAvailable, ThresholdValue::Quantity(10_737_418_240)),
        ],
        eviction_soft: vec![SoftThreshold {
            threshold: threshold(Signal::NodefsAvailable, ThresholdValue::Fraction(0.12)),
            grace_period: Span::from_secs(90),
        }],
        pressure_transition_period: setting(Span::from_secs(300), origin),
        problems: Vec::new(),
    }
}

fn layer_assessment(id: LayerId, origin: &Origin) -> LayerAssessment {
    LayerAssessment {
        id,
        policy: Some(policy(origin)),
        next_image_gc_at: Some(AT + Span::from_secs(100)),
        triggers: vec![
            TriggerAssessment {
                trigger: Trigger::ImageGc,
                signal: None,
                filesystem: DISK,
                threshold: Bytes::from_mib(45_875).get(),
                headroom: Some(Bytes::from_mib(3_277).as_i64()),
                forecast: Some(Forecast {
                    p10: Some(Span::from_secs(540)),
                    p50: Some(Span::from_secs(1_100)),
                    p90: Some(Span::from_secs(2_460)),
                    probability: [0.13, 0.81, 0.97, 0.99].map(Ratio::new),
                }),
                action: Some(Quantiles {
                    p10: Some(Span::from_secs(700)),
                    p50: Some(Span::from_secs(1_300)),
                    p90: Some(Span::from_secs(2_500)),
                }),
            },
            TriggerAssessment {
                trigger: Trigger::PodEviction,
                signal: Some(Signal::NodefsAvailable),
                filesystem: DISK,
                threshold: Bytes::from_gib(28).get(),
                headroom: Some(Bytes::from_gib(20).as_i64()),
                forecast: Some(Forecast {
                    p10: Some(Span::from_secs(3_000)),
                    p50: None,
                    p90: None,
                    probability: [0.0, 0.0, 0.12, 0.4].map(Ratio::new),
                }),
                action: Some(Quantiles { p10: Some(Span::from_secs(3_005)), p50: None, p90: None }),
            },
            TriggerAssessment {
                trigger: Trigger::InodeEviction,
                signal: Some(Signal::NodefsInodesFree),
                filesystem: DISK,
                threshold: 917_504,
                headroom: Some(11_082_496),
                forecast: None,
                action: None,
            },
            disk_full(),
        ],
        images: None,
        observed: BTreeMap::new(),
    }
}

fn scores() -> Tally {
    Tally {
        hit: 3,
        missed: 1,
        false_alarm: 2,
        answered: [288, 284, 278, 216],
        squared_error: [2.25, 11.36, 19.46, 27.0],
        timed: 216,
        covered: 189,
    }
}

fn disk_full() -> TriggerAssessment {
    TriggerAssessment {
        trigger: Trigger::DiskFull,
        signal: None,
        filesystem: DISK,
        threshold: 1,
        headroom: Some(Bytes::from_gib(48).as_i64()),
        forecast: Some(Forecast {
            p10: None,
            p50: None,
            p90: None,
            probability: [0.0, 0.0, 0.0, 0.25].map(Ratio::new),
        }),
        action: Some(Quantiles { p10: None, p50: None, p90: None }),
    }
}

/// The node with 60 more CAPD nodes in its pod and 5,000 images in the old one.
pub(crate) fn crowd() -> Snapshot {
    let mut snapshot = without_images();
    for number in 0..60 {
        let id = dind().child(&[&format!("capd-worker-{number}")]);
        let layer = LayerSample { parent: Some(dind()), id: id.clone(), ..old_capd_layer() };
        snapshot.sample.layers.push(layer);
        snapshot.assessment.layers.push(layer_assessment(id, &Origin::Flag));
    }
    let mut images = old_capd_images();
    images.images.extend((images.images.len()..5_000).map(|number| {
        image(
            &format!("example.com/crowd/image-{number}:v1"),
            (number % 2 == 0).then_some("example.com/crowd/image"),
            7,
        )
    }));
    snapshot.sample.layers[2].images = Reading::present(images, AT - Span::from_secs(7));
    let seen = seen_for_twenty_minutes(&snapshot.sample);
    for (layer, seen) in snapshot.assessment.layers.iter_mut().zip(seen.layers) {
        layer.images = seen.images;
    }
    snapshot
}

/// The node with every foreign text replaced.
pub(crate) fn hostile(text: &str) -> Snapshot {
    renamed(snapshot(), text)
}

/// A snapshot with every foreign text replaced.
pub(crate) fn renamed(mut snapshot: Snapshot, text: &str) -> Snapshot {
    let label = || Label::new(text);
    snapshot.agent.node = Some(label());
    for (layer, assessment) in snapshot.sample.layers.iter_mut().zip(&mut snapshot.assessment.layers) {
        if layer.kind != LayerKind::Host {
            layer.id = host().child(&[text, layer.id.as_str()]);
            assessment.id = layer.id.clone();
            layer.parent = Some(host().child(&[text]));
        }
        layer.origin = LayerOrigin {
            pod_namespace: Some(label()),
            pod: Some(label()),
            prow_job: Some(label()),
            prow_build_id: Some(label()),
            test_cluster: Some(label()),
            node_role: Some(label()),
            container: Some(label()),
        };
        if let Some(runtime) = &mut layer.runtime {
            runtime.version = Some(label());
        }
        layer.image_store = label();
        layer.images = layer.images.clone().map(|mut store| {
            for image in &mut store.images {
                (image.tags, image.digests) = (vec![label()], vec![label()]);
            }
            for pod in &mut store.pods {
                (pod.name, pod.namespace) = (label(), label());
            }
            store
        });
        for source in &mut layer.sources {
            source.state = Reading::absent(AbsenceReason::Failed, label());
        }
        if let Some(policy) = &mut assessment.policy {
            policy.problems = vec![label()];
            policy.image_gc.high.origin = Origin::File(label());
        }
    }
    for disk in &mut snapshot.sample.filesystems {
        disk.name = FilesystemName { device: label(), mountpoint: label() };
        disk.usage = Reading::present(
            DiskUsage {
                layers: vec![LayerUsage {
                    layer: LayerId::from(text),
                    components: BTreeMap::from([(Component::Store, Bytes::from_gib(100))]),
                }],
                used: Bytes::from_gib(218),
                took: Span::from_secs(1),
                unreadable: 3,
            },
            AT,
        );
    }
    snapshot
}
