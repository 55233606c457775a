//! How many bytes does a deletion really free? The layers that no surviving image uses, each counted once.
//!
//! CRI sizes decide who goes, not what is won: they are of compressed blobs and count shared layers in full. On
//! kubelets 1.20 and 1.37 with containerd the bytes freed were the blobs and unpacked files of unshared layers, within
//! 0.7 MiB.

use super::victims::{Fate, Verdict};
use crate::sample::ImageStore;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What a trigger frees, between bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freed {
    /// If only the certain victims go.
    pub least: Bytes,
    /// If the possible ones go as well.
    pub most: Bytes,
}

/// The bytes that verdicts free; `None` where the layers of some image are not known, or the list of images is not
/// whole: the unknown image may share any layer.
pub fn freed(store: &ImageStore, verdicts: &[Verdict]) -> Option<Freed> {
    if !store.complete {
        return None;
    }
    let fates: HashMap<_, _> = verdicts.iter().map(|verdict| (&verdict.image, verdict.fate)).collect();
    // For each layer its size and the fate of the image that keeps it longest.
    let mut layers: HashMap<&str, (Bytes, Keeps)> = HashMap::new();
    for image in &store.images {
        let keeps = match fates.get(&image.id)? {
            Fate::Certain(_) => Keeps::Goes,
            Fate::Possible(_) => Keeps::MayGo,
            Fate::Safe(_) => Keeps::Stays,
        };
        for layer in image.layers.as_ref()? {
            let known = layers.entry(layer.id.as_str()).or_insert((layer.bytes, keeps));
            known.1 = known.1.max(keeps);
        }
    }
    let sum = |goes: fn(Keeps) -> bool| {
        let gone = layers.values().filter(|(_, keeps)| goes(*keeps));
        gone.fold(Bytes::ZERO, |sum, (bytes, _)| sum.saturating_add(*bytes))
    };
    Some(Freed { least: sum(|keeps| keeps == Keeps::Goes), most: sum(|keeps| keeps != Keeps::Stays) })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Keeps {
    Goes,
    MayGo,
    Stays,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::victims::{Cause, SafeReason};
    use crate::sample::{Image, StoredLayer};

    fn image(id: &str, layers: &[(&str, u64)]) -> Image {
        let layer = |(id, bytes): &(&str, u64)| StoredLayer { id: (*id).into(), bytes: Bytes::new(*bytes) };
        Image {
            id: id.into(),
            tags: Vec::new(),
            digests: Vec::new(),
            size: None,
            pinned: false,
            layers: Some(layers.iter().map(layer).collect()),
        }
    }

    fn verdicts(fates: &[(&str, Fate)]) -> Vec<Verdict> {
        fates.iter().map(|(id, fate)| Verdict { image: (*id).into(), size: None, fate: *fate }).collect()
    }

    const CERTAIN: Fate = Fate::Certain(Cause::Space);
    const POSSIBLE: Fate = Fate::Possible(Cause::Space);
    const SAFE: Fate = Fate::Safe(SafeReason::InUse);

    fn store() -> ImageStore {
        ImageStore {
            images: vec![
                image("a", &[("base", 100), ("a", 1)]),
                image("b", &[("base", 100), ("b", 10)]),
                image("c", &[("c", 1_000), ("c", 1_000)]),
            ],
            complete: true,
            ..ImageStore::default()
        }
    }

    #[test]
    fn a_layer_goes_with_the_last_image_that_uses_it() {
        let cases = [
            ([CERTAIN, SAFE, SAFE], 1, 1),
            ([CERTAIN, POSSIBLE, SAFE], 1, 111),
            ([CERTAIN, CERTAIN, SAFE], 111, 111),
            ([SAFE, SAFE, CERTAIN], 1_000, 1_000),
            ([POSSIBLE, POSSIBLE, POSSIBLE], 0, 1_111),
            ([SAFE, SAFE, SAFE], 0, 0),
        ];
        for (fates, least, most) in cases {
            let verdicts = verdicts(&[("a", fates[0]), ("b", fates[1]), ("c", fates[2])]);
            let expected = Freed { least: Bytes::new(least), most: Bytes::new(most) };
            assert_eq!(freed(&store(), &verdicts), Some(expected), "{fates:?}");
        }
    }

    #[test]
    fn one_image_of_unknown_layers_makes_all_unknown() {
        let verdicts = verdicts(&[("a", CERTAIN), ("b", SAFE), ("c", SAFE)]);
        let mut unknown = store();
        unknown.images[1].layers = None;
        assert_eq!(freed(&unknown, &verdicts), None);
        assert_eq!(freed(&ImageStore { complete: false, ..store() }, &verdicts), None);
        assert_eq!(freed(&store(), &verdicts[..2]), None);
    }
}
