//! Which images may be deleted at all, by a pass at a given time? In use, pinned, too young, or a candidate with its
//! place.
//!
//! Mirrors `images/image_gc_manager.go` detectImages, imagesInEvictionOrder and the two tests at the head of freeSpace,
//! and `kuberuntime/kuberuntime_gc.go` evictContainers for what an eviction removes first.

use super::inventory::{BEFORE_EVERYTHING, Inventory};
use super::victims::{Candidate, LruKey, SafeReason};
use super::{Release, Rule, TriState, recovery};
use crate::sample::{Container, ContainerState, Image, ImageId, ImageStore, Pod};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use std::collections::{BTreeSet, HashMap};

/// Which containers make an image count as in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainersCounted {
    /// All, in any state: image collection.
    All,
    /// Those that are left when dead ones have been removed: eviction.
    AfterContainerRemoval,
}

/// Whether an image may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eligibility {
    /// It may, at its turn.
    Candidate(Candidate),
    /// It stays.
    Safe(SafeReason),
}

/// What decides on the eligibility of every image of one pass.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// The kubelet's release.
    pub release: Release,
    /// When the pass begins.
    pub at: Timestamp,
    /// imageMinimumGCAge; `None` where the pass does not look at it.
    pub minimum_age: Option<Span>,
    /// What the kubelet remembers.
    pub inventory: &'a Inventory,
}

/// The images in use.
#[derive(Debug, Clone)]
pub struct Uses<'a>(HashMap<&'a ImageId, TriState>);

impl Uses<'_> {
    /// Whether an image is in use; [`TriState::Unknown`] where that depends on something that cannot be seen.
    pub fn of(&self, image: &ImageId) -> TriState {
        self.0.get(image).copied().unwrap_or(TriState::No)
    }
}

/// The images in use. One that is only named by a pod, whose container is not made yet, is not.
pub fn uses(store: &ImageStore, release: Release, counted: ContainersCounted) -> Uses<'_> {
    let pods = PodStates::of(store);
    let mut uses = HashMap::new();
    let mut note = |id, held: TriState| {
        let known = uses.entry(id).or_insert(held);
        if held.is_certain() {
            *known = held;
        }
    };
    for container in &store.containers {
        let counts = match counted {
            ContainersCounted::All => TriState::Yes,
            ContainersCounted::AfterContainerRemoval => pods.keeps(container),
        };
        if counts == TriState::No {
            continue;
        }
        let (by_id, by_ref) = (container.image_id.as_ref(), container.image_ref.as_ref());
        match release.holds(Rule::InUseByImageId) {
            TriState::Yes => by_id.or(by_ref).into_iter().for_each(|id| note(id, counts)),
            TriState::No => by_ref.into_iter().for_each(|id| note(id, counts)),
            TriState::Unknown if by_id.is_none() || by_id == by_ref => {
                by_ref.into_iter().for_each(|id| note(id, counts))
            }
            TriState::Unknown => by_id.into_iter().chain(by_ref).for_each(|id| note(id, TriState::Unknown)),
        }
        // A volume can only be mounted where the feature is on, and then it counts.
        container.image_volumes.iter().for_each(|id| note(id, counts));
    }
    if store.hidden_volumes && release.holds(Rule::ImageVolumesByDefault).is_possible() {
        // Any image may be mounted as a volume somewhere.
        store.images.iter().for_each(|image| note(&image.id, TriState::Unknown));
    }
    if release.holds(Rule::SandboxImageInUse).is_certain() {
        // Up to 1.28 the image of --pod-infra-container-image counts; which one that is cannot be told for certain.
        for image in recovery::sandbox_images(store) {
            note(&image.id, TriState::Unknown);
        }
    }
    Uses(uses)
}

/// What is known of the pods of a store.
struct PodStates<'a> {
    by_sandbox: HashMap<&'a str, &'a Pod>,
    /// Uids of pods with a running container or a running sandbox.
    alive: BTreeSet<&'a str>,
}

impl<'a> PodStates<'a> {
    fn of(store: &'a ImageStore) -> Self {
        let by_sandbox: HashMap<_, _> = store.pods.iter().map(|pod| (pod.id.as_str(), pod)).collect();
        let ready = store.pods.iter().filter(|pod| pod.ready == Some(true)).map(|pod| pod.uid.as_str());
        let running = store.containers.iter().filter(|container| container.state == ContainerState::Running);
        let running =
            running.filter_map(|container| by_sandbox.get(container.pod.as_str()).map(|pod| pod.uid.as_str()));
        let alive = ready.chain(running).collect();
        Self { by_sandbox, alive }
    }

    /// Whether a container is still there when an eviction has removed unused ones: a running one is, and so is the
    /// newest dead one of each name in a pod that has not ended; all dead ones of a pod that has ended are removed.
    ///
    /// A sandbox that is not ready, in a pod without any that is, tells that the pod has ended. It can also be that the
    /// kubelet is about to start it anew, which happens after a restart of the machine; that is not told apart.
    fn keeps(&self, container: &Container) -> TriState {
        if container.state == ContainerState::Running {
            return TriState::Yes;
        }
        match self.by_sandbox.get(container.pod.as_str()) {
            Some(pod) if self.alive.contains(pod.uid.as_str()) => TriState::Yes,
            Some(pod) if pod.ready == Some(false) => TriState::No,
            _ => TriState::Unknown,
        }
    }
}

/// The eligibility of each image, in the store's order.
pub fn eligibilities(store: &ImageStore, uses: &Uses<'_>, pass: Pass<'_>) -> Vec<Eligibility> {
    store.images.iter().map(|image| eligibility(image, uses.of(&image.id), pass)).collect()
}

fn eligibility(image: &Image, used: TriState, pass: Pass<'_>) -> Eligibility {
    if used.is_certain() {
        return Eligibility::Safe(SafeReason::InUse);
    }
    let pinned = if image.pinned { pass.release.holds(Rule::PinsRespected) } else { TriState::No };
    if pinned.is_certain() {
        return Eligibility::Safe(SafeReason::Pinned);
    }
    let record = pass.inventory.record(&image.id);
    // Without a record this pass is the first to see the image.
    let earliest = record.map_or(pass.at, |record| record.first_detected_earliest).min(pass.at);
    let latest = record.and_then(|record| record.first_detected_latest).unwrap_or(pass.at).min(pass.at);
    let old_enough = |first: Timestamp| pass.minimum_age.is_none_or(|age| pass.at.since(first) >= age);
    if !old_enough(earliest) {
        return Eligibility::Safe(SafeReason::TooYoung);
    }
    let first_use = record.and_then(|record| record.last_used_earliest);
    let last_use = record.and_then(|record| record.last_used_latest);
    Eligibility::Candidate(Candidate {
        size: image.size.unwrap_or(Bytes::ZERO),
        earliest: LruKey { last_used: first_use, first_detected: earliest.max(BEFORE_EVERYTHING) },
        latest: LruKey { last_used: last_use, first_detected: latest },
        may_stay: used.is_possible() || pinned.is_possible() || !old_enough(latest),
        may_be_gone: false,
    })
}
