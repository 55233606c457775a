//! Which images may be deleted at all, by a pass at a given time? In use, pinned, too young, or a candidate with its
//! place.
//!
//! Mirrors `images/image_gc_manager.go` imagesInEvictionOrder and the two tests at the head of freeSpace.

use super::in_use::ImagesInUse;
use super::inventory::{BEFORE_EVERYTHING, Inventory};
use super::victims::{Candidate, LruKey, SafeReason};
use super::{Release, Rule, TriState};
use crate::sample::{Image, ImageStore};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;

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

/// The eligibility of each image, in the store's order.
pub fn eligibilities(store: &ImageStore, in_use: &ImagesInUse<'_>, pass: Pass<'_>) -> Vec<Eligibility> {
    store.images.iter().map(|image| eligibility(image, in_use.contains(&image.id), pass)).collect()
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
