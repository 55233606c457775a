//! Random samples: what is written is read, and nothing that is read panics.

use super::tests::{DISK, HEADER, read, written};
use super::*;
use crate::layer::{LayerId, LayerKind};
use crate::sample::{
    AbsenceReason, Component, Container, ContainerState, DiskUsage, FilesystemId, FilesystemName, FilesystemSample,
    Image, ImageId, ImageStore, KubeletConfig, KubeletSample, KubeletSettings, KubeletVersion, LayerOrigin,
    LayerSample, LayerUsage, Pod, Reading, RuntimeKind, RuntimeSample, Sample, SettingsFile, Source, SourceStatus,
    Space, StoredLayer, VersionOrigin,
};
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, Inodes};
use crate::untrusted::Label;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

fn time() -> BoxedStrategy<Timestamp> {
    (0_i64..4_294_967_296_000_000).prop_map(Timestamp::from_micros).boxed()
}

fn label() -> BoxedStrategy<Label> {
    prop_oneof!["[a-c/:]{0,3}", any::<String>()].prop_map(Label::from).boxed()
}

fn reason() -> impl Strategy<Value = AbsenceReason> {
    use AbsenceReason::{Denied, Failed, Gone, Malformed, NotRead, TimedOut, TooLarge, Unsafe};
    proptest::sample::select(vec![NotRead, Gone, Denied, TimedOut, TooLarge, Malformed, Unsafe, Failed])
}

fn reading<T: std::fmt::Debug + Clone + 'static>(
    sampled: Timestamp,
    value: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Reading<T>> {
    prop_oneof![
        3 => (value, prop_oneof![Just(sampled), time()]).prop_map(|(value, at)| Reading::present(value, at)),
        1 => (reason(), label()).prop_map(|(reason, detail)| Reading::absent(reason, detail)),
    ]
    .boxed()
}

fn settings() -> BoxedStrategy<KubeletSettings> {
    let span = || option::of((-9_000_000_000_000_000_i64..9_000_000_000_000_000).prop_map(Span::from_micros));
    let map = || option::of(btree_map(".{0,5}", option::of(".{0,5}"), 0..3));
    let numbers = (any::<Option<i64>>(), any::<Option<i64>>(), span(), span(), span(), any::<Option<bool>>());
    let text = || option::of(".{0,5}");
    let texts = (text(), text(), text(), text(), text());
    let maps = (map(), map(), map(), map(), option::of(btree_map(".{0,5}", any::<bool>(), 0..3)));
    (numbers, texts, maps, btree_set("[a-z]{1,5}", 0..3))
        .prop_map(|(numbers, texts, maps, nulls)| KubeletSettings {
            image_gc_high_threshold_percent: numbers.0,
            image_gc_low_threshold_percent: numbers.1,
            image_minimum_gc_age: numbers.2,
            image_maximum_gc_age: numbers.3,
            eviction_hard: maps.0,
            eviction_soft: maps.1,
            eviction_soft_grace_period: maps.2,
            eviction_minimum_reclaim: maps.3,
            eviction_pressure_transition_period: numbers.4,
            merge_default_eviction_settings: numbers.5,
            container_runtime_endpoint: texts.0,
            image_service_endpoint: texts.1,
            pod_logs_dir: texts.2,
            static_pod_path: texts.3,
            pod_infra_container_image: texts.4,
            feature_gates: maps.4,
            nulls,
        })
        .boxed()
}

fn config() -> BoxedStrategy<KubeletConfig> {
    let file = || (label(), settings()).prop_map(|(path, settings)| SettingsFile { path, settings });
    let labels = || vec(label(), 0..2);
    (settings(), option::of(file()), vec(file(), 0..2), label(), option::of(time()), labels(), labels())
        .prop_map(|(flags, file, drop_ins, root_dir, modified_at, problems, never_pulled)| KubeletConfig {
            flags,
            file,
            drop_ins,
            root_dir,
            never_pulled,
            modified_at,
            problems,
        })
        .boxed()
}

fn image() -> BoxedStrategy<Image> {
    let layer = (label(), any::<u64>()).prop_map(|(id, bytes)| StoredLayer { id, bytes: Bytes::new(bytes) });
    (vec(label(), 0..3), vec(label(), 0..3), any::<Option<u64>>(), any::<bool>(), option::of(vec(layer, 0..3)))
        .prop_map(|(tags, digests, size, pinned, layers)| Image {
            id: ImageId::from(""),
            tags,
            digests,
            size: size.map(Bytes::new),
            pinned,
            layers: layers.map(Into::into),
        })
        .boxed()
}

fn container() -> BoxedStrategy<Container> {
    use ContainerState::{Created, Exited, Running, Unknown};
    let state = proptest::sample::select(vec![Created, Running, Exited, Unknown]);
    let id = || label().prop_map(ImageId::new);
    (label(), label(), state, option::of(id()), option::of(id()), vec(id(), 0..2))
        .prop_map(|(pod, name, state, image_id, image_ref, image_volumes)| Container {
            id: Label::new(""),
            pod,
            name,
            state,
            image_id,
            image_ref,
            image_volumes,
        })
        .boxed()
}

fn pod() -> BoxedStrategy<Pod> {
    (label(), label(), label(), any::<Option<bool>>(), any::<bool>())
        .prop_map(|(uid, namespace, name, ready, is_static)| Pod {
            id: Label::new(""),
            uid,
            namespace,
            name,
            ready,
            is_static,
        })
        .boxed()
}

/// Lists with unique ids, in their order.
fn store() -> BoxedStrategy<ImageStore> {
    let images = btree_map("[a-e]", image(), 0..4);
    let containers = btree_map("[a-e]", container(), 0..4);
    let pods = btree_map("[a-e]", pod(), 0..4);
    (images, containers, pods, any::<bool>(), any::<bool>(), option::of(label()))
        .prop_map(|(images, containers, pods, complete, hidden_volumes, sandbox_image)| ImageStore {
            images: images.into_iter().map(|(id, image)| Image { id: ImageId::from(&*id), ..image }).collect(),
            containers: containers.into_iter().map(|(id, found)| Container { id: Label::from(id), ..found }).collect(),
            pods: pods.into_iter().map(|(id, pod)| Pod { id: Label::from(id), ..pod }).collect(),
            complete,
            hidden_volumes,
            sandbox_image,
        })
        .boxed()
}

fn usage() -> BoxedStrategy<DiskUsage> {
    use Component::{Kubelet, Logs, Other, Store, Volumes};
    let component = proptest::sample::select(vec![Store, Kubelet, Logs, Volumes, Other]);
    let components = btree_map(component, any::<u64>().prop_map(Bytes::new), 0..4);
    let layer = ("[a-c/]{0,4}", components)
        .prop_map(|(layer, components)| LayerUsage { layer: LayerId::from(layer), components });
    (vec(layer, 0..3), any::<u64>(), 0_i64..4_000_000_000_000_000, any::<u64>())
        .prop_map(|(layers, used, took, unreadable)| DiskUsage {
            layers,
            used: Bytes::new(used),
            took: Span::from_micros(took),
            unreadable,
        })
        .boxed()
}

fn filesystem(id: FilesystemId, sampled: Timestamp) -> BoxedStrategy<FilesystemSample> {
    let space = (1_u64.., any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|numbers| Space {
        capacity: Bytes::new(numbers.0),
        free: Bytes::new(numbers.1),
        available: Bytes::new(numbers.2),
        files: Inodes::new(numbers.3),
        files_free: Inodes::new(numbers.4),
    });
    (label(), label(), reading(sampled, space), any::<bool>(), reading(sampled, usage()))
        .prop_map(move |(device, mountpoint, space, stuck, usage)| FilesystemSample {
            id,
            name: FilesystemName { device, mountpoint },
            space,
            stuck,
            usage,
        })
        .boxed()
}

fn layer(id: LayerId, disks: Vec<FilesystemId>, sampled: Timestamp) -> BoxedStrategy<LayerSample> {
    use LayerKind::{CapdNode, Dind, Host, K3dNode, KindNode, NodeContainer};
    use RuntimeKind::{Containerd, Crio, Docker};
    use VersionOrigin::{BuildInfo, NodeImage, Package, Path};
    let kind = proptest::sample::select(vec![Host, Dind, CapdNode, KindNode, K3dNode, NodeContainer]);
    let kinds = proptest::sample::select(vec![Containerd, Crio, Docker]);
    let runtime = (kinds, any::<u32>(), time(), option::of(label()), any::<Option<u32>>()).prop_map(
        |(kind, pid, started_at, version, stats_period)| RuntimeSample {
            kind,
            pid,
            started_at,
            version,
            stats_period: stats_period.map(|seconds| Span::from_secs(i64::from(seconds))),
        },
    );
    let origins = proptest::sample::select(vec![BuildInfo, Path, Package, NodeImage]);
    let version = (label(), option::of(origins)).prop_map(|(release, origin)| KubeletVersion { release, origin });
    let kubelet = (any::<u32>(), time(), option::of(time()), option::of(version), reading(sampled, config())).prop_map(
        |(pid, started_at, serving_since, version, config)| KubeletSample {
            pid,
            started_at,
            serving_since,
            version,
            config,
        },
    );
    let origin = vec(option::of(label()), 7).prop_map(|mut labels| LayerOrigin {
        pod_namespace: labels.remove(0),
        pod: labels.remove(0),
        prow_job: labels.remove(0),
        prow_build_id: labels.remove(0),
        test_cluster: labels.remove(0),
        node_role: labels.remove(0),
        container: labels.remove(0),
    });
    let disk = move || reading(sampled, proptest::sample::select(disks.clone()));
    let source = proptest::sample::select(vec![Source::Statfs, Source::KubeletConfig, Source::Cri, Source::Docker]);
    let source = (source, reading(sampled, Just(()))).prop_map(|(source, state)| SourceStatus { source, state });
    let own = (kind, option::of("[a-c]"), origin, option::of(runtime), option::of(kubelet));
    let places = (label(), option::of(label()), disk(), disk());
    let rest = (reading(sampled, any::<u64>().prop_map(Bytes::new)), reading(sampled, store()), vec(source, 0..3));
    (own, places, rest)
        .prop_map(move |(own, places, rest)| LayerSample {
            id: id.clone(),
            kind: own.0,
            parent: own.1.map(LayerId::from),
            origin: own.2,
            runtime: own.3,
            kubelet: own.4,
            image_store: places.0,
            docker_root: places.1,
            imagefs: places.2,
            nodefs: places.3,
            runtime_used: rest.0,
            images: rest.1,
            sources: rest.2,
        })
        .boxed()
}

fn disk(number: u64) -> FilesystemId {
    FilesystemId { dev: number, capacity: Bytes::new(1_000 + number), files: Inodes::new(number) }
}

fn sample() -> BoxedStrategy<Sample> {
    let disks = proptest::sample::subsequence(vec![disk(0), disk(1), disk(2)], 1..=3).prop_shuffle();
    let layers = proptest::sample::subsequence(vec!["host", "host/a", "host/b", "c"], 0..=4).prop_shuffle();
    (time(), disks, layers)
        .prop_flat_map(|(at, disks, layers)| {
            let filesystems: Vec<_> = disks.iter().map(|id| filesystem(*id, at)).collect();
            let layers: Vec<_> = layers.into_iter().map(|id| layer(LayerId::from(id), disks.clone(), at)).collect();
            (Just(at), filesystems, layers).prop_map(|(at, filesystems, layers)| Sample { at, filesystems, layers })
        })
        .boxed()
}

/// Sequences in which parts of neighbours are equal, as in real ones.
fn samples() -> BoxedStrategy<Vec<Sample>> {
    vec((sample(), time(), any::<bool>(), any::<bool>()), 1..5)
        .prop_map(|drawn| {
            let mut samples: Vec<Sample> = Vec::new();
            for (mut sample, at, same_disks, same_layers) in drawn {
                if let Some(before) = samples.last() {
                    if same_disks {
                        sample.filesystems.clone_from(&before.filesystems);
                        let listed = |id: &FilesystemId| before.filesystems.iter().any(|found| found.id == *id);
                        for layer in &mut sample.layers {
                            for reading in [&mut layer.imagefs, &mut layer.nodefs] {
                                if reading.value().is_some_and(|id| !listed(id)) {
                                    *reading = Reading::not_read();
                                }
                            }
                        }
                    }
                    if same_disks && same_layers {
                        sample = Sample { at, ..before.clone() };
                    }
                }
                // A list is not newer than its sample.
                for layer in &mut sample.layers {
                    layer.images.redate(|listed| listed.min(sample.at));
                }
                samples.push(sample);
            }
            samples
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_is_written_is_read(samples in samples()) {
        let bytes = written(&samples);
        let (found, report) = read(&bytes);
        prop_assert_eq!(report.damage.len(), 0, "{:?}", report.damage);
        prop_assert_eq!(report.skipped, Skipped::default());
        prop_assert_eq!(found, samples);
    }

    #[test]
    fn cut_anywhere_it_is_read_up_to_there(samples in samples(), cut: proptest::sample::Index) {
        let bytes = written(&samples);
        let end = cut.index(bytes.len());
        let (found, report) = read(&bytes[..end]);
        prop_assert!(report.damage.len() <= 1);
        prop_assert_eq!(&found[..], &samples[..found.len()]);
        prop_assert!(found.len() + 1 >= bytes[..end].windows(15).filter(|w| w == b"\"type\":\"sample\"").count());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        read(&bytes);
        read(&[HEADER.as_bytes(), b"\n", &bytes].concat());
    }

    #[test]
    fn a_changed_byte_is_read_without_panic(samples in samples(), place: proptest::sample::Index, byte: u8) {
        let mut bytes = written(&samples);
        let place = place.index(bytes.len());
        bytes[place] = byte;
        read(&bytes);
    }

    #[test]
    fn any_object_is_read_without_panic(
        kind in proptest::sample::select(vec![
            "header", "filesystem", "space", "usage", "layer", "sources", "kubelet", "config", "images", "image",
            "container", "pod", "gone", "order", "sample",
        ]),
        rest in "(\"(at|layer|filesystem|id|dev|size|layers|sources|kubelet)\":(1|-1|1e999|\"disk\"|null|\\[\\]|\\{\\}|true),){0,4}",
    ) {
        let line = format!("{{{rest}\"type\":\"{kind}\"}}");
        read([HEADER, DISK, &line, r#"{"type":"sample","at":5}"#].join("\n").as_bytes());
    }
}
