//! A kubelet 1.37 that started at 0; its passes are at 0.2, 300.2, 600.2 s and so on, a little later each time.

use super::*;
use crate::model::simulated::{History, KUBELET, START, V1_28, V1_37, at, records, store, store_at, time_of};
use proptest::prelude::*;

fn observed(release: Release, looks: &[(i64, &[&str])]) -> Inventory {
    let mut inventory = Inventory::default();
    for (seconds, names) in looks {
        inventory.observe(at(*seconds), Start::of(START, release), &store(names), false);
    }
    inventory
}

/// First detected from, to; last used from, to.
type Bounds = (Timestamp, Option<Timestamp>, Option<Timestamp>, Option<Timestamp>);

fn bounds(inventory: &Inventory, name: &str) -> Option<Bounds> {
    let record = inventory.record(&name.into())?;
    Some((
        record.first_detected_earliest,
        record.first_detected_latest,
        record.last_used_earliest,
        record.last_used_latest,
    ))
}

/// TestDetectImagesInitialDetect of the kubelet.
#[test]
fn images_present_around_the_first_pass_share_its_time() {
    let inventory = observed(V1_37, &[(-5, &["a", "b*"]), (5, &["a", "b*"])]);
    let first = time_of(0);
    assert_eq!(bounds(&inventory, "a"), Some((first, Some(first), None, None)));
    assert_eq!(bounds(&inventory, "b"), Some((first, Some(first), Some(first), Some(first))));
}

/// Images are preloaded into a node before its kubelet starts.
#[test]
fn what_was_there_without_a_kubelet_is_seen_by_the_first_pass_of_one() {
    let mut inventory = Inventory::default();
    inventory.observe_without_kubelet(at(-40), Release::Unknown, &store(&["a", "gone"]), false);
    inventory.observe_without_kubelet(at(-10), Release::Unknown, &store(&["a", "b"]), false);
    assert_eq!(inventory.kubelet(), None);
    inventory.observe(at(5), KUBELET, &store(&["a", "b", "late"]), false);
    let first = time_of(0);
    assert_eq!(bounds(&inventory, "a"), Some((first, Some(first), None, None)));
    assert_eq!(bounds(&inventory, "b"), Some((first, Some(first), None, None)));
    assert_eq!(bounds(&inventory, "late"), Some((first, None, None, None)));
    // The records end with the kubelet.
    inventory.observe_without_kubelet(at(400), V1_37, &store(&["a", "b"]), false);
    assert_eq!((inventory.kubelet(), bounds(&inventory, "a")), (None, None));
    // Where nothing is known of the time before, a list that was made when the kubelet ran tells nothing of its first pass.
    let mut inventory = Inventory::default();
    inventory.observe_without_kubelet(at(400), V1_37, &store(&["a", "b"]), false);
    inventory.observe(at(410), Start::of(at(399), V1_37), &store(&["a", "b"]), false);
    assert_eq!(bounds(&inventory, "a").map(|bounds| bounds.1), Some(None));
}

/// A kubelet is seen some seconds after its start, and a list may have been made in between.
#[test]
fn a_list_between_the_start_of_a_kubelet_and_the_first_sight_of_it_is_of_its_time() {
    let mut inventory = Inventory::default();
    inventory.observe_without_kubelet(at(-10), Release::Unknown, &store(&["a", "b*", "gone"]), false);
    inventory.observe_without_kubelet(at(3), Release::Unknown, &store(&["a", "b*", "new"]), false);
    inventory.observe(at(33), KUBELET, &store(&["a", "b", "new", "late"]), false);
    let first = time_of(0);
    assert_eq!(bounds(&inventory, "a"), Some((first, Some(first), None, None)));
    assert_eq!(bounds(&inventory, "b"), Some((first, Some(first), Some(first), Some(first))));
    assert_eq!(bounds(&inventory, "new"), Some((first, None, None, None)));
    // The first pass was over when it came.
    assert_eq!(bounds(&inventory, "late"), None);
}

/// On a busy machine: the first pass comes 6 s after the start, which the socket tells when the files are read the next time.
#[test]
fn a_first_pass_that_turns_out_to_be_late_saw_what_came_before_it() {
    let mut inventory = Inventory::default();
    inventory.observe_without_kubelet(at(-10), Release::Unknown, &store(&["a"]), false);
    inventory.observe(at(3), KUBELET, &store(&["a", "new"]), false);
    assert_eq!(bounds(&inventory, "new"), Some((time_of(0), None, None, None)), "the first pass may be over");
    let late = KUBELET.serving(Some(at(6)));
    inventory.observe(at(33), late, &store(&["a", "new", "late"]), false);
    let first = late.gc_run(0).at;
    for name in ["a", "new"] {
        assert_eq!(bounds(&inventory, name), Some((first, Some(first), None, None)), "{name}");
    }
    assert_eq!(bounds(&inventory, "late"), Some((first, None, None, None)));
    assert_eq!(inventory.schedule(late).next_gc_run(at(33)).at, late.gc_run(1).at);
    // What was learned stays when the socket cannot be seen for once.
    inventory.observe(at(63), KUBELET, &store(&["a", "new", "late"]), false);
    assert_eq!(bounds(&inventory, "new"), Some((first, Some(first), None, None)));
}

#[test]
fn a_list_made_under_the_next_kubelet_is_not_of_the_last_ones_time() {
    let mut inventory = observed(V1_37, &[(-5, &["a", "b*"]), (5, &["a", "b*"]), (370, &["a", "b*"])]);
    let restart = at(380);
    // The kubelet of before is believed to run still; its next pass would be at 600.
    inventory.observe(at(385), KUBELET, &store(&["a", "b*", "new"]), false);
    inventory.observe(at(415), Start::of(restart, V1_37), &store(&["a", "b", "new"]), false);
    let first = Start::of(restart, V1_37).gc_run(0).at;
    assert_eq!(bounds(&inventory, "a"), Some((first, Some(first), None, None)));
    assert_eq!(bounds(&inventory, "b"), Some((first, Some(first), Some(first), Some(first))));
    assert_eq!(bounds(&inventory, "new"), Some((first, None, None, None)));
}

#[test]
fn pressure_before_the_first_sight_of_a_kubelet_is_not_forgotten() {
    let mut inventory = Inventory::default();
    inventory.observe_without_kubelet(at(-10), V1_37, &store(&[]), false);
    inventory.observe_without_kubelet(at(3), V1_37, &store(&["new*"]), true);
    inventory.observe(at(33), KUBELET, &store(&["new"]), false);
    // The first eviction pass may have seen the image in use, up to the time of that list.
    assert_eq!(bounds(&inventory, "new"), Some((START, None, None, Some(at(3)))));
}

#[test]
fn only_the_last_lists_are_looked_through_again() {
    let mut inventory = Inventory::default();
    inventory.observe_without_kubelet(at(-10), V1_37, &store(&["a"]), false);
    for seconds in 1..=10 {
        inventory.observe_without_kubelet(at(seconds), V1_37, &store(&["a"]), false);
    }
    inventory.observe(at(33), KUBELET, &store(&["a"]), false);
    assert_eq!(inventory.recent.0.len(), RECENT_LISTS);
    assert_eq!(bounds(&inventory, "a"), Some((time_of(0), None, None, Some(time_of(0)))));
}

fn bounds_of(record: &Record) -> Bounds {
    (record.first_detected_earliest, record.first_detected_latest, record.last_used_earliest, record.last_used_latest)
}

/// From the start of a kubelet to the next list.
#[test]
fn what_was_listed_before_the_start_is_known_to_the_first_run() {
    let of = |release, listed: &[i64]| {
        let mut inventory = Inventory::default();
        for seconds in listed {
            inventory.observe_without_kubelet(at(*seconds), Release::Unknown, &store(&["a"]), false);
        }
        let start = Start::of(START, release);
        assert!(inventory.kubelet_runs(start) && !inventory.kubelet_runs(start));
        let sync = start.next_eviction_sync(at(1));
        bounds_of(&inventory.expected_record(&"a".into(), start, sync))
    };
    let first = time_of(0);
    assert_eq!(of(V1_37, &[-20]), (first, Some(first), None, None));
    assert_eq!(of(V1_28, &[-20]), (BEFORE_EVERYTHING, Some(BEFORE_EVERYTHING), None, None));
    let unknown = Start::of(START, Release::Unknown).gc_run(0).at;
    assert_eq!(of(Release::Unknown, &[-20]), (BEFORE_EVERYTHING, Some(unknown), None, None));
    // So long before that it may have been deleted and pulled again.
    assert_eq!(of(V1_28, &[-500]), (BEFORE_EVERYTHING, None, None, None));
    // Never listed before the start: it may have come after the first run.
    assert_eq!(of(V1_28, &[1]), (BEFORE_EVERYTHING, None, None, None));
}

/// An eviction sync that comes before the first list is no first detection that counts.
#[test]
fn up_to_1_28_syncs_under_pressure_do_not_make_images_young() {
    let start = Start::of(START, V1_28).serving(Some(at(1)));
    let mut inventory = Inventory::default();
    inventory.observe_without_kubelet(at(-6), V1_28, &store(&["a"]), false);
    inventory.observe(at(10), start, &store(&["a", "late"]), true);
    assert_eq!(bounds(&inventory, "a"), Some((BEFORE_EVERYTHING, Some(BEFORE_EVERYTHING), None, None)));
    assert_eq!(bounds(&inventory, "late"), Some((BEFORE_EVERYTHING, None, None, None)));
    // What comes later has an age.
    inventory.observe(at(40), start, &store(&["a", "late", "later"]), true);
    assert_eq!(bounds(&inventory, "later"), Some((at(10), None, None, None)));
}

#[test]
fn runs_since_the_last_list_count() {
    let inventory =
        observed(V1_37, &[(-5, &["a"]), (5, &["a"]), (280, &["a", "new", "b*"]), (298, &["a", "new", "b"])]);
    let expected = |name: &str, seconds| {
        bounds_of(&inventory.expected_record(&name.into(), KUBELET, Expected::exactly(at(seconds))))
    };
    let next = time_of(1);
    assert_eq!(expected("new", 305), (next, Some(next), None, None));
    // That run itself is the first to see it.
    let run = KUBELET.gc_run(1);
    assert_eq!(bounds_of(&inventory.expected_record(&"new".into(), KUBELET, run)), (next, None, None, None));
    assert_eq!(expected("a", 305), (time_of(0), Some(time_of(0)), None, None));
    // Syncs see it, too, where they come.
    let mut inventory = inventory;
    assert!(inventory.pressure() && !inventory.pressure());
    let new = inventory.expected_record(&"new".into(), KUBELET, Expected::exactly(at(299)));
    assert_eq!((new.first_detected_earliest, new.first_detected_latest), (at(298), None));
}

#[test]
fn up_to_1_28_images_present_at_the_first_pass_are_older_than_everything() {
    let inventory = observed(V1_28, &[(-5, &["a"]), (10, &["a"])]);
    assert_eq!(bounds(&inventory, "a"), Some((BEFORE_EVERYTHING, Some(BEFORE_EVERYTHING), None, None)));
    // Where the release is not known it may be either.
    let inventory = observed(Release::Unknown, &[(-5, &["a"]), (10, &["a"])]);
    let first = Start::of(START, Release::Unknown).gc_run(0).at;
    assert_eq!(bounds(&inventory, "a"), Some((BEFORE_EVERYTHING, Some(first), None, None)));
}

/// TestDetectImagesWithNewImage of the kubelet.
#[test]
fn an_image_that_arrives_between_passes_is_seen_by_the_next() {
    let looks: &[(i64, &[&str])] = &[(-5, &["a"]), (30, &["a"]), (60, &["a", "new"]), (290, &["a", "new"])];
    let inventory = observed(V1_37, looks);
    assert_eq!(bounds(&inventory, "new"), None);
    let mut looks = looks.to_vec();
    looks.push((305, &["a", "new"]));
    let inventory = observed(V1_37, &looks);
    assert_eq!(bounds(&inventory, "new"), Some((time_of(1), Some(time_of(1)), None, None)));
}

#[test]
fn an_image_that_arrives_around_a_pass_may_have_been_seen_or_not() {
    let mut looks: Vec<(i64, &[&str])> = vec![(-5, &[]), (280, &[]), (310, &["new"])];
    assert_eq!(bounds(&observed(V1_37, &looks), "new"), Some((time_of(1), None, None, None)));
    looks.extend([(580, ["new"].as_slice()), (610, &["new"])]);
    assert_eq!(bounds(&observed(V1_37, &looks), "new"), Some((time_of(1), Some(time_of(2)), None, None)));
}

/// TestDetectImagesContainerStopped of the kubelet.
#[test]
fn use_is_remembered_as_of_the_last_pass_that_saw_it() {
    let inventory = observed(
        V1_37,
        &[(-5, &["a*"]), (5, &["a*"]), (295, &["a*"]), (305, &["a*"]), (400, &["a"]), (590, &["a"]), (610, &["a"])],
    );
    assert_eq!(bounds(&inventory, "a"), Some((time_of(0), Some(time_of(0)), Some(time_of(1)), Some(time_of(1)))));
}

#[test]
fn a_pod_that_lives_between_two_passes_leaves_no_trace() {
    let inventory = observed(
        V1_37,
        &[(-5, &["a"]), (5, &["a"]), (60, &["a*"]), (200, &["a*"]), (240, &["a"]), (290, &["a"]), (310, &["a"])],
    );
    assert_eq!(bounds(&inventory, "a"), Some((time_of(0), Some(time_of(0)), None, None)));
}

#[test]
fn use_that_ends_around_a_pass_may_have_been_seen_or_not() {
    let inventory = observed(V1_37, &[(-5, &["a*"]), (5, &["a*"]), (290, &["a*"]), (310, &["a"])]);
    assert_eq!(bounds(&inventory, "a"), Some((time_of(0), Some(time_of(0)), Some(time_of(0)), Some(time_of(1)))));
}

/// TestDetectImagesWithRemovedImages of the kubelet.
#[test]
fn the_record_ends_at_the_first_pass_that_misses_the_image() {
    let mut looks: Vec<(i64, &[&str])> = vec![(-5, &["a"]), (5, &["a"]), (30, &[]), (60, &["a"])];
    assert_eq!(bounds(&observed(V1_37, &looks), "a"), Some((time_of(0), Some(time_of(0)), None, None)));
    looks.extend([(290, [].as_slice()), (310, &[]), (320, &["a"])]);
    assert_eq!(bounds(&observed(V1_37, &looks), "a"), None);
}

#[test]
fn an_image_that_is_away_around_a_pass_may_have_an_old_record_or_a_new_one() {
    let looks: &[(i64, &[&str])] =
        &[(-5, &["a"]), (5, &["a"]), (290, &[]), (310, &["a"]), (590, &["a"]), (610, &["a"])];
    assert_eq!(bounds(&observed(V1_37, looks), "a"), Some((time_of(0), Some(time_of(2)), None, None)));
}

#[test]
fn one_who_comes_late_knows_only_bounds() {
    // Three hours after the start: passes 0 to 35 have happened unseen.
    let inventory = observed(V1_37, &[(10_700, &["a", "b*"])]);
    assert_eq!(bounds(&inventory, "a"), Some((time_of(0), None, None, Some(time_of(35)))));
    let inventory = observed(V1_37, &[(10_700, &["a", "b*"]), (10_790, &["a", "b*"]), (10_810, &["a", "b*"])]);
    assert_eq!(bounds(&inventory, "a"), Some((time_of(0), Some(time_of(36)), None, Some(time_of(35)))));
    let last = time_of(36);
    assert_eq!(bounds(&inventory, "b"), Some((time_of(0), Some(last), Some(last), Some(last))));
}

#[test]
fn after_a_long_gap_an_image_may_have_an_old_record_or_a_new_one_and_its_use_is_open() {
    let mut looks: Vec<(i64, &[&str])> = vec![(-5, &["a*"]), (5, &["a*"]), (3_000, &["a*"])];
    assert_eq!(bounds(&observed(V1_37, &looks), "a"), Some((time_of(0), None, None, Some(time_of(9)))));
    looks.extend([(3_290, ["a*"].as_slice()), (3_310, &["a*"])]);
    let (next, last) = (time_of(10), time_of(11));
    assert_eq!(bounds(&observed(V1_37, &looks), "a"), Some((time_of(0), Some(next), Some(last), Some(last))));
}

#[test]
fn another_kubelet_knows_nothing_of_before() {
    let mut inventory = observed(V1_37, &[(-5, &["a*", "b"]), (5, &["a*", "b"]), (310, &["a*", "b"])]);
    let restart = at(380);
    inventory.observe(at(390), Start::of(restart, V1_37), &store(&["a", "b"]), false);
    assert_eq!(inventory.kubelet(), Some(restart));
    let first = Start::of(restart, V1_37).gc_run(0).at;
    // Whether the use of a ended before the new kubelet's first pass is not known.
    assert_eq!(bounds(&inventory, "a"), Some((first, Some(first), None, Some(first))));
    assert_eq!(bounds(&inventory, "b"), Some((first, Some(first), None, None)));
}

#[test]
fn under_pressure_passes_come_every_ten_seconds() {
    let mut inventory = observed(V1_37, &[(-5, &["a"]), (5, &["a"]), (35, &["a"])]);
    inventory.observe(at(65), KUBELET, &store(&["a*", "new"]), true);
    assert_eq!(bounds(&inventory, "new"), Some((at(35), None, None, None)));
    assert_eq!(bounds(&inventory, "a"), Some((time_of(0), Some(time_of(0)), None, Some(at(65)))));
}

#[test]
fn lists_that_are_not_whole_and_times_that_run_back_are_passed_over() {
    let mut inventory = observed(V1_37, &[(-5, &["a"]), (5, &["a"])]);
    let before = inventory.clone();
    inventory.observe(at(30), KUBELET, &ImageStore { complete: false, ..store(&[]) }, false);
    inventory.observe(at(5), KUBELET, &store(&[]), false);
    assert_eq!(inventory, before);
}

#[test]
fn it_outlives_a_restart_of_highwater() {
    let inventory = observed(V1_37, &[(-5, &["a"]), (5, &["a", "b*"]), (310, &["a", "b*"])]);
    let text = serde_json::to_string(&inventory).unwrap();
    assert_eq!(serde_json::from_str::<Inventory>(&text).unwrap(), inventory);
}

proptest! {
    #[test]
    fn what_the_kubelet_notes_lies_within_the_bounds(
        steps in proptest::collection::vec((31_i64..200, 0_u8..3, 0_u8..3), 1..25), looks_every in 5_i64..31, begins in -5_i64..900,
        unseen_until in prop_oneof![Just(0_i64), 1_i64..100],
    ) {
        // Two images that come, go and are used; changes are further apart than observations.
        let names = |a: u8, b: u8| {
            let name = |state, idle, used| match state { 0 => None, 1 => Some(idle), _ => Some(used) };
            name(a, "a", "a*").into_iter().chain(name(b, "b", "b*")).collect::<Vec<&str>>()
        };
        let mut history: History = vec![(-1_000, store(&names(1, 0)))];
        let mut now = 0;
        for (after, a, b) in steps {
            now += after;
            history.push((now, store(&names(a, b))));
        }
        let mut inventory = Inventory::default();
        let mut time = begins;
        while time <= now {
            let there = store_at(&history, at(time));
            if time < unseen_until {
                inventory.observe_without_kubelet(at(time), V1_37, &there, false);
            } else {
                inventory.observe(at(time), KUBELET, &there, false);
            }
            if inventory.kubelet().is_some() && inventory.next_run > 0 && KUBELET.gc_run(inventory.next_run - 1).latest <= at(time) {
                for (id, (first, used)) in records(&history, at(time)) {
                    if !there.images.iter().any(|image| image.id == id) {
                        continue;
                    }
                    let record = inventory.record(&id).unwrap();
                    prop_assert!(record.first_detected_earliest <= first, "{id} at {time}: {record:?} {first:?}");
                    prop_assert!(record.first_detected_latest.is_none_or(|latest| first <= latest), "{id} at {time}: {record:?} {first:?}");
                    prop_assert!(record.last_used_earliest <= used, "{id} at {time}: {record:?} {used:?}");
                    prop_assert!(used <= record.last_used_latest, "{id} at {time}: {record:?} {used:?}");
                }
            }
            time += looks_every;
        }
    }
}

#[test]
fn two_deletions_at_a_distance_of_whole_periods_are_taken_for_ticks() {
    let next = |bursts: &[(i64, i64)]| {
        let mut inventory = observed(V1_37, &[(-5, &["a"]), (5, &["a"])]);
        for (after, before) in bursts {
            inventory.note_possible_gc_run(at(*after), at(*before), KUBELET);
        }
        inventory.schedule(KUBELET).next_gc_run(at(2_000)).at
    };
    let from_start = GcSchedule::of(KUBELET).next_gc_run(at(2_000)).at;
    assert_eq!(next(&[(1_040, 1_050)]), from_start, "one may have been anybody's");
    assert_eq!(next(&[(1_040, 1_050), (1_100, 1_110)]), from_start, "somebody who cleans up");
    let shifted = next(&[(1_040, 1_050), (1_100, 1_110), (1_704, 1_709)]);
    assert!((at(2_004)..=at(2_010)).contains(&shifted), "{shifted}");
    // Another kubelet has another schedule.
    let mut inventory = observed(V1_37, &[(-5, &["a"]), (5, &["a"])]);
    inventory.note_gc_run(GcSchedule::of(KUBELET).next_gc_run(at(10)), at(310), at(320));
    let restarted = at(400);
    assert_eq!(inventory.schedule(Start::of(restarted, V1_37)), GcSchedule::of(Start::of(restarted, V1_37)));
    assert_ne!(inventory.schedule(KUBELET), GcSchedule::of(KUBELET));
}
