//! What does an image GC run delete? First what is unused for longer than the maximum age, then what must go to free disk space.
//!
//! Mirrors `images/image_gc_manager.go` GarbageCollect, freeOldImages and freeSpace (1.27 to 1.37). The run decides on the figures
//! of the latest eviction sync, at most about 10 s old, and does not see what it has just freed by age.

use super::candidates::{Deletion, Eligibility, eligibilities};
use super::in_use::{ContainersCounted, images_in_use};
use super::schedule::{Expected, GcSchedule};
use super::victims::{Candidate, Cause, Counted, ImageOutcome, Outcome, Reached, SafeReason, Wanted, counted, reached};
use super::{GcPolicy, Inventory, Rule, TriState, usage};
use crate::sample::ImageStore;
use crate::time::Timestamp;
use crate::units::Bytes;

/// What is available on the image filesystem when the kubelet decides, between bounds; both the same for one known
/// number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Available {
    /// At least.
    pub least: Bytes,
    /// At most.
    pub most: Bytes,
}

/// One kubelet and what it will find in an image GC run.
#[derive(Debug, Clone, Copy)]
pub struct GcRun<'a> {
    /// Its settings.
    pub policy: &'a GcPolicy,
    /// Its start and its runs.
    pub schedule: GcSchedule,
    /// When the run comes, see [`GcSchedule::next_gc_run`].
    pub at: Expected,
    /// Size of the image filesystem.
    pub capacity: Bytes,
    /// What is available on it.
    pub available: Available,
    /// Whether that is so at present. Otherwise it is assumed, and only the maximum age is known to delete.
    pub crossed: bool,
    /// The images and containers.
    pub store: &'a ImageStore,
    /// What the kubelet remembers of them.
    pub inventory: &'a Inventory,
}

/// What an image GC run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// The bytes that it must free; `None`: usage is below the high threshold at both bounds, or image GC is disabled.
    pub wanted: Option<Wanted>,
    /// The outcome of every image, in the store's order.
    pub verdicts: Vec<ImageOutcome>,
    /// What is counted towards that; `None` where nothing is, or images may be deleted by age besides.
    pub counted: Option<Counted>,
    /// Whether as much is counted as must be freed; `None` where that depends on what is not known, or nothing must.
    pub suffices: Option<bool>,
}

impl Available {
    /// One known number.
    pub const fn exactly(bytes: Bytes) -> Self {
        Self { least: bytes, most: bytes }
    }
}

/// What an image GC run deletes, as far as it can be known.
///
/// Containers count as they are: one that starts or is removed before the run changes the answer. Nothing is certain where the
/// lists are not whole, or where a candidate's size is unusable.
pub fn collect(run: GcRun<'_>) -> Collection {
    let GcRun { policy, store, at, inventory, .. } = run;
    let start = run.schedule.start();
    let deletion = Deletion { start, at, minimum_age: Some(policy.image_gc.minimum_age.value), inventory };
    let in_use = images_in_use(store, start.release(), ContainersCounted::All, inventory.sandbox_image());
    let for_space = eligibilities(store, &in_use, deletion);
    if !policy.image_gc.enabled {
        let verdicts = judge(store, &for_space, &disabled);
        return Collection { wanted: None, verdicts, counted: None, suffices: None };
    }
    // By the maximum age images are deleted whatever the minimum age says.
    let for_age = eligibilities(store, &in_use, Deletion { minimum_age: None, ..deletion });
    let by_age: Vec<TriState> = for_age.iter().map(|eligibility| too_old(run, eligibility)).collect();
    let wanted = wanted(run);
    let (by_space, counted) = by_space(store, &for_space, &by_age, wanted);
    let doubt = !is_sure(store, &for_age);
    let outcomes = for_space.iter().zip(&for_age).zip(by_age.iter().zip(by_space));
    let outcomes = outcomes.map(|((for_space, for_age), (by_age, reached))| {
        let outcome = match (for_space, for_age) {
            // In use or pinned.
            (Eligibility::Safe(reason), Eligibility::Safe(_)) => return Outcome::Safe(*reason),
            (_, Eligibility::Candidate(candidate)) if by_age.is_certain() && !candidate.may_stay => {
                Outcome::Certain(Cause::Age)
            }
            // While the high threshold is not crossed, it takes the maximum age to delete it.
            (_, _) if by_age.is_possible() && !run.crossed => Outcome::Possible(Cause::Age),
            (Eligibility::Candidate(candidate), _) if reached == Some(Reached::Always) && !candidate.may_stay => {
                Outcome::Certain(Cause::Space)
            }
            (_, _) if by_age.is_possible() => Outcome::Possible(Cause::Age),
            (_, _) if reached.is_some_and(|reached| reached != Reached::Never) => Outcome::Possible(Cause::Space),
            (Eligibility::Safe(reason), _) => Outcome::Safe(*reason),
            (Eligibility::Candidate(_), _) => Outcome::Safe(SafeReason::NotNeeded),
        };
        match outcome {
            Outcome::Certain(cause) if doubt => Outcome::Possible(cause),
            // What is not listed may be in use by it, or it may free too little.
            Outcome::Safe(SafeReason::NotNeeded) if doubt && wanted.is_some() => Outcome::Possible(Cause::Space),
            outcome => outcome,
        }
    });
    let verdicts: Vec<ImageOutcome> = verdicts(store, outcomes);
    let suffices = wanted.and_then(|wanted| suffices(&verdicts, wanted));
    let counted = counted.filter(|_| !doubt && by_age.iter().all(|held| !held.is_possible()));
    Collection { wanted, verdicts, counted, suffices }
}

/// Whether the answer can be certain at all.
fn is_sure(store: &ImageStore, eligibilities: &[Eligibility]) -> bool {
    let unusable = store.images.iter().zip(eligibilities).any(|(image, eligibility)| {
        image.size.is_none_or(|size| size.as_i64() == i64::MAX) && matches!(eligibility, Eligibility::Candidate(_))
    });
    store.complete && !unusable
}

/// Whether an image has been unused for longer than the maximum age, as far as the kubelet noticed.
fn too_old(run: GcRun<'_>, eligibility: &Eligibility) -> TriState {
    let (Some(age), Eligibility::Candidate(candidate)) = (&run.policy.image_gc.maximum_age, eligibility) else {
        return TriState::No;
    };
    let start = run.schedule.start();
    let judged = run.at.widened(start.record_tolerance());
    let unused_for_longer =
        |at: Timestamp, last_used: Option<Timestamp>| last_used.is_none_or(|last| at.since(last) > age.value);
    // The first run and this one are counted from the same instant, whichever it is.
    let first = run.schedule.first_gc_run();
    let waits = if run.at.earliest.since(first.earliest) > age.value {
        TriState::No
    } else if run.at.latest.since(first.latest) > age.value {
        start.release().holds(Rule::MaximumAgeWaits).and(TriState::Unknown)
    } else {
        start.release().holds(Rule::MaximumAgeWaits)
    };
    if !unused_for_longer(judged.latest, candidate.earliest.last_used) || waits.is_certain() {
        TriState::No
    } else if waits.is_possible() || !unused_for_longer(judged.earliest, candidate.latest.last_used) {
        TriState::Unknown
    } else {
        TriState::Yes
    }
}

/// The bytes that the run must free; `None` where usage is below the high threshold.
fn wanted(run: GcRun<'_>) -> Option<Wanted> {
    let gc = &run.policy.image_gc;
    let at = |available| {
        usage::trips(run.capacity, available, gc.high.value)
            .then(|| usage::bytes_wanted(run.capacity, available, gc.low.value))
    };
    Some(Wanted { least: at(run.available.most), most: at(run.available.least)? })
}

/// How far the deletion loop gets, for each image, `None` for those that are no candidate, or deleted by age; and what it counts.
fn by_space(
    store: &ImageStore,
    eligibilities: &[Eligibility],
    by_age: &[TriState],
    wanted: Option<Wanted>,
) -> (Vec<Option<Reached>>, Option<Counted>) {
    let mut found = vec![None; store.images.len()];
    let Some(wanted) = wanted else { return (found, None) };
    let candidates =
        eligibilities.iter().zip(by_age).enumerate().filter_map(|(index, (eligibility, by_age))| match eligibility {
            Eligibility::Candidate(candidate) if !by_age.is_certain() || candidate.may_stay => {
                Some((index, Candidate { may_be_gone: by_age.is_possible(), ..*candidate }))
            }
            _ => None,
        });
    let (indices, candidates): (Vec<usize>, Vec<Candidate>) = candidates.unzip();
    for (index, reached) in indices.into_iter().zip(reached(&candidates, wanted)) {
        if let Some(place) = found.get_mut(index) {
            *place = Some(reached);
        }
    }
    (found, Some(counted(&candidates, wanted)))
}

fn suffices(verdicts: &[ImageOutcome], wanted: Wanted) -> Option<bool> {
    let sum = |goes: fn(Outcome) -> bool| -> i128 {
        let sizes =
            verdicts.iter().filter(|verdict| goes(verdict.outcome)).map(|verdict| verdict.size.map_or(0, Bytes::get));
        sizes.map(i128::from).sum()
    };
    let certain = sum(|outcome| matches!(outcome, Outcome::Certain(Cause::Space)));
    let possible = sum(|outcome| matches!(outcome, Outcome::Certain(Cause::Space) | Outcome::Possible(_)));
    if wanted.least.is_some() && certain >= i128::from(wanted.most) {
        Some(true)
    } else if possible < i128::from(wanted.least.unwrap_or(wanted.most)) {
        Some(false)
    } else {
        None
    }
}

/// The outcomes where image GC is disabled.
fn disabled(eligibility: &Eligibility) -> Outcome {
    match eligibility {
        Eligibility::Safe(reason @ (SafeReason::InUse | SafeReason::Pinned)) => Outcome::Safe(*reason),
        _ => Outcome::Safe(SafeReason::GcDisabled),
    }
}

fn judge(
    store: &ImageStore,
    eligibilities: &[Eligibility],
    outcome: &dyn Fn(&Eligibility) -> Outcome,
) -> Vec<ImageOutcome> {
    verdicts(store, eligibilities.iter().map(outcome))
}

/// One verdict for each image, in the store's order.
pub(super) fn verdicts(store: &ImageStore, outcomes: impl Iterator<Item = Outcome>) -> Vec<ImageOutcome> {
    let verdict = |(image, outcome): (&crate::sample::Image, Outcome)| ImageOutcome {
        image: image.id.clone(),
        size: image.size,
        outcome,
    };
    store.images.iter().zip(outcomes).map(verdict).collect()
}

#[cfg(test)]
mod tests;
