//! What does a tick of image collection delete? First what is unused for too long, then what space asks for.
//!
//! Mirrors `images/image_gc_manager.go` GarbageCollect, freeOldImages and freeSpace (1.27 to 1.37). The tick decides on
//! the numbers of the latest eviction pass, at most about 10 s old, and does not see what it has just freed by age.

use super::candidates::{ContainersCounted, Pass, Standing, standings, uses};
use super::schedule::Grid;
use super::victims::{Cause, Contender, Counted, Fate, Reached, SafeReason, Verdict, Wanted, counted, reached};
use super::{GcPolicy, Held, Inventory, Release, Rule, usage};
use crate::sample::ImageStore;
use crate::time::Timestamp;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};

/// What is available on the image filesystem when the kubelet decides, between bounds; both the same for one known
/// number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    pub grid: Grid,
    /// When the tick comes, see [`Grid::next_check`].
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// What it wants for space; `None`: usage is below the high threshold at both bounds, or the loop is off.
    pub wanted: Option<Wanted>,
    /// The fate of every image, in the store's order.
    pub verdicts: Vec<Verdict>,
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
/// the lists are not whole, or where a contender's size is unusable.
pub fn collect(tick: Tick<'_>) -> Collection {
    let Tick { policy, release, store, .. } = tick;
    let pass =
        Pass { release, at: tick.at, minimum_age: Some(policy.image_gc.minimum_age.value), inventory: tick.inventory };
    let uses = uses(store, release, ContainersCounted::All);
    let for_space = standings(store, &uses, pass);
    if !policy.image_gc.enabled {
        let verdicts = judge(store, &for_space, &disabled);
        return Collection { wanted: None, verdicts, counted: None, suffices: None };
    }
    // Age collection does not look at the minimum age.
    let for_age = standings(store, &uses, Pass { minimum_age: None, ..pass });
    let by_age: Vec<Held> = for_age.iter().map(|standing| too_old(tick, standing)).collect();
    let wanted = wanted(tick);
    let (by_space, counted) = by_space(store, &for_space, &by_age, wanted);
    let doubt = !is_sure(store, &for_age);
    let fates = for_space.iter().zip(&for_age).zip(by_age.iter().zip(by_space));
    let fates = fates.map(|((for_space, for_age), (by_age, reached))| {
        let fate = match (for_space, for_age) {
            // In use or pinned.
            (Standing::Safe(reason), Standing::Safe(_)) => return Fate::Safe(*reason),
            (_, Standing::Contender(contender)) if by_age.surely() && !contender.may_stay => Fate::Certain(Cause::Age),
            (Standing::Contender(contender), _) if reached == Some(Reached::Always) && !contender.may_stay => {
                Fate::Certain(Cause::Space)
            }
            (_, _) if reached.is_some_and(|reached| reached != Reached::Never) => Fate::Possible(Cause::Space),
            (_, _) if by_age.perhaps() => Fate::Possible(Cause::Age),
            (Standing::Safe(reason), _) => Fate::Safe(*reason),
            (Standing::Contender(_), _) => Fate::Safe(SafeReason::NotNeeded),
        };
        match fate {
            Fate::Certain(cause) if doubt => Fate::Possible(cause),
            // What is not listed may be in use by it, or it may free too little.
            Fate::Safe(SafeReason::NotNeeded) if doubt && wanted.is_some() => Fate::Possible(Cause::Space),
            fate => fate,
        }
    });
    let verdicts: Vec<Verdict> = verdicts(store, fates);
    let suffices = wanted.and_then(|wanted| suffices(&verdicts, wanted));
    let counted = counted.filter(|_| !doubt && by_age.iter().all(|held| !held.perhaps()));
    Collection { wanted, verdicts, counted, suffices }
}

/// Whether the answer can be certain at all.
fn is_sure(store: &ImageStore, standings: &[Standing]) -> bool {
    let unusable = store.images.iter().zip(standings).any(|(image, standing)| {
        image.size.is_none_or(|size| size.as_i64() == i64::MAX) && matches!(standing, Standing::Contender(_))
    });
    store.complete && !unusable
}

/// Whether an image has been unused for longer than the maximum age, as far as the kubelet noticed.
fn too_old(tick: Tick<'_>, standing: &Standing) -> Held {
    let (Some(age), Standing::Contender(contender)) = (&tick.policy.image_gc.maximum_age, standing) else {
        return Held::No;
    };
    let unused_for_longer = |last_used: Option<Timestamp>| last_used.is_none_or(|last| tick.at.since(last) > age.value);
    let running = tick.at.since(tick.grid.first_pass().at);
    let waits = running <= age.value && tick.release.holds(Rule::MaximumAgeWaits).perhaps();
    if !unused_for_longer(contender.earliest.last_used) || (waits && tick.release.holds(Rule::MaximumAgeWaits).surely())
    {
        Held::No
    } else if waits || !unused_for_longer(contender.latest.last_used) {
        Held::Unknown
    } else {
        Held::Yes
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

/// How far the loop for space gets, for each image, `None` for those that are no contender, or gone by age; and what it counts.
fn by_space(
    store: &ImageStore,
    standings: &[Standing],
    by_age: &[Held],
    wanted: Option<Wanted>,
) -> (Vec<Option<Reached>>, Option<Counted>) {
    let mut found = vec![None; store.images.len()];
    let Some(wanted) = wanted else { return (found, None) };
    let contenders =
        standings.iter().zip(by_age).enumerate().filter_map(|(index, (standing, by_age))| match standing {
            Standing::Contender(contender) if !by_age.surely() || contender.may_stay => {
                Some((index, Contender { may_be_gone: by_age.perhaps(), ..*contender }))
            }
            _ => None,
        });
    let (indices, contenders): (Vec<usize>, Vec<Contender>) = contenders.unzip();
    for (index, reached) in indices.into_iter().zip(reached(&contenders, wanted)) {
        if let Some(place) = found.get_mut(index) {
            *place = Some(reached);
        }
    }
    (found, Some(counted(&contenders, wanted)))
}

fn suffices(verdicts: &[Verdict], wanted: Wanted) -> Option<bool> {
    let sum = |goes: fn(Fate) -> bool| -> i128 {
        let sizes =
            verdicts.iter().filter(|verdict| goes(verdict.fate)).map(|verdict| verdict.size.map_or(0, Bytes::get));
        sizes.map(i128::from).sum()
    };
    let certain = sum(|fate| matches!(fate, Fate::Certain(Cause::Space)));
    let possible = sum(|fate| matches!(fate, Fate::Certain(Cause::Space) | Fate::Possible(_)));
    if wanted.least.is_some() && certain >= i128::from(wanted.most) {
        Some(true)
    } else if possible < i128::from(wanted.least.unwrap_or(wanted.most)) {
        Some(false)
    } else {
        None
    }
}

/// The verdicts where no loop runs.
fn disabled(standing: &Standing) -> Fate {
    match standing {
        Standing::Safe(reason @ (SafeReason::InUse | SafeReason::Pinned)) => Fate::Safe(*reason),
        _ => Fate::Safe(SafeReason::GcDisabled),
    }
}

fn judge(store: &ImageStore, standings: &[Standing], fate: &dyn Fn(&Standing) -> Fate) -> Vec<Verdict> {
    verdicts(store, standings.iter().map(fate))
}

/// One verdict for each image, in the store's order.
pub(super) fn verdicts(store: &ImageStore, fates: impl Iterator<Item = Fate>) -> Vec<Verdict> {
    let verdict =
        |(image, fate): (&crate::sample::Image, Fate)| Verdict { image: image.id.clone(), size: image.size, fate };
    store.images.iter().zip(fates).map(verdict).collect()
}

#[cfg(test)]
mod tests;
