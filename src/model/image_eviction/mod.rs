//! What does an eviction pass delete before it turns to pods? Dead containers of ended pods, then every unused image
//! that is old enough; no low threshold ends it.
//!
//! Mirrors `eviction/eviction_manager.go` reclaimNodeLevelResources and `images/image_gc_manager.go`
//! DeleteUnusedImages. Not modelled: which pod goes when images were not enough.

use super::candidates::{Eligibility, Pass, eligibilities};
use super::eviction::deletes_images;
use super::image_gc::verdicts;
use super::in_use::{ContainersCounted, images_in_use};
use super::victims::{Cause, ImageOutcome, Outcome, SafeReason};
use super::{GcPolicy, Inventory, Release, Rule, Signal};
use crate::sample::ImageStore;
use crate::time::Timestamp;

/// One kubelet and what it will find in an eviction pass.
#[derive(Debug, Clone, Copy)]
pub struct EvictionPass<'a> {
    /// Its settings.
    pub policy: &'a GcPolicy,
    /// Its release.
    pub release: Release,
    /// When the pass comes, see `schedule::next_eviction_pass`.
    pub at: Timestamp,
    /// The signal whose threshold is met.
    pub signal: Signal,
    /// Whether images and the kubelet's directory are on one filesystem.
    pub same_filesystem: bool,
    /// The images and containers.
    pub store: &'a ImageStore,
    /// What the kubelet remembers of them.
    pub inventory: &'a Inventory,
}

/// The outcome of every image, in the store's order, if the threshold of the signal is met at this pass.
///
/// [`SafeReason::NotNeeded`] for all others where this signal deletes no image, which leaves pods to pay at once. From
/// 1.29 to 1.31 image pressure on a disk of its own may pass the images over, so that none is certain.
pub fn evict(pass: EvictionPass<'_>) -> Vec<ImageOutcome> {
    let EvictionPass { release, store, .. } = pass;
    let counted = if deletes_images(pass.signal, pass.same_filesystem) {
        ContainersCounted::AfterContainerRemoval
    } else {
        ContainersCounted::All
    };
    let in_use = images_in_use(store, release, counted);
    let minimum_age = Some(pass.policy.image_gc.minimum_age.value);
    let eligibilities =
        eligibilities(store, &in_use, Pass { release, at: pass.at, minimum_age, inventory: pass.inventory });
    let deletes = deletes_images(pass.signal, pass.same_filesystem);
    let may_skip = !pass.same_filesystem && release.holds(Rule::ContainerfsSkipsReclaim).is_possible();
    let outcomes = eligibilities.into_iter().map(|eligibility| match eligibility {
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
