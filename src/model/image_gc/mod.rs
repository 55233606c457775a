//! What does a tick of image collection delete? First what is unused for too long, then what space asks for.
//!
//! Mirrors `images/image_gc_manager.go` GarbageCollect, freeOldImages and freeSpace (1.27 to 1.37). The tick decides on
//! the numbers of the latest eviction pass, at most about 10 s old, and does not see what it has just freed by age.

use super::candidates::{Eligibility, Pass, eligibilities};
use super::in_use::{ContainersCounted, images_in_use};
use super::schedule::GcSchedule;
use super::victims::{Candidate, Cause, Counted, ImageOutcome, Outcome, Reached, SafeReason, Wanted, counted, reached};
use super::{GcPolicy, Inventory, Release, Rule, TriState, usage};
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

/// One kubelet and what it will find at a tick.
#[derive(Debug, Clone, Copy)]
pub struct Tick<'a> {
    /// Its settings.
    pub policy: &'a GcPolicy,
    /// Its release.
    pub release: Release,
    /// When it looks.
    pub schedule: GcSchedule,
    /// When the tick comes, see [`GcSchedule::next_check`].
    pub at: Timestamp,
    /// Size of the image filesystem.
    pub capacity: Bytes,
    /// What is available on it.
    pub available: Available,
    /// The images and containers.
    pub store: &'a ImageStore,
    /// What the kubelet remembers of them.
    pub inventory: &'a Inventory,
}

/// What a tick does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// What it wants for space; `None`: usage is below the high threshold at both bounds, or the loop is off.
    pub wanted: Option<Wanted>,
    /// The outcome of every image, in the store's order.
    pub verdicts: Vec<ImageOutcome>,
    /// What the loop for space counts; `None` where it does not run, or images may go by age beside it.
    pub counted: Option<Counted>,
    /// Whether as much is counted as is wanted; `None` where that depends on what is not known, or nothing is wanted.
    pub suffices: Option<bool>,
}

impl Available {
    /// One known number.
    pub const fn exactly(bytes: Bytes) -> Self {
        Self { least: bytes, most: bytes }
    }
}

/// What a tick deletes, as far as it can be known.
///
/// Containers count as they are: one that starts or goes before the tick changes the answer. Nothing is certain where
/// the lists are not whole, or where a candidate's size is unusable.
pub fn collect(tick: Tick<'_>) -> Collection {
    let Tick { policy, release, store, .. } = tick;
    let pass =
        Pass { release, at: tick.at, minimum_age: Some(policy.image_gc.minimum_age.value), inventory: tick.inventory };
    let in_use = images_in_use(store, release, ContainersCounted::All);
    let for_space = eligibilities(store, &in_use, pass);
    if !policy.image_gc.enabled {
        let verdicts = judge(store, &for_space, &disabled);
        return Collection { wanted: None, verdicts, counted: None, suffices: None };
    }
    // Age collection does not look at the minimum age.
    let for_age = eligibilities(store, &in_use, Pass { minimum_age: None, ..pass });
    let by_age: Vec<TriState> = for_age.iter().map(|eligibility| too_old(tick, eligibility)).collect();
    let wanted = wanted(tick);
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
            (Eligibility::Candidate(candidate), _) if reached == Some(Reached::Always) && !candidate.may_stay => {
                Outcome::Certain(Cause::Space)
            }
            (_, _) if reached.is_some_and(|reached| reached != Reached::Never) => Outcome::Possible(Cause::Space),
            (_, _) if by_age.is_possible() => Outcome::Possible(Cause::Age),
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
fn too_old(tick: Tick<'_>, eligibility: &Eligibility) -> TriState {
    let (Some(age), Eligibility::Candidate(candidate)) = (&tick.policy.image_gc.maximum_age, eligibility) else {
        return TriState::No;
    };
    let unused_for_longer = |last_used: Option<Timestamp>| last_used.is_none_or(|last| tick.at.since(last) > age.value);
    let running = tick.at.since(tick.schedule.first_pass().at);
    let waits = running <= age.value && tick.release.holds(Rule::MaximumAgeWaits).is_possible();
    if !unused_for_longer(candidate.earliest.last_used)
        || (waits && tick.release.holds(Rule::MaximumAgeWaits).is_certain())
    {
        TriState::No
    } else if waits || !unused_for_longer(candidate.latest.last_used) {
        TriState::Unknown
    } else {
        TriState::Yes
    }
}

/// What the tick wants for space; `None` where it does not trip.
fn wanted(tick: Tick<'_>) -> Option<Wanted> {
    let gc = &tick.policy.image_gc;
    let at = |available| {
        usage::trips(tick.capacity, available, gc.high.value)
            .then(|| usage::bytes_wanted(tick.capacity, available, gc.low.value))
    };
    Some(Wanted { least: at(tick.available.most), most: at(tick.available.least)? })
}

/// How far the loop for space gets, for each image, `None` for those that are no candidate, or gone by age; and what it counts.
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

/// The verdicts where no loop runs.
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
