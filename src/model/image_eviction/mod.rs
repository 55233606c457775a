//! What does an eviction manager sync delete before it turns to pods? Dead containers of ended pods, then every unused image that
//! is old enough; no low threshold ends it.
//!
//! Mirrors `eviction/eviction_manager.go` reclaimNodeLevelResources and `images/image_gc_manager.go`
//! DeleteUnusedImages. Not modelled: which pod is evicted when images were not enough.

use super::candidates::{Deletion, Eligibility, eligibilities};
use super::eviction::deletes_images;
use super::image_gc::verdicts;
use super::in_use::{ContainersCounted, images_in_use};
use super::schedule::{Expected, Start};
use super::victims::{Cause, ImageOutcome, Outcome, SafeReason};
use super::{GcPolicy, Inventory, Rule, Signal};
use crate::sample::ImageStore;

/// One kubelet and what it will find in an eviction manager sync.
#[derive(Debug, Clone, Copy)]
pub struct EvictionSync<'a> {
    /// Its settings.
    pub policy: &'a GcPolicy,
    /// The kubelet.
    pub start: Start,
    /// When the sync comes that acts, see `GcSchedule::next_acting_sync`.
    pub at: Expected,
    /// The signal whose threshold is met.
    pub signal: Signal,
    /// Whether images and the kubelet's directory are on one filesystem.
    pub same_filesystem: bool,
    /// Whether a threshold of nodefs is met, be it this one or another.
    pub nodefs_met: bool,
    /// The images and containers.
    pub store: &'a ImageStore,
    /// What the kubelet remembers of them.
    pub inventory: &'a Inventory,
}

/// The outcome of every image, in the store's order, if the threshold of the signal is met at this sync.
///
/// [`SafeReason::NotNeeded`] for all others where this signal deletes no image, so that pods are evicted at once. From 1.29 to 1.31
/// the sync may turn to pods with no image deleted, see [`Rule::ContainerfsSkipsReclaim`], so that none is certain: on a disk of
/// its own for images always, on a shared one where a threshold of nodefs is met.
pub fn evict(sync: EvictionSync<'_>) -> Vec<ImageOutcome> {
    let EvictionSync { start, store, .. } = sync;
    let deletes = deletes_images(sync.signal, sync.same_filesystem);
    let counted = if deletes { ContainersCounted::AfterContainerRemoval } else { ContainersCounted::All };
    let in_use = images_in_use(store, start.release(), counted, sync.inventory.sandbox_image());
    let minimum_age = Some(sync.policy.image_gc.minimum_age.value);
    let deletion = Deletion { start, at: sync.at, minimum_age, inventory: sync.inventory };
    let skips = start.release().holds(Rule::ContainerfsSkipsReclaim);
    let may_skip = skips.is_possible() && (!sync.same_filesystem || sync.nodefs_met);
    let outcomes = eligibilities(store, &in_use, deletion).into_iter().map(|eligibility| match eligibility {
        Eligibility::Safe(reason) => Outcome::Safe(reason),
        Eligibility::Candidate(_) if !deletes => Outcome::Safe(SafeReason::NotNeeded),
        Eligibility::Candidate(candidate) if candidate.may_stay || may_skip || !store.complete => {
            Outcome::Possible(Cause::Space)
        }
        Eligibility::Candidate(_) => Outcome::Certain(Cause::Space),
    });
    verdicts(store, outcomes)
}

#[cfg(test)]
mod tests;
