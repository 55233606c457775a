//! Which images does each made-up kubelet know? What its runtime would list.

use super::disk::Unused;
use super::job::{Holder, Job, Setup};
use crate::sample::{Container, ContainerState, Image, ImageId, ImageStore, Pod};
use crate::time::Span;
use crate::units::Bytes;
use crate::untrusted::Label;

/// An image of the story.
struct Made {
    name: &'static str,
    /// Whether a registry's digest is known of it.
    pulled: bool,
    mib: u64,
    /// The namespace of the pod that runs it, where one does.
    runs_in: Option<&'static str>,
}

const fn made(name: &'static str, pulled: bool, mib: u64, runs_in: Option<&'static str>) -> Made {
    Made { name, pulled, mib, runs_in }
}

const SYSTEM: Option<&str> = Some("kube-system");

/// The sandbox image, which containerd pins.
const PAUSE: &str = "registry.k8s.io/pause:3.10.1";

const HOST_USED: [Made; 4] = [
    made("registry.k8s.io/kube-proxy:v1.37.2", true, 29, SYSTEM),
    made("registry.k8s.io/node-problem-detector:v0.8.21", true, 58, SYSTEM),
    made("us-docker.pkg.dev/k8s-prow/prow/entrypoint:v20261120", true, 18, Some("test-pods")),
    made("gcr.io/k8s-staging-test-infra/kubekins-e2e:v20261118-master", true, 2_260, Some("test-pods")),
];

/// Earlier jobs' images, of which none is needed now.
const HOST_UNUSED: [&str; 6] = [
    "gcr.io/k8s-staging-test-infra/kubekins-e2e:v20261104-1.37",
    "gcr.io/k8s-staging-test-infra/kubekins-e2e:v20261104-1.36",
    "gcr.io/k8s-staging-test-infra/kubekins-e2e:v20261104-1.35",
    "gcr.io/k8s-staging-test-infra/krte:v20261110-master",
    "gcr.io/k8s-staging-test-infra/krte:v20261110-1.36",
    "gcr.io/k8s-staging-test-infra/gcb-docker-gcloud:v20261012",
];

const NODE_USED: [Made; 4] = [
    made("registry.k8s.io/kube-proxy:v1.37.2", true, 29, SYSTEM),
    made("docker.io/kindest/kindnetd:v20260820", true, 41, SYSTEM),
    made("docker.io/kindest/local-path-provisioner:v20260610", true, 21, Some("local-path-storage")),
    made("gcr.io/k8s-staging-cluster-api/cluster-api-controller-amd64:dev", false, 86, Some("capi-system")),
];

/// Loaded from archives before the test needs them: they are in no registry, except the last.
const NODE_UNUSED: [(&str, bool); 8] = [
    ("gcr.io/k8s-staging-cluster-api/capd-manager-amd64:dev", false),
    ("gcr.io/k8s-staging-cluster-api/kubeadm-bootstrap-controller-amd64:dev", false),
    ("gcr.io/k8s-staging-cluster-api/kubeadm-control-plane-controller-amd64:dev", false),
    ("gcr.io/k8s-staging-cluster-api/test-extension-amd64:dev", false),
    ("docker.io/library/workload-under-test:e2e", false),
    ("docker.io/library/conformance-fixtures:e2e", false),
    ("quay.io/jetstack/cert-manager-webhook:v1.20.1", true),
    ("quay.io/jetstack/cert-manager-cainjector:v1.20.1", true),
];

/// A node loads its images one after the other, the first this long after its container is there.
const FIRST_LOADED: Span = Span::from_secs(60);
const LOADS_EVERY: Span = Span::from_secs(110);

/// What the containerd of a layer with a kubelet lists, at an instant of the round.
pub(super) fn of(job: &Job, holder: Holder, unused: &Unused, at: Span) -> ImageStore {
    match holder {
        Holder::Node(position) => job.nodes.get(position).map_or_else(ImageStore::default, |found| {
            let running = Span::from_micros(at.micros().saturating_sub(found.appears.micros()));
            node(found.setup, unused, running)
        }),
        Holder::Host | Holder::Dind => host(unused),
    }
}

fn host(unused: &Unused) -> ImageStore {
    let mut store = with_pause();
    for made in &HOST_USED {
        add(&mut store, made);
    }
    for (name, mib) in unused.of_host().filter_map(|(number, mib)| Some((*HOST_UNUSED.get(number)?, mib))) {
        add(&mut store, &made(name, true, mib, None));
    }
    store
}

fn node(setup: Setup, unused: &Unused, running: Span) -> ImageStore {
    let mut store = with_pause();
    for made in &NODE_USED {
        add(&mut store, made);
    }
    // Nothing is ever deleted from the nodes of another kind.
    let whole = Unused::new();
    let left = if setup == Setup::OldCapd { unused } else { &whole };
    for (number, mib) in left.of_old_capd() {
        let number_before = i64::try_from(number).unwrap_or(i64::MAX);
        let loaded = FIRST_LOADED.micros().saturating_add(LOADS_EVERY.micros().saturating_mul(number_before));
        if let Some((name, pulled)) = NODE_UNUSED.get(number).filter(|_| running.micros() >= loaded) {
            add(&mut store, &made(name, *pulled, mib, None));
        }
    }
    store
}

fn with_pause() -> ImageStore {
    let mut store = ImageStore { complete: true, ..ImageStore::default() };
    add(&mut store, &made(PAUSE, true, 1, None));
    store.images.iter_mut().for_each(|image| image.pinned = true);
    store
}

fn add(store: &mut ImageStore, made: &Made) {
    let id = ImageId::new(format!("sha256:{:064x}", fingerprint(made.name)));
    let repository = made.name.rsplit_once(':').map_or(made.name, |(repository, _)| repository);
    // What `ctr images import --digests` makes up for an image from an archive.
    let repository = if made.pulled { repository } else { "docker.io/library/import-2026-11-24" };
    let digest = Label::from(format!("{repository}@sha256:{:064x}", fingerprint(made.name).rotate_left(17)));
    if let Some(namespace) = made.runs_in {
        let pod = Label::from(format!("pod-{:x}", fingerprint(made.name)));
        store.containers.push(container(&pod, "main", id.clone()));
        store.pods.push(Pod {
            uid: pod.clone(),
            id: pod,
            namespace: Label::new(namespace),
            name: Label::new(repository.rsplit('/').next().unwrap_or(repository)),
            ready: Some(true),
            is_static: false,
        });
    }
    store.images.push(Image {
        id,
        tags: vec![Label::new(made.name)],
        digests: vec![digest],
        size: Some(Bytes::from_mib(made.mib)),
        pinned: false,
        layers: None,
    });
}

fn container(pod: &Label, name: &str, image: ImageId) -> Container {
    Container {
        id: Label::from(format!("{pod}-{name}")),
        pod: pod.clone(),
        name: Label::new(name),
        state: ContainerState::Running,
        image_id: Some(image.clone()),
        image_ref: Some(image),
        image_volumes: Vec::new(),
    }
}

/// A number for a name, always the same (FNV-1a).
fn fingerprint(name: &str) -> u128 {
    name.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    })
}
