//! What does one layer of 5,000 images and 2,000 containers cost? The kubelet's memory, the predictions of all triggers, and the
//! whole of `assess`. Budget of the model: 20 ms for each new list of the runtime, which comes every 30 s.

use criterion::{Criterion, criterion_group, criterion_main};
use highwater::assess::{State, assess};
use highwater::layer::{LayerId, LayerKind};
use highwater::model::prediction::{Crossings, Subject, predict};
use highwater::model::schedule::{GcSchedule, Start};
use highwater::model::{GcPolicy, Inventory, Release};
use highwater::sample::{
    Container, ContainerState, FilesystemId, FilesystemName, FilesystemSample, Image, ImageStore, KubeletConfig,
    KubeletSample, KubeletVersion, LayerOrigin, LayerSample, Pod, Reading, RuntimeKind, RuntimeSample, Sample, Space,
    StoredLayer,
};
use highwater::time::{Span, Timestamp};
use highwater::units::{Bytes, Inodes};
use highwater::untrusted::Label;
use std::fs;
use std::hint::black_box;

const IMAGES: u64 = 5_000;
const CONTAINERS: u64 = 2_000;
const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const RELEASE: Release = Release::V1 { minor: 37, patch: 2 };
const DISK: FilesystemId = FilesystemId { dev: 1, capacity: Bytes::from_gib(280), files: Inodes::new(18_000_000) };
const SPACE: Space = Space {
    capacity: Bytes::from_gib(280),
    free: Bytes::from_gib(44),
    available: Bytes::from_gib(44),
    files: Inodes::new(18_000_000),
    files_free: Inodes::new(9_000_000),
};

fn digest(kind: u64, number: u64) -> String {
    format!("sha256:{kind:08x}{number:056x}")
}

/// Eight layers an image, of which four are shared by ten images; every third image has been used.
fn store(round: u64) -> ImageStore {
    let image = |number: u64| {
        let layer = |index: u64| {
            let owner = if index < 4 { number / 10 } else { number };
            StoredLayer { id: Label::from(format!("unpacked:{owner:x}-{index}")), bytes: Bytes::from_mib(40) }
        };
        let name = format!("registry.example.com/team-{}/image-{number}", number % 40);
        Image {
            id: digest(0, number).as_str().into(),
            tags: vec![Label::from(format!("{name}:v{}", number % 7))],
            digests: vec![Label::from(format!("{name}@{}", digest(1, number)))],
            size: Some(Bytes::from_mib(100 + number % 900)),
            pinned: number.is_multiple_of(500),
            layers: Some((0..8).map(layer).collect()),
        }
    };
    let container = |number: u64| {
        // Which images are in use changes from list to list.
        let id = digest(0, (number * 2 + round) % IMAGES);
        Container {
            id: digest(2, number).as_str().into(),
            pod: digest(3, number / 2).as_str().into(),
            name: "main".into(),
            state: if number.is_multiple_of(3) { ContainerState::Exited } else { ContainerState::Running },
            image_id: Some(id.as_str().into()),
            image_ref: Some(id.as_str().into()),
            image_volumes: Vec::new(),
        }
    };
    let pod = |number: u64| Pod {
        id: digest(3, number).as_str().into(),
        uid: digest(4, number).as_str().into(),
        namespace: "test-pods".into(),
        name: Label::from(format!("job-{number}")),
        ready: Some(!number.is_multiple_of(3)),
        is_static: false,
    };
    ImageStore {
        images: (0..IMAGES).map(image).collect(),
        containers: (0..CONTAINERS).map(container).collect(),
        pods: (0..CONTAINERS / 2).map(pod).collect(),
        complete: true,
        hidden_volumes: false,
        sandbox_image: None,
    }
}

/// Every 30 s a list.
fn time(round: u64) -> Timestamp {
    START + Span::from_secs(i64::try_from(round * 30).unwrap_or(0))
}

fn sample(round: u64, images: ImageStore) -> Sample {
    let at = time(round);
    let layer = LayerSample {
        id: LayerId::host(),
        kind: LayerKind::Host,
        parent: None,
        origin: LayerOrigin::default(),
        runtime: Some(RuntimeSample {
            kind: RuntimeKind::Containerd,
            pid: 1,
            started_at: START,
            version: None,
            stats_period: None,
        }),
        kubelet: Some(KubeletSample {
            pid: 2,
            started_at: START,
            serving_since: None,
            version: Some(KubeletVersion { release: "v1.37.2".into(), origin: None }),
            config: Reading::present(KubeletConfig::default(), at),
        }),
        image_store: "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs".into(),
        docker_root: None,
        imagefs: Reading::present(DISK, at),
        nodefs: Reading::present(DISK, at),
        runtime_used: Reading::not_read(),
        images: Reading::present(images, at),
        sources: Vec::new(),
    };
    let filesystem = FilesystemSample {
        id: DISK,
        name: FilesystemName { device: "/dev/sda1".into(), mountpoint: "/".into() },
        space: Reading::present(SPACE, at),
        stuck: false,
        usage: Reading::not_read(),
    };
    Sample { at, filesystems: vec![filesystem], layers: vec![layer] }
}

/// Resident memory in KiB; 0 where /proc does not tell.
#[expect(clippy::disallowed_methods, reason = "a bench looks at its own process")]
fn resident() -> i64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
}

#[expect(clippy::print_stdout, reason = "the size belongs beside the times")]
fn tell_memory() {
    let before = resident();
    let mut state = State::default();
    let mut last = None;
    for round in 0..40 {
        let sample = sample(round, store(round));
        let (assessment, next) = assess(&sample, state);
        (state, last) = (next, Some((sample, assessment)));
    }
    println!("state, one sample and its assessment: {} KiB resident", resident() - before);
    black_box((state, last));
}

fn model(criterion: &mut Criterion) {
    tell_memory();
    let rounds: Vec<ImageStore> = (0..40).map(store).collect();
    let mut inventory = Inventory::default();
    for (round, store) in (0..).zip(&rounds) {
        inventory.observe(time(round), Start::of(START, RELEASE), store, false);
    }
    let Some(latest) = rounds.last() else { return };
    criterion.bench_function("observe/5000", |bencher| {
        let mut watched = inventory.clone();
        let mut round = 40;
        bencher.iter(|| {
            round += 1;
            watched.observe(time(round), Start::of(START, RELEASE), latest, true);
        });
    });
    let policy = GcPolicy::of(None);
    let crossings = Crossings::new();
    criterion.bench_function("predict/5000", |bencher| {
        bencher.iter(|| {
            let subject = Subject {
                policy: &policy,
                schedule: GcSchedule::of(Start::of(START, RELEASE)),
                now: time(40),
                imagefs: Some((DISK, &SPACE)),
                nodefs: Some((DISK, &SPACE)),
                store: latest,
                inventory: &inventory,
                crossings: &crossings,
                reserved: None,
            };
            black_box(predict(subject, Bytes::ZERO))
        });
    });
    criterion.bench_function("assess/5000", |bencher| {
        let mut round = 40;
        let mut state = State::default();
        bencher.iter_batched(
            || {
                round += 1;
                sample(round, latest.clone())
            },
            |sample| {
                let (assessment, next) = assess(&sample, std::mem::take(&mut state));
                state = next;
                (assessment, sample)
            },
            criterion::BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, model);
criterion_main!(benches);
