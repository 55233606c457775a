//! Which images are in use by a container, as image garbage collection or an eviction counts them?
//!
//! Mirrors `images/image_gc_manager.go` detectImages, and `kuberuntime/kuberuntime_gc.go` evictContainers for what an eviction
//! removes first. One that is only named by a pod, whose container is not created yet, is not in use.

use super::{Release, Rule, TriState, recovery};
use crate::sample::{Container, ContainerState, ImageId, ImageStore, Pod};
use crate::untrusted::Label;
use std::collections::{BTreeSet, HashMap};

/// Which containers make an image count as in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainersCounted {
    /// All, in any state: image garbage collection.
    All,
    /// Those that are left when dead ones have been removed: eviction.
    AfterContainerRemoval,
}

/// The images in use.
#[derive(Debug, Clone)]
pub struct ImagesInUse<'a>(HashMap<&'a ImageId, TriState>);

impl ImagesInUse<'_> {
    /// Whether an image is in use; [`TriState::Unknown`] where that depends on something that cannot be seen.
    pub fn contains(&self, image: &ImageId) -> TriState {
        self.0.get(image).copied().unwrap_or(TriState::No)
    }
}

/// The images of a store that are in use.
///
/// `sandbox_image`: what `--pod-infra-container-image` says; `None` where it says nothing, or is not known.
pub fn images_in_use<'a>(
    store: &'a ImageStore,
    release: Release,
    counted: ContainersCounted,
    sandbox_image: Option<&Label>,
) -> ImagesInUse<'a> {
    let pods = PodStates::new(store);
    let mut in_use = HashMap::new();
    let mut note = |id, state: TriState| {
        let known = in_use.entry(id).or_insert(state);
        if state.is_certain() {
            *known = state;
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
            TriState::Unknown if by_id.is_some() && by_id != by_ref => {
                by_id.into_iter().chain(by_ref).for_each(|id| note(id, TriState::Unknown));
            }
            TriState::Yes => by_id.or(by_ref).into_iter().for_each(|id| note(id, counts)),
            TriState::No | TriState::Unknown => by_ref.into_iter().for_each(|id| note(id, counts)),
        }
        // A volume can only be mounted where the feature is on, and then it counts.
        container.image_volumes.iter().for_each(|id| note(id, counts));
    }
    if store.hidden_volumes && release.holds(Rule::ImageVolumesByDefault).is_possible() {
        // Any image may be mounted as a volume somewhere.
        store.images.iter().for_each(|image| note(&image.id, TriState::Unknown));
    }
    let sandbox_counts = release.holds(Rule::SandboxImageInUse);
    if sandbox_counts.is_possible() {
        match sandbox_image {
            Some(name) => {
                let named = store.images.iter().filter(|image| recovery::is_named(image, name));
                named.for_each(|image| note(&image.id, sandbox_counts));
            }
            // The default depends on the release.
            None => recovery::sandbox_images(store).for_each(|image| note(&image.id, TriState::Unknown)),
        }
    }
    ImagesInUse(in_use)
}

/// What is known of the pods of a store.
struct PodStates<'a> {
    by_sandbox: HashMap<&'a str, &'a Pod>,
    /// Uids of pods with a running container or a running sandbox.
    alive: BTreeSet<&'a str>,
}

impl<'a> PodStates<'a> {
    fn new(store: &'a ImageStore) -> Self {
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
