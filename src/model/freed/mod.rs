//! How many bytes does a deletion really free? The layers that no surviving image uses, each counted once.
//!
//! CRI sizes decide who goes, not what is won: they are of compressed blobs and count shared layers in full. On
//! kubelets 1.20 and 1.37 with containerd the bytes freed were the blobs and unpacked files of unshared layers, within
//! 0.7 MiB.

use super::victims::{Cause, Counted, Fate, Verdict};
use crate::sample::{Image, ImageId, ImageStore};
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::HashMap;

/// What a trigger frees, between bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freed {
    /// At least.
    pub least: Bytes,
    /// At most.
    pub most: Bytes,
}

/// The bytes that verdicts free; `None` where that is not known of an image that goes or may go, or where the list of
/// images is not whole: the unknown image may share any layer. One that stays and is not known may keep all of them.
///
/// `counted`: what the loop counts in CRI sizes before it ends. Of a class of equals each may go, but not all do.
pub fn freed(store: &ImageStore, verdicts: &[Verdict], counted: Option<Counted>) -> Option<Freed> {
    if !store.complete {
        return None;
    }
    let fates: HashMap<&ImageId, Fate> = verdicts.iter().map(|verdict| (&verdict.image, verdict.fate)).collect();
    let mut layers: HashMap<&str, Layer> = HashMap::new();
    let mut survivor_unknown = false;
    for (index, image) in store.images.iter().enumerate() {
        let keeps = Keeps::of(*fates.get(&image.id)?);
        let Some(kept) = &image.layers else {
            if keeps != Keeps::Stays {
                return None;
            }
            survivor_unknown = true;
            continue;
        };
        for layer in kept.iter() {
            let known = layers.entry(layer.id.as_str()).or_insert(Layer {
                bytes: layer.bytes,
                keeps,
                last: index,
                alone: true,
            });
            if keeps == Keeps::MayGo && known.keeps == Keeps::MayGo && known.last != index {
                known.alone = false;
            }
            if keeps >= known.keeps {
                known.last = index;
            }
            known.keeps = known.keeps.max(keeps);
        }
    }
    let sum = |goes: fn(Keeps) -> bool| {
        let gone = layers.values().filter(|layer| goes(layer.keeps));
        gone.fold(Bytes::ZERO, |sum, layer| sum.saturating_add(layer.bytes))
    };
    let (certain, all) = (sum(|keeps| keeps == Keeps::Goes), sum(|keeps| keeps != Keeps::Stays));
    let bounds = counted.map(|counted| some_of(store, &fates, &layers, counted));
    let (more, most) = bounds.unwrap_or((Bytes::ZERO, Bytes::new(u64::MAX)));
    let least = if survivor_unknown { Bytes::ZERO } else { certain.saturating_add(more) };
    Some(Freed { least, most: certain.saturating_add(most).min(all) })
}

/// What the possible victims of a loop free beside the certain ones, at least and at most, given what it counts.
///
/// At least: the images that free least for what they count go, and each frees only what it has alone. At most: those go that
/// free most, and each frees all that no survivor keeps. Both allow a part of an image, which makes them bounds for every
/// choice of whole ones (the fractional knapsack).
fn some_of(
    store: &ImageStore,
    fates: &HashMap<&ImageId, Fate>,
    layers: &HashMap<&str, Layer>,
    counted: Counted,
) -> (Bytes, Bytes) {
    let size = |image: &Image| u128::from(image.size.map_or(0, Bytes::get));
    let mut wanted = (u128::from(counted.least.get()), u128::from(counted.most.get()));
    let mut alone = Vec::new();
    let mut shared = Vec::new();
    for (index, image) in store.images.iter().enumerate() {
        match fates.get(&image.id) {
            Some(Fate::Certain(Cause::Space)) => {
                wanted = (wanted.0.saturating_sub(size(image)), wanted.1.saturating_sub(size(image)));
            }
            Some(Fate::Possible(_)) => {
                let kept = || {
                    image.layers.iter().flat_map(|kept| kept.iter()).filter_map(|layer| layers.get(layer.id.as_str()))
                };
                let of = |counts: &dyn Fn(&Layer) -> bool| -> u128 {
                    kept().filter(|layer| counts(layer)).map(|layer| u128::from(layer.bytes.get())).sum()
                };
                let may_go = |layer: &Layer| layer.keeps == Keeps::MayGo;
                alone.push((size(image), of(&|layer| may_go(layer) && layer.alone && layer.last == index)));
                shared.push((size(image), of(&may_go)));
            }
            _ => {}
        }
    }
    // Bytes freed for each byte counted; what counts nothing is last where little is wanted, and first where much is.
    let by_yield = |one: &(u128, u128), other: &(u128, u128)| -> Ordering {
        one.1.saturating_mul(other.0).cmp(&other.1.saturating_mul(one.0)).then(other.0.cmp(&one.0))
    };
    alone.retain(|(size, _)| *size > 0);
    alone.sort_by(by_yield);
    shared.sort_by(|one, other| (other.0 == 0).cmp(&(one.0 == 0)).then_with(|| by_yield(other, one)));
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

/// One part of the disk and who keeps it.
struct Layer {
    bytes: Bytes,
    /// The fate of the image that keeps it longest.
    keeps: Keeps,
    /// An image of that fate, and whether it is the only one.
    last: usize,
    alone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Keeps {
    Goes,
    MayGo,
    Stays,
}

impl Keeps {
    const fn of(fate: Fate) -> Self {
        match fate {
            Fate::Certain(_) => Self::Goes,
            Fate::Possible(_) => Self::MayGo,
            Fate::Safe(_) => Self::Stays,
        }
    }
}

#[cfg(test)]
mod tests;
