//! Which images would a deletion loop take? The certain, the possible and the others, under every order that may be the
//! true one. Pure selection: who may be deleted at all is decided in `candidates.rs`, how much is wanted in
//! `image_gc.rs`.
//!
//! Mirrors `images/image_gc_manager.go` freeSpace: images are sorted by (last used, first detected) and deleted one by
//! one until the sum of their CRI sizes reaches what is wanted. Images with equal keys come in any order (Go map
//! iteration, then an unstable sort). Where a key is known only within bounds, every value within them may be the true
//! one.

use crate::sample::ImageId;
use crate::time::Timestamp;
use crate::units::Bytes;

/// What happens to one image when a trigger fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOutcome {
    /// Which image.
    pub image: ImageId,
    /// What the kubelet counts for it; `None` where the runtime's number is unusable.
    pub size: Option<Bytes>,
    /// What happens to it.
    pub outcome: Outcome,
}

/// Whether an image goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Deleted whatever the order.
    Certain(Cause),
    /// Deleted under some order, or if something that is not known is so.
    Possible(Cause),
    /// Not deleted.
    Safe(SafeReason),
}

/// Why an image goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// For want of space.
    Space,
    /// Unused for longer than imageMaximumGCAge.
    Age,
}

/// Why an image stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SafeReason {
    /// A container uses it.
    InUse,
    /// The runtime says that it is pinned.
    Pinned,
    /// The kubelet has not known it for the minimum age.
    TooYoung,
    /// Nothing deletes images here.
    GcDisabled,
    /// Others suffice, or nothing is wanted.
    NotNeeded,
}

/// An image's place in the order of deletion: never used first, then by last use, then by first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LruKey {
    /// When the kubelet last saw it in use; `None`: never.
    pub last_used: Option<Timestamp>,
    /// When the kubelet first saw it.
    pub first_detected: Timestamp,
}

/// An image that may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// What its deletion counts.
    pub size: Bytes,
    /// The earliest place it may have.
    pub earliest: LruKey,
    /// The latest.
    pub latest: LruKey,
    /// It may turn out that it cannot be deleted.
    pub may_stay: bool,
    /// It may be gone before this loop begins, without counting.
    pub may_be_gone: bool,
}

/// How many bytes a loop wants, between bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// At least; `None`: the loop may not run at all.
    pub least: Option<i64>,
    /// At most. A loop that runs deletes one image even where nothing is wanted.
    pub most: i64,
}

/// What a loop counts before it ends, in CRI sizes, between bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// At least.
    pub least: Bytes,
    /// At most.
    pub most: Bytes,
}

/// What the loop counts: as much as it wants if there is so much that it surely can delete, and, since it ends with the image
/// that reaches it, less than the greatest image beyond.
pub fn counted(candidates: &[Candidate], wanted: Wanted) -> Counted {
    let sure = candidates.iter().filter(|candidate| !candidate.may_stay && !candidate.may_be_gone);
    let sure = sure.fold(Bytes::ZERO, |sum, candidate| sum.saturating_add(candidate.size));
    let least = u64::try_from(wanted.least.unwrap_or(0)).unwrap_or(0);
    let before_last = u64::try_from(wanted.most.saturating_sub(1)).unwrap_or(0);
    let greatest = candidates.iter().map(|candidate| candidate.size).max().unwrap_or(Bytes::ZERO);
    Counted { least: Bytes::new(least).min(sure), most: Bytes::new(before_last).saturating_add(greatest) }
}

/// What the loop does with a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// It is deleted, unless it has to stay or is gone already.
    Always,
    /// It is deleted under some order.
    Sometimes,
    /// The loop ends before it.
    Never,
}

/// Says of each candidate, in the order given, whether the loop reaches it.
///
/// One is reached if it is the first or if less than wanted has been counted before it. Before it come at least those
/// whose latest place is ahead of its earliest, and at most all but those whose earliest place is behind its latest.
pub fn reached(candidates: &[Candidate], wanted: Wanted) -> Vec<Reached> {
    // Those that surely count, by their latest place; and all, by their earliest: running sums answer both questions.
    let sure = running(candidates.iter().filter(|c| !c.may_stay && !c.may_be_gone).map(|c| (c.latest, c.size)));
    let all = running(candidates.iter().map(|c| (c.earliest, c.size)));
    let outcome = |candidate: &Candidate| {
        let ahead = sure.partition_point(|(place, _)| *place < candidate.earliest);
        let least_before = ahead.checked_sub(1).and_then(|last| sure.get(last)).map(|(_, sum)| *sum);
        if least_before.is_some_and(|sum| sum >= i128::from(wanted.most)) {
            return Reached::Never;
        }
        let not_behind = all.partition_point(|(place, _)| *place <= candidate.latest);
        let others = not_behind.saturating_sub(1);
        let sum = not_behind.checked_sub(1).and_then(|last| all.get(last)).map_or(0, |(_, sum)| *sum);
        let most_before = sum - i128::from(candidate.size.get());
        let always = wanted.least.is_some_and(|least| others == 0 || most_before < i128::from(least));
        if always { Reached::Always } else { Reached::Sometimes }
    };
    candidates.iter().map(outcome).collect()
}

fn running(places: impl Iterator<Item = (LruKey, Bytes)>) -> Vec<(LruKey, i128)> {
    let mut sorted: Vec<_> = places.collect();
    sorted.sort_unstable();
    let mut sum = 0_i128;
    sorted
        .into_iter()
        .map(|(place, size)| {
            sum += i128::from(size.get());
            (place, sum)
        })
        .collect()
}

impl Outcome {
    /// The value of the `certainty` label; `None` for an image that stays.
    pub const fn certainty(self) -> Option<&'static str> {
        match self {
            Self::Certain(_) => Some("certain"),
            Self::Possible(_) => Some("possible"),
            Self::Safe(_) => None,
        }
    }
}

impl SafeReason {
    /// One word for tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "in_use",
            Self::Pinned => "pinned",
            Self::TooYoung => "too_young",
            Self::GcDisabled => "gc_disabled",
            Self::NotNeeded => "not_needed",
        }
    }
}

#[cfg(test)]
mod tests;
