//! The selection is compared with the loop itself, run under every order that may be the true one.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn place(last_used: i64, first_detected: i64) -> LruKey {
    LruKey {
        last_used: (last_used > 0).then(|| Timestamp::from_micros(last_used)),
        first_detected: Timestamp::from_micros(first_detected),
    }
}

fn candidate(size: u64, at: LruKey) -> Candidate {
    Candidate { size: Bytes::new(size), earliest: at, latest: at, may_stay: false, may_be_gone: false }
}

fn exactly(bytes: i64) -> Wanted {
    Wanted { least: Some(bytes), most: bytes }
}

use Reached::{Always, Never, Sometimes};

/// TestFreeSpaceRemoveByLeastRecentlyUsed, TestGarbageCollectNotEnoughFreed and their like of the kubelet.
#[test]
fn the_least_recently_used_go_until_enough_is_counted() {
    let images = [candidate(10, place(3, 1)), candidate(10, place(1, 1)), candidate(10, place(2, 1))];
    assert_eq!(reached(&images, exactly(10)), [Never, Always, Never]);
    assert_eq!(reached(&images, exactly(11)), [Never, Always, Always]);
    assert_eq!(reached(&images, exactly(20)), [Never, Always, Always]);
    assert_eq!(reached(&images, exactly(1000)), [Always, Always, Always]);
}

/// TestFreeSpaceTiesBrokenByDetectedTime of the kubelet.
#[test]
fn equal_last_use_is_decided_by_first_sight() {
    let images = [candidate(10, place(5, 2)), candidate(10, place(5, 1))];
    assert_eq!(reached(&images, exactly(10)), [Never, Always]);
}

#[test]
fn never_used_images_go_before_used_ones_however_young() {
    let images = [candidate(10, place(1, 1)), candidate(10, place(0, 99))];
    assert_eq!(reached(&images, exactly(10)), [Never, Always]);
}

#[test]
fn of_images_that_tie_none_is_certain_until_all_are_needed() {
    let images = [candidate(10, place(0, 1)), candidate(10, place(0, 1)), candidate(10, place(0, 1))];
    assert_eq!(reached(&images, exactly(20)), [Sometimes; 3]);
    assert_eq!(reached(&images, exactly(21)), [Always; 3]);
    // A large one ends the loop for a small one, never the other way round.
    let images = [candidate(100, place(0, 1)), candidate(10, place(0, 1))];
    assert_eq!(reached(&images, exactly(50)), [Always, Sometimes]);
}

#[test]
fn an_unknown_last_use_leaves_open_who_goes_first() {
    let unknown = Candidate { latest: place(9, 1), ..candidate(10, place(0, 1)) };
    let images = [unknown, candidate(10, place(5, 1))];
    assert_eq!(reached(&images, exactly(10)), [Sometimes, Sometimes]);
    assert_eq!(reached(&images, exactly(11)), [Always, Always]);
}

#[test]
fn one_that_may_stay_takes_no_place_for_certain() {
    let doubtful = Candidate { may_stay: true, ..candidate(10, place(0, 1)) };
    let images = [doubtful, candidate(10, place(5, 1))];
    assert_eq!(reached(&images, exactly(10)), [Always, Sometimes]);
}

#[test]
fn a_loop_that_wants_nothing_deletes_one_image() {
    let images = [candidate(10, place(2, 1)), candidate(10, place(1, 1))];
    assert_eq!(reached(&images, exactly(0)), [Never, Always]);
    assert_eq!(reached(&images, exactly(-5)), [Never, Always]);
    let images = [candidate(10, place(1, 1)), candidate(10, place(1, 1))];
    assert_eq!(reached(&images, exactly(0)), [Sometimes, Sometimes]);
}

#[test]
fn a_loop_that_may_not_run_makes_nothing_certain() {
    let images = [candidate(10, place(1, 1))];
    assert_eq!(reached(&images, Wanted { least: None, most: 100 }), [Sometimes]);
}

#[test]
fn sizes_that_lie_do_not_overflow() {
    let images = vec![candidate(u64::MAX, place(0, 1)); 100];
    assert_eq!(reached(&images, exactly(i64::MAX)), vec![Sometimes; 100]);
}

/// The loop of the kubelet over an order of candidates of which some may have to stay or are gone.
fn deleted(order: &[usize], images: &[Candidate], absent: u32, wanted: i64) -> BTreeSet<usize> {
    let mut freed = 0;
    let mut gone = BTreeSet::new();
    for index in order.iter().copied().filter(|index| absent & (1 << index) == 0) {
        gone.insert(index);
        freed += images[index].size.as_i64();
        if freed >= wanted {
            break;
        }
    }
    gone
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let insert = |order: Vec<usize>| {
        (0..count).map(move |at| {
            let mut longer = order.clone();
            longer.insert(at, count - 1);
            longer
        })
    };
    permutations(count - 1).into_iter().flat_map(insert).collect()
}

/// Whether some choice of places within the bounds sorts the candidates like this.
fn may_be_sorted(order: &[usize], images: &[Candidate]) -> bool {
    // Give each the smallest place that is not ahead of the one before; it must still be within bounds.
    let mut reached = None;
    order.iter().all(|index| {
        let image = &images[*index];
        reached = reached.max(Some(image.earliest));
        reached <= Some(image.latest)
    })
}

/// For each candidate: deleted always (or absent), deleted at least once.
fn by_brute_force(images: &[Candidate], wanted: Wanted) -> Vec<(bool, bool)> {
    let mut outcome = vec![(wanted.least.is_some(), false); images.len()];
    let doubtful: u32 =
        images.iter().enumerate().filter(|(_, image)| image.may_stay || image.may_be_gone).map(|(i, _)| 1 << i).sum();
    for order in permutations(images.len()).iter().filter(|order| may_be_sorted(order, images)) {
        for absent in (0..1 << images.len()).filter(|absent| absent & !doubtful == 0) {
            for bytes in wanted.least.unwrap_or(wanted.most)..=wanted.most {
                let gone = deleted(order, images, absent, bytes);
                for (index, (always, ever)) in outcome.iter_mut().enumerate() {
                    if absent & (1 << index) == 0 {
                        *always &= gone.contains(&index);
                        *ever |= gone.contains(&index);
                    }
                }
            }
        }
    }
    outcome
}

prop_compose! {
    fn any_contender(most: i64)(
        size in 0_u64..4, a in 0..most, b in 0..most, c in 1..3_i64, d in 1..3_i64, exact: bool, stays in 0..5, gone in 0..5,
    ) -> Candidate {
        let (earliest, latest) = (place(a, c).min(place(b, d)), place(a, c).max(place(b, d)));
        Candidate {
            size: Bytes::new(size),
            earliest,
            latest: if exact { earliest } else { latest },
            may_stay: stays == 0,
            may_be_gone: gone == 0,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_order_of_small_sets_agrees(
        images in proptest::collection::vec(any_contender(4), 0..6),
        least in -1_i64..8, more in 0_i64..3, runs: bool,
    ) {
        let wanted = Wanted { least: runs.then_some(least), most: least + more };
        let expected = by_brute_force(&images, wanted);
        for (reached, (always, ever)) in reached(&images, wanted).into_iter().zip(expected) {
            prop_assert_eq!(reached == Reached::Always, always);
            prop_assert_eq!(reached != Reached::Never, ever);
        }
    }

    #[test]
    fn what_the_loop_counts_lies_between_the_bounds(
        images in proptest::collection::vec(any_contender(4), 1..6), least in -1_i64..8, more in 0_i64..3,
    ) {
        let wanted = Wanted { least: Some(least), most: least + more };
        let bounds = counted(&images, wanted);
        let doubtful: u32 = (0..images.len()).filter(|i| images[*i].may_stay || images[*i].may_be_gone).map(|i| 1 << i).sum();
        for order in permutations(images.len()).iter().filter(|order| may_be_sorted(order, &images)) {
            for absent in (0..1 << images.len()).filter(|absent| absent & !doubtful == 0) {
                for bytes in least..=least + more {
                    let gone = deleted(order, &images, absent, bytes);
                    let sum: u64 = gone.iter().map(|index| images[*index].size.get()).sum();
                    prop_assert!(bounds.least.get() <= sum && sum <= bounds.most.get(), "{bounds:?} {sum}");
                }
            }
        }
    }

    #[test]
    fn wanting_more_never_spares_an_image(
        images in proptest::collection::vec(any_contender(10), 0..40), bytes in 0_i64..60, more in 0_i64..60,
    ) {
        let (less, more) = (reached(&images, exactly(bytes)), reached(&images, exactly(bytes + more)));
        prop_assert!(less.iter().zip(&more).all(|(less, more)| more <= less));
    }

    #[test]
    fn taking_an_image_out_never_spares_another(
        images in proptest::collection::vec(any_contender(10), 1..40), bytes in 1_i64..60,
    ) {
        let before = reached(&images, exactly(bytes));
        let after = reached(&images[1..], exactly(bytes));
        prop_assert!(before[1..].iter().zip(&after).all(|(before, after)| after <= before));
    }
}
