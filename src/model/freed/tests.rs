use super::*;
use crate::model::victims::{Cause, SafeReason};
use crate::sample::{Image, StoredLayer};
use proptest::prelude::*;

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

fn verdicts(outcomes: &[(&str, Outcome)]) -> Vec<ImageOutcome> {
    outcomes.iter().map(|(id, outcome)| ImageOutcome { image: (*id).into(), size: None, outcome: *outcome }).collect()
}

const CERTAIN: Outcome = Outcome::Certain(Cause::Space);
const POSSIBLE: Outcome = Outcome::Possible(Cause::Space);
const SAFE: Outcome = Outcome::Safe(SafeReason::InUse);

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
    for (outcomes, least, most) in cases {
        let verdicts = verdicts(&[("a", outcomes[0]), ("b", outcomes[1]), ("c", outcomes[2])]);
        let expected = Freed { least: Bytes::new(least), most: Bytes::new(most) };
        assert_eq!(freed(&Parts::of(&store()), &verdicts, None), Some(expected), "{outcomes:?}");
    }
}

#[test]
fn one_victim_of_unknown_layers_makes_all_unknown() {
    let verdicts = verdicts(&[("a", CERTAIN), ("b", POSSIBLE), ("c", SAFE)]);
    let without = |index: usize| {
        let mut unknown = store();
        unknown.images[index].layers = None;
        freed(&Parts::of(&unknown), &verdicts, None)
    };
    assert_eq!(without(0), None);
    assert_eq!(without(1), None);
    assert_eq!(freed(&Parts::of(&ImageStore { complete: false, ..store() }), &verdicts, None), None);
    assert_eq!(freed(&Parts::of(&store()), &verdicts[..2], None), None);
}

#[test]
fn a_survivor_of_unknown_layers_may_keep_everything() {
    let verdicts = verdicts(&[("a", CERTAIN), ("b", CERTAIN), ("c", SAFE)]);
    let mut unknown = store();
    unknown.images[2].layers = None;
    assert_eq!(freed(&Parts::of(&unknown), &verdicts, None), Some(Freed { least: Bytes::ZERO, most: Bytes::new(111) }));
}

#[test]
fn of_equals_some_go_and_not_all() {
    // Ten images that count 10 each and free 30 each; at least 25 and at most 34 are counted: three go.
    let names: Vec<String> = (0..10).map(|number| format!("i{number}")).collect();
    let equals = ImageStore {
        images: names.iter().map(|name| Image { size: Some(Bytes::new(10)), ..image(name, &[(name, 30)]) }).collect(),
        complete: true,
        ..ImageStore::default()
    };
    let outcomes: Vec<(&str, Outcome)> = names.iter().map(|name| (name.as_str(), POSSIBLE)).collect();
    let counted = Counted { least: Bytes::new(25), most: Bytes::new(34) };
    let found = freed(&Parts::of(&equals), &verdicts(&outcomes), Some(counted));
    assert_eq!(found, Some(Freed { least: Bytes::new(75), most: Bytes::new(102) }));
    let nothing = Counted { least: Bytes::ZERO, most: Bytes::new(u64::MAX) };
    let found = freed(&Parts::of(&equals), &verdicts(&outcomes), Some(nothing));
    assert_eq!(found, Some(Freed { least: Bytes::ZERO, most: Bytes::new(300) }));
}

/// What the deletion of exactly these images frees.
fn exactly(store: &ImageStore, gone: &[bool]) -> u64 {
    let parts = |gone_too: bool| -> HashMap<&str, u64> {
        let images = store.images.iter().zip(gone).filter(|(_, gone)| **gone == gone_too);
        images
            .flat_map(|(image, _)| image.layers.as_ref().unwrap().iter())
            .map(|l| (l.id.as_str(), l.bytes.get()))
            .collect()
    };
    let kept = parts(false);
    parts(true).into_iter().filter(|(id, _)| !kept.contains_key(id)).map(|(_, bytes)| bytes).sum()
}

proptest! {
    #[test]
    fn every_choice_that_counts_as_much_frees_between_the_bounds(
        images in proptest::collection::vec((0_u64..20, proptest::collection::btree_set(0_usize..8, 0..4), 0_usize..3), 1..8),
        parts in proptest::collection::vec(0_u64..100, 8),
        choice: u8,
    ) {
        let names: Vec<String> = (0..8).map(|part| format!("part {part}")).collect();
        let store = ImageStore {
            images: images.iter().enumerate().map(|(index, (size, kept, _))| {
                let layers: Vec<(&str, u64)> = kept.iter().map(|part| (names[*part].as_str(), parts[*part])).collect();
                Image { size: Some(Bytes::new(*size)), ..image(&format!("image {index}"), &layers) }
            }).collect(),
            complete: true,
            ..ImageStore::default()
        };
        let outcome = |kind: usize| [CERTAIN, POSSIBLE, SAFE][kind];
        let verdicts: Vec<ImageOutcome> = store.images.iter().zip(&images)
            .map(|(image, (_, _, kind))| ImageOutcome { image: image.id.clone(), size: image.size, outcome: outcome(*kind) })
            .collect();
        // The certain ones go, and of the possible ones those that the bits say.
        let gone: Vec<bool> = images.iter().enumerate()
            .map(|(index, (_, _, kind))| *kind == 0 || (*kind == 1 && choice & (1 << index) != 0))
            .collect();
        let sum = images.iter().zip(&gone).filter(|(_, gone)| **gone).map(|((size, ..), _)| size).sum();
        let counted = Counted { least: Bytes::new(sum), most: Bytes::new(sum) };
        let bounds = freed(&Parts::of(&store), &verdicts, Some(counted)).unwrap();
        let free = Bytes::new(exactly(&store, &gone));
        prop_assert!(bounds.least <= free && free <= bounds.most, "{bounds:?} {free}");
        let without = freed(&Parts::of(&store), &verdicts, None).unwrap();
        prop_assert!(without.least <= bounds.least && bounds.most <= without.most);
    }
}
