//! How many bytes does a deletion really free? The layers that no surviving image uses, each counted once.
//!
//! CRI sizes decide who goes, not what is won: they are of compressed blobs and count shared layers in full. On
//! kubelets 1.20 and 1.37 with containerd the bytes freed were the blobs and unpacked files of unshared layers, within
//! 0.7 MiB.

use super::victims::{Cause, Counted, ImageOutcome, Outcome};
use crate::sample::ImageStore;
use crate::units::Bytes;
use std::cmp::Ordering;
use std::collections::HashMap;

/// What a trigger frees, between bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freed {
    /// At least.
    pub least: Bytes,
    /// At most.
    pub most: Bytes,
}

/// Which part of the disk each image of a store keeps, by number, so that several questions need not compare names again.
#[derive(Debug, Clone)]
pub struct Parts {
    complete: bool,
    /// Bytes of each part.
    bytes: Vec<Bytes>,
    /// For each image its size as the runtime lists it, and its parts, each once; `None` where they are not known.
    images: Vec<(u128, Option<Vec<usize>>)>,
}

impl Parts {
    /// Those of a store.
    pub fn of(store: &ImageStore) -> Self {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut bytes = Vec::new();
        let mut number = |layer: &'_ crate::sample::StoredLayer, id| {
            *numbers.entry(id).or_insert_with(|| {
                bytes.push(layer.bytes);
                bytes.len() - 1
            })
        };
        let images = store.images.iter().map(|image| {
            let parts = image.layers.as_ref().map(|layers| {
                let mut parts: Vec<usize> = layers.iter().map(|layer| number(layer, layer.id.as_str())).collect();
                parts.sort_unstable();
                parts.dedup();
                parts
            });
            (u128::from(image.size.map_or(0, Bytes::get)), parts)
        });
        let images = images.collect();
        Self { complete: store.complete, bytes, images }
    }
}

/// The bytes that verdicts free, one for each image in the store's order; `None` where that is not known of an image that goes or
/// may go, or where the list of images is not whole: the unknown image may share any layer. One that stays and is not known may
/// keep all of them.
///
/// `counted`: what the loop counts in CRI sizes before it ends. Of a class of equals each may go, but not all do.
pub fn freed(parts: &Parts, verdicts: &[ImageOutcome], counted: Option<Counted>) -> Option<Freed> {
    if !parts.complete || parts.images.len() != verdicts.len() {
        return None;
    }
    let mut kept = vec![Kept { by: None, users: 0 }; parts.bytes.len()];
    let mut survivor_unknown = false;
    for ((_, image), verdict) in parts.images.iter().zip(verdicts) {
        let keeps = Keeps::of(verdict.outcome);
        let Some(image) = image else {
            if keeps != Keeps::Stays {
                return None;
            }
            survivor_unknown = true;
            continue;
        };
        for part in image {
            if let Some(part) = kept.get_mut(*part) {
                part.by = part.by.max(Some(keeps));
                part.users += usize::from(keeps == Keeps::MayGo);
            }
        }
    }
    let sum = |goes: fn(Keeps) -> bool| {
        let gone = parts.bytes.iter().zip(&kept).filter(|(_, kept)| kept.by.is_some_and(goes));
        gone.fold(Bytes::ZERO, |sum, (bytes, _)| sum.saturating_add(*bytes))
    };
    let (certain, all) = (sum(|keeps| keeps == Keeps::Goes), sum(|keeps| keeps != Keeps::Stays));
    let bounds = counted.map(|counted| some_of(parts, verdicts, &kept, counted));
    let (more, most) = bounds.unwrap_or((Bytes::ZERO, Bytes::new(u64::MAX)));
    let least = if survivor_unknown { Bytes::ZERO } else { certain.saturating_add(more) };
    Some(Freed { least, most: certain.saturating_add(most).min(all) })
}

/// What the possible victims of a loop free beside the certain ones, at least and at most, given what it counts.
///
/// At least: the images that free least for what they count go, and each frees only what it has alone. At most: those go that
/// free most, and each frees all that no survivor keeps. Both allow a part of an image, which makes them bounds for every
/// choice of whole ones (the fractional knapsack).
fn some_of(parts: &Parts, verdicts: &[ImageOutcome], kept: &[Kept], counted: Counted) -> (Bytes, Bytes) {
    let mut wanted = (u128::from(counted.least.get()), u128::from(counted.most.get()));
    let mut alone = Vec::new();
    let mut shared = Vec::new();
    for ((size, image), verdict) in parts.images.iter().zip(verdicts) {
        match verdict.outcome {
            Outcome::Certain(Cause::Space) => {
                wanted = (wanted.0.saturating_sub(*size), wanted.1.saturating_sub(*size));
            }
            Outcome::Possible(_) => {
                let (mut own, mut all) = (0_u128, 0_u128);
                for part in image.iter().flatten() {
                    let (Some(bytes), Some(kept)) = (parts.bytes.get(*part), kept.get(*part)) else { continue };
                    if kept.by == Some(Keeps::MayGo) {
                        all = all.saturating_add(u128::from(bytes.get()));
                        own = own.saturating_add(if kept.users == 1 { u128::from(bytes.get()) } else { 0 });
                    }
                }
                alone.push((*size, own));
                shared.push((*size, all));
            }
            Outcome::Certain(Cause::Age) | Outcome::Safe(_) => {}
        }
    }
    // Bytes freed for each byte counted; what counts nothing is last where little is wanted, and first where much is.
    let by_yield = |one: &(u128, u128), other: &(u128, u128)| -> Ordering {
        one.1.saturating_mul(other.0).cmp(&other.1.saturating_mul(one.0)).then(other.0.cmp(&one.0))
    };
    alone.retain(|(size, _)| *size > 0);
    alone.sort_unstable_by(by_yield);
    shared.sort_unstable_by(|one, other| (other.0 == 0).cmp(&(one.0 == 0)).then_with(|| by_yield(other, one)));
    (take(&alone, wanted.0, false), take(&shared, wanted.1, true))
}

/// What is freed by taking images in order until `wanted` is counted, the last one in part. `up`: how a part is rounded.
fn take(images: &[(u128, u128)], wanted: u128, up: bool) -> Bytes {
    let mut left = wanted;
    let mut sum = 0_u128;
    for (size, frees) in images {
        if *size <= left {
            left -= size;
            sum = sum.saturating_add(*frees);
            continue;
        }
        let part = frees.saturating_mul(left);
        sum = sum.saturating_add(if up { part.div_ceil(*size) } else { part / size });
        break;
    }
    Bytes::new(u64::try_from(sum).unwrap_or(u64::MAX))
}

/// Who keeps one part of the disk.
#[derive(Debug, Clone, Copy)]
struct Kept {
    /// The outcome of the image that keeps it longest.
    by: Option<Keeps>,
    /// How many images that may go have it.
    users: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Keeps {
    Goes,
    MayGo,
    Stays,
}

impl Keeps {
    const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Certain(_) => Self::Goes,
            Outcome::Possible(_) => Self::MayGo,
            Outcome::Safe(_) => Self::Stays,
        }
    }
}

#[cfg(test)]
mod tests;
