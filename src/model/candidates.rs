//! Which images may be deleted at all, by a kubelet that deletes at a given time? In use, pinned, too young, or a candidate with
//! its LRU key.
//!
//! Mirrors `images/image_gc_manager.go` imagesInEvictionOrder and the two tests at the head of freeSpace.

use super::in_use::ImagesInUse;
use super::inventory::{BEFORE_EVERYTHING, Inventory};
use super::schedule::{Expected, Start};
use super::victims::{Candidate, LruKey, SafeReason};
use super::{Rule, TriState};
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

/// What decides on the eligibility of every image in one GC run or eviction sync.
#[derive(Debug, Clone, Copy)]
pub struct Deletion<'a> {
    /// The kubelet.
    pub start: Start,
    /// When it freezes the list of candidates: at any instant within these bounds.
    pub at: Expected,
    /// imageMinimumGCAge; `None` where it does not count.
    pub minimum_age: Option<Span>,
    /// What the kubelet remembers.
    pub inventory: &'a Inventory,
}

/// The eligibility of each image, in the store's order.
pub fn eligibilities(store: &ImageStore, in_use: &ImagesInUse<'_>, deletion: Deletion<'_>) -> Vec<Eligibility> {
    store.images.iter().map(|image| eligibility(image, in_use.contains(&image.id), deletion)).collect()
}

fn eligibility(image: &Image, used: TriState, deletion: Deletion<'_>) -> Eligibility {
    if used.is_certain() {
        return Eligibility::Safe(SafeReason::InUse);
    }
    let Deletion { start, at, .. } = deletion;
    let pinned = if image.pinned { start.release().holds(Rule::PinsRespected) } else { TriState::No };
    if pinned.is_certain() {
        return Eligibility::Safe(SafeReason::Pinned);
    }
    let record = deletion.inventory.expected_record(&image.id, start, at);
    let judged = at.widened(start.record_tolerance());
    let oldest = judged.latest.since(record.first_detected_earliest).max(Span::ZERO);
    // One that no run has seen has no age yet.
    let youngest =
        record.first_detected_latest.map_or(Span::ZERO, |first| judged.earliest.since(first)).max(Span::ZERO);
    let old_enough = |age: Span| deletion.minimum_age.is_none_or(|minimum| age >= minimum);
    if !old_enough(oldest) {
        return Eligibility::Safe(SafeReason::TooYoung);
    }
    let first_detected = |known: Timestamp| known.min(at.at);
    Eligibility::Candidate(Candidate {
        size: image.size.unwrap_or(Bytes::ZERO),
        earliest: LruKey {
            last_used: record.last_used_earliest,
            first_detected: first_detected(record.first_detected_earliest).max(BEFORE_EVERYTHING),
        },
        latest: LruKey {
            last_used: record.last_used_latest,
            first_detected: first_detected(record.first_detected_latest.unwrap_or(at.at)),
        },
        may_stay: used.is_possible() || pinned.is_possible() || !old_enough(youngest),
        may_be_gone: false,
    })
}
