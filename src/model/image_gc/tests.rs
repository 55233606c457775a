//! The kubelet's own cases carried over by name, what was seen of real kubelets, and random histories against a
//! simulated one.

use super::*;
use crate::model::schedule::Start;
use crate::model::simulated::{History, KUBELET, Orders, START, V1_28, V1_37, at, deleted, store, store_at, time_of};
use crate::model::{GcPolicy, Origin, Release, Setting};
use crate::sample::ImageId;
use crate::time::Span;
use crate::units::Percent;
use proptest::prelude::*;

/// Capacity of the image filesystem in the tests: a percent is 10 bytes.
const CAPACITY: Bytes = Bytes::new(1_000);

fn policy(change: impl FnOnce(&mut GcPolicy)) -> GcPolicy {
    let mut policy = GcPolicy::effective(None, V1_37);
    change(&mut policy);
    policy
}

fn setting<T>(value: T) -> Setting<T> {
    Setting { value, origin: Origin::Flag }
}

/// An inventory that has followed the kubelet from its start, looking at it every 30 seconds.
fn followed(history: &History, until: Timestamp) -> Inventory {
    let mut inventory = Inventory::default();
    let looks = (-1..).map(|look| START + Span::from_secs(30 * look)).take_while(|look| *look <= until);
    for look in looks {
        inventory.observe(look, KUBELET, &store_at(history, look), false);
    }
    inventory
}

/// The verdicts for pass `number`, taken 5 seconds before it, as `name:outcome`.
fn verdicts_at(history: &History, number: i64, policy: &GcPolicy, available: u64) -> Vec<String> {
    let look = time_of(number) - Span::from_secs(5);
    let (inventory, store) = (followed(history, look), store_at(history, look));
    let collection = collect(GcRun {
        policy,
        schedule: GcSchedule::of(KUBELET),
        at: Expected::exactly(time_of(number)),
        crossed: true,
        capacity: CAPACITY,
        available: Available::exactly(Bytes::new(available)),
        store: &store,
        inventory: &inventory,
    });
    written(&collection.verdicts)
}

fn written(verdicts: &[ImageOutcome]) -> Vec<String> {
    let word = |outcome| match outcome {
        Outcome::Certain(Cause::Space) => "certain",
        Outcome::Certain(Cause::Age) => "certain by age",
        Outcome::Possible(Cause::Space) => "possible",
        Outcome::Possible(Cause::Age) => "possible by age",
        Outcome::Safe(reason) => reason.as_str(),
    };
    verdicts.iter().map(|verdict| format!("{}:{}", verdict.image, word(verdict.outcome))).collect()
}

/// The same store at all times.
fn always(names: &[&str]) -> History {
    vec![(-1_000, store(names))]
}

/// TestGarbageCollectBelowLowThreshold, TestGarbageCollectBelowSuccess.
#[test]
fn nothing_is_needed_above_16_percent_available() {
    let history = always(&["a=50", "b*=50"]);
    assert_eq!(verdicts_at(&history, 1, &policy(|_| ()), 160), ["a:not_needed", "b:in_use"]);
    assert_eq!(verdicts_at(&history, 1, &policy(|_| ()), 159), ["a:certain", "b:in_use"]);
}

/// TestFreeSpaceRemoveByLeastRecentlyUsed.
#[test]
fn the_least_recently_used_go_first() {
    // In use up to 340, 640 and 940 s; the fourth never.
    let history: History = vec![
        (-1_000, store(&["a*=30", "b*=30", "c*=30", "d=30"])),
        (340, store(&["a=30", "b*=30", "c*=30", "d=30"])),
        (640, store(&["a=30", "b=30", "c*=30", "d=30"])),
        (940, store(&["a=30", "b=30", "c=30", "d=30"])),
    ];
    // 15 % available: 50 bytes wanted.
    let expected = ["a:certain", "b:not_needed", "c:not_needed", "d:certain"];
    assert_eq!(verdicts_at(&history, 4, &policy(|_| ()), 150), expected);
    assert_eq!(verdicts_at(&history, 4, &policy(|_| ()), 130)[1], "b:certain");
}

/// TestFreeSpaceTiesBrokenByDetectedTime.
#[test]
fn of_never_used_images_the_one_seen_first_goes_first() {
    let history: History = vec![(-1_000, store(&["a=50"])), (100, store(&["a=50", "b=50"]))];
    assert_eq!(verdicts_at(&history, 3, &policy(|_| ()), 150), ["a:certain", "b:not_needed"]);
}

#[test]
fn preloaded_images_tie_and_none_is_certain_until_all_are_needed() {
    let history = always(&["a=50", "b=50", "c=50"]);
    assert_eq!(verdicts_at(&history, 1, &policy(|_| ()), 150), ["a:possible", "b:possible", "c:possible"]);
    assert_eq!(verdicts_at(&history, 1, &policy(|_| ()), 60), ["a:certain", "b:certain", "c:certain"]);
}

/// TestFreeSpaceImagesInUseContainersAreIgnored, TestDoNotDeletePinnedImage.
#[test]
fn images_in_use_or_pinned_are_no_candidates() {
    let history = always(&["run*", "ended+", "pinned!", "free"]);
    let expected = ["run:in_use", "ended:in_use", "pinned:pinned", "free:certain"];
    assert_eq!(verdicts_at(&history, 1, &policy(|_| ()), 0), expected);
}

/// TestGarbageCollectImageNotOldEnough.
#[test]
fn an_image_is_too_young_until_the_second_pass_after_its_arrival() {
    let history: History = vec![(-1_000, store(&[])), (290, store(&["a"]))];
    // Not seen by any pass yet when the prediction is taken, and seen for the first time by this one.
    assert_eq!(verdicts_at(&history, 1, &policy(|_| ()), 0), ["a:too_young"]);
    assert_eq!(verdicts_at(&history, 2, &policy(|_| ()), 0), ["a:certain"]);
    // With a minimum age of 6 minutes one pass more is needed.
    let six = policy(|policy| policy.image_gc.minimum_age = setting(Span::from_secs(360)));
    assert_eq!(verdicts_at(&history, 2, &six, 0), ["a:too_young"]);
    assert_eq!(verdicts_at(&history, 3, &six, 0), ["a:certain"]);
}

#[test]
fn a_restart_voids_the_history_and_begins_the_minimum_age_anew() {
    let hour = policy(|policy| policy.image_gc.minimum_age = setting(Span::from_secs(3_600)));
    let mut inventory = followed(&vec![(-1_000, store(&["a*", "b"])), (310, store(&["a", "b"]))], at(4_000));
    let restart = at(4_010);
    inventory.observe(at(4_020), Start::of(restart, V1_37), &store(&["a", "b"]), false);
    let tick = |inventory: &Inventory, policy: &GcPolicy, available| {
        let collection = collect(GcRun {
            policy,
            schedule: GcSchedule::of(Start::of(restart, V1_37)),
            at: Expected::exactly(Start::of(restart, V1_37).gc_run(1).at),
            crossed: true,
            capacity: CAPACITY,
            available: Available::exactly(Bytes::new(available)),
            store: &store(&["a=50", "b=50"]),
            inventory,
        });
        written(&collection.verdicts)
    };
    assert_eq!(tick(&inventory, &hour, 0), ["a:too_young", "b:too_young"]);
    // Both tie now, although one was in use once.
    assert_eq!(tick(&inventory, &policy(|_| ()), 150), ["a:possible", "b:possible"]);
}

#[test]
fn an_image_named_by_a_pod_whose_container_is_not_made_yet_is_not_in_use() {
    // The init container runs; the main container's preloaded image is deleted, as was seen on 1.37.2.
    let history = always(&["init*", "main"]);
    assert_eq!(verdicts_at(&history, 1, &policy(|_| ()), 0), ["init:in_use", "main:certain"]);
}

#[test]
fn where_the_loop_is_off_nothing_goes() {
    let off = policy(|policy| policy.image_gc.enabled = false);
    let history = always(&["a", "b*", "c!"]);
    assert_eq!(verdicts_at(&history, 1, &off, 0), ["a:gc_disabled", "b:in_use", "c:pinned"]);
}

/// TestGarbageCollectImageTooOld, and what was seen on 1.37.2 with a maximum age of 4 minutes.
#[test]
fn age_collection_takes_what_was_never_used_at_once_and_spares_nothing_young() {
    let four = policy(|policy| policy.image_gc.maximum_age = Some(setting(Span::from_secs(240))));
    let history: History = vec![
        (-1_000, store(&["never", "used*", "run*", "ended+", "pinned!"])),
        (295, store(&["never", "used*", "run*", "ended+", "pinned!", "new"])),
        (310, store(&["used", "run*", "ended+", "pinned!"])),
        (420, store(&["used", "run*", "ended+", "pinned!", "imported"])),
    ];
    let expected = ["never:certain by age", "used:in_use", "run:in_use", "ended:in_use", "pinned:pinned"];
    let first = verdicts_at(&history, 1, &four, 600);
    assert_eq!(first[..5], expected);
    assert_eq!(first[5], "new:certain by age");
    let expected = ["used:certain by age", "run:in_use", "ended:in_use", "pinned:pinned", "imported:certain by age"];
    assert_eq!(verdicts_at(&history, 2, &four, 600), expected);
}

/// TestGarbageCollectImageMaxAgeDisabled.
#[test]
fn age_collection_waits_until_the_kubelet_has_run_for_longer() {
    let history = always(&["a"]);
    let age = |seconds| policy(|policy| policy.image_gc.maximum_age = Some(setting(Span::from_secs(seconds))));
    assert_eq!(verdicts_at(&history, 1, &age(480), 600), ["a:not_needed"]);
    assert_eq!(verdicts_at(&history, 2, &age(480), 600), ["a:certain by age"]);
    assert_eq!(verdicts_at(&history, 1, &age(300), 600), ["a:certain by age"]);
    assert_eq!(verdicts_at(&history, 9, &policy(|_| ()), 600), ["a:not_needed"]);
}

#[test]
fn space_does_not_see_what_age_has_just_freed() {
    // 15.5 % available: 45 bytes wanted for space, whatever the first image gives.
    let four = policy(|policy| policy.image_gc.maximum_age = Some(setting(Span::from_secs(240))));
    let history: History = vec![
        (-1_000, store(&["old=400", "recent*=50"])),
        (595, store(&["old=400", "recent*=50"])),
        (650, store(&["old=400", "recent=50"])),
    ];
    let history: History = history.into_iter().chain([(890, store(&["old=400", "recent=50"]))]).collect();
    let nine = policy(|policy| policy.image_gc.maximum_age = Some(setting(Span::from_secs(540))));
    assert_eq!(verdicts_at(&history, 3, &nine, 155), ["old:certain by age", "recent:certain"]);
    assert_eq!(verdicts_at(&history, 3, &four, 155), ["old:certain by age", "recent:certain by age"]);
    assert_eq!(verdicts_at(&history, 3, &nine, 200), ["old:certain by age", "recent:not_needed"]);
}

#[test]
fn pins_are_doubtful_where_the_release_is_not_known_and_void_in_1_20() {
    let store = store(&["a!"]);
    let inventory = followed(&always(&["a!"]), at(290));
    let outcome = |release| {
        let collection = collect(GcRun {
            policy: &policy(|_| ()),
            schedule: GcSchedule::of(Start::of(START, release)),
            at: Expected::exactly(time_of(1)),
            crossed: true,
            capacity: CAPACITY,
            available: Available::exactly(Bytes::ZERO),
            store: &store,
            inventory: &inventory,
        });
        written(&collection.verdicts).remove(0)
    };
    assert_eq!(outcome(Release::V1 { minor: 20, patch: 2 }), "a:certain");
    assert_eq!(outcome(Release::Unknown), "a:possible");
    assert_eq!(outcome(V1_28), "a:pinned");
}

#[test]
fn use_is_told_by_id_from_1_30_on_and_by_reference_before() {
    let mut store = store(&["a"]);
    let container = crate::model::simulated::container("c", "pod", "a", crate::sample::ContainerState::Running);
    store.containers.push(crate::sample::Container { image_ref: Some("registry/a@sha256:0".into()), ..container });
    let used = |release| images_in_use(&store, release, ContainersCounted::All, None).contains(&"a".into());
    assert_eq!(used(Release::V1 { minor: 30, patch: 0 }), TriState::Yes);
    assert_eq!(used(Release::V1 { minor: 29, patch: 0 }), TriState::No);
    assert_eq!(used(Release::Unknown), TriState::Unknown);
}

/// Up to 1.28 the image of `--pod-infra-container-image` is in use, whether a sandbox runs or not.
#[test]
fn the_sandbox_image_of_a_kubelet_up_to_1_28_is_in_use() {
    let mut store = store(&["pause", "own", "other"]);
    store.images[0].tags = vec!["registry.k8s.io/pause:3.9".into()];
    store.images[1].tags = vec!["registry.example.com/infra/sandbox:1".into()];
    let outcomes = |release, flag: Option<&str>| {
        let mut inventory = followed(&always(&["pause", "own", "other"]), at(290));
        inventory.sandbox_image_is(flag);
        let collection = collect(GcRun {
            policy: &policy(|_| ()),
            schedule: GcSchedule::of(Start::of(START, release)),
            at: Expected::exactly(time_of(1)),
            crossed: true,
            capacity: CAPACITY,
            available: Available::exactly(Bytes::ZERO),
            store: &store,
            inventory: &inventory,
        });
        written(&collection.verdicts)
    };
    let own = Some("registry.example.com/infra/sandbox:1");
    assert_eq!(outcomes(V1_28, own), ["pause:certain", "own:in_use", "other:certain"]);
    assert_eq!(outcomes(Release::Unknown, own), ["pause:certain", "own:possible", "other:certain"]);
    // Which image is the default depends on the release.
    assert_eq!(outcomes(V1_28, None), ["pause:possible", "own:certain", "other:certain"]);
    assert_eq!(outcomes(Release::Unknown, None), ["pause:possible", "own:certain", "other:certain"]);
    assert_eq!(outcomes(V1_37, own), ["pause:certain", "own:certain", "other:certain"]);
}

#[test]
fn an_image_volume_is_in_use() {
    let mut store = store(&["a", "b*"]);
    store.containers[0].image_volumes.push("a".into());
    assert_eq!(verdicts_at(&vec![(-1_000, store)], 1, &policy(|_| ()), 0), ["a:in_use", "b:in_use"]);
}

#[test]
fn an_image_that_may_be_mounted_unseen_is_possible_where_that_counts() {
    let store = ImageStore { hidden_volumes: true, ..store(&["a=50", "b*=50", "c!=50"]) };
    let outcomes = |release| {
        let in_use = images_in_use(&store, release, ContainersCounted::All, None);
        ["a", "b", "c"].map(|id| in_use.contains(&id.into()))
    };
    assert_eq!(outcomes(V1_37), [TriState::Unknown, TriState::Yes, TriState::Unknown]);
    assert_eq!(outcomes(Release::Unknown), [TriState::Unknown, TriState::Yes, TriState::Unknown]);
    assert_eq!(outcomes(V1_28), [TriState::No, TriState::Yes, TriState::No]);
    let history = vec![(-1_000, store.clone())];
    assert_eq!(verdicts_at(&history, 1, &policy(|_| ()), 0), ["a:possible", "b:in_use", "c:pinned"]);
}

#[test]
fn nothing_is_certain_of_lists_that_are_not_whole() {
    let whole = always(&["a=50", "b*=50"]);
    let inventory = followed(&whole, at(290));
    let collection = |store: ImageStore, available| {
        let collection = collect(GcRun {
            policy: &policy(|_| ()),
            schedule: GcSchedule::of(KUBELET),
            at: Expected::exactly(time_of(1)),
            crossed: true,
            capacity: CAPACITY,
            available: Available::exactly(Bytes::new(available)),
            store: &store,
            inventory: &inventory,
        });
        (written(&collection.verdicts), collection.suffices)
    };
    let cut = ImageStore { complete: false, ..store(&["a=50", "b*=50"]) };
    assert_eq!(collection(cut.clone(), 100).0, ["a:possible", "b:in_use"]);
    assert_eq!(collection(cut, 200).0, ["a:not_needed", "b:in_use"]);
    let mut liar = store(&["a=50", "b*=50"]);
    liar.images[0].size = None;
    assert_eq!(collection(liar, 100), (vec!["a:possible".to_owned(), "b:in_use".to_owned()], Some(false)));
}

#[test]
fn it_says_whether_the_goal_is_reached() {
    let inventory = followed(&always(&["a=50", "b=60"]), at(290));
    let suffices = |least, most| {
        collect(GcRun {
            policy: &policy(|_| ()),
            schedule: GcSchedule::of(KUBELET),
            at: Expected::exactly(time_of(1)),
            crossed: true,
            capacity: CAPACITY,
            available: Available { least: Bytes::new(least), most: Bytes::new(most) },
            store: &store(&["a=50", "b=60"]),
            inventory: &inventory,
        })
        .suffices
    };
    assert_eq!(suffices(90, 90), Some(true));
    assert_eq!(suffices(89, 89), Some(false));
    assert_eq!(suffices(80, 100), None);
    assert_eq!(suffices(200, 200), None);
}

/// Five thousand images and two thousand containers: the answer is the loop's, and it does not take all day.
#[test]
fn a_large_store_is_judged_like_a_small_one() {
    let names: Vec<String> =
        (0..5_000).map(|number| format!("image{number:05}{}=2", if number % 5 < 2 { "*" } else { "" })).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let store = store(&names);
    assert_eq!((store.images.len(), store.containers.len()), (5_000, 2_000));
    let mut inventory = Inventory::default();
    for look in [-5, 5, 290] {
        inventory.observe(at(look), KUBELET, &store, false);
    }
    let collection = collect(GcRun {
        policy: &policy(|_| ()),
        schedule: GcSchedule::of(KUBELET),
        at: Expected::exactly(time_of(1)),
        crossed: true,
        capacity: Bytes::new(30_000),
        available: Available::exactly(Bytes::ZERO),
        store: &store,
        inventory: &inventory,
    });
    assert_eq!(collection.wanted, Some(Wanted { least: Some(6_000), most: 6_000 }));
    let count = |outcome| collection.verdicts.iter().filter(|verdict| verdict.outcome == outcome).count();
    assert_eq!(count(Outcome::Certain(Cause::Space)), 3_000);
    assert_eq!(count(Outcome::Safe(SafeReason::InUse)), 2_000);
}

fn any_store() -> impl Strategy<Value = ImageStore> {
    let state = prop_oneof![4 => Just(""), 2 => Just("*"), 1 => Just("+"), 1 => Just("!")];
    proptest::collection::vec(proptest::option::weighted(0.8, (state, 1_u64..60)), 6).prop_map(|images| {
        let name = |(index, image): (usize, Option<(&str, u64)>)| {
            image.map(|(state, size)| format!("{}{state}={size}", char::from(b'a' + u8::try_from(index).unwrap())))
        };
        let names: Vec<String> = images.into_iter().enumerate().filter_map(name).collect();
        store(&names.iter().map(String::as_str).collect::<Vec<_>>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_simulated_kubelet_deletes_the_certain_and_spares_the_safe(
        steps in proptest::collection::vec((62_i64..250, any_store()), 1..8),
        begins in -5_i64..1_000, number in 1_i64..5, seed: u64,
        low in 60_i64..84, available in 0_u64..240, blur in 0_u64..20,
        minimum_age in prop_oneof![Just(0), Just(120), Just(360)],
        maximum_age in proptest::option::of(121_i64..900),
    ) {
        let mut history: History = vec![(-1_000, store(&["a=10", "b*=20", "c=5"]))];
        let mut now = 0;
        for (after, store) in steps {
            now += after;
            history.push((now, store));
        }
        // The prediction is taken 5 seconds before the pass, and the store does not change any more.
        let look = time_of(number) - Span::from_secs(5);
        history.retain(|(since, _)| at(*since) <= look);
        let mut inventory = Inventory::default();
        let mut time = at(begins).min(look);
        while time < look {
            inventory.observe(time, KUBELET, &store_at(&history, time), false);
            time = time + Span::from_secs(30);
        }
        let store = store_at(&history, look);
        inventory.observe(look, KUBELET, &store, false);
        let maximum_age = maximum_age.filter(|age| *age > minimum_age).map(Span::from_secs);
        let policy = policy(|policy| {
            policy.image_gc.low = setting(Percent::new(low));
            policy.image_gc.minimum_age = setting(Span::from_secs(minimum_age));
            policy.image_gc.maximum_age = maximum_age.map(setting);
        });
        let Collection { verdicts, counted, .. } = collect(GcRun {
            policy: &policy,
            schedule: GcSchedule::of(KUBELET),
            at: Expected::exactly(time_of(number)),
            crossed: true,
            capacity: CAPACITY,
            available: Available { least: Bytes::new(available), most: Bytes::new(available + blur) },
            store: &store,
            inventory: &inventory,
        });
        let sum = |counts: &dyn Fn(&ImageOutcome) -> bool| -> u64 {
            verdicts.iter().filter(|verdict| counts(verdict)).filter_map(|verdict| verdict.size).map(Bytes::get).sum()
        };
        let certain = sum(&|verdict| matches!(verdict.outcome, Outcome::Certain(_)));
        let most = certain + sum(&|verdict| matches!(verdict.outcome, Outcome::Possible(_)));
        for round in 0..8_u64 {
            let orders = Orders {
                high: 85,
                low,
                minimum_age: Span::from_secs(minimum_age),
                maximum_age,
                capacity: CAPACITY,
                available: Bytes::new(available + (seed >> 8).wrapping_add(round) % (blur + 1)),
            };
            let tie = |id: &ImageId| {
                let byte = id.as_str().bytes().next().map_or(0, u64::from);
                (seed ^ round).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(u32::try_from(byte % 64).unwrap())
            };
            let gone = deleted(&history, number, orders, tie);
            let bytes = sum(&|verdict| gone.contains(&verdict.image));
            prop_assert!(certain <= bytes && bytes <= most, "{certain} {bytes} {most}");
            if let Some(counted) = counted {
                prop_assert!(counted.least.get() <= bytes && bytes <= counted.most.get(), "{counted:?} {bytes}");
            }
            for verdict in &verdicts {
                match verdict.outcome {
                    Outcome::Certain(_) => prop_assert!(gone.contains(&verdict.image), "{verdict:?} stayed"),
                    Outcome::Safe(_) => prop_assert!(!gone.contains(&verdict.image), "{verdict:?} went"),
                    Outcome::Possible(_) => {}
                }
            }
        }
    }

    #[test]
    fn a_higher_threshold_never_adds_a_victim(store in any_store(), high in 40_i64..100, available in 0_u64..400) {
        let inventory = followed(&vec![(-1_000, store.clone())], at(290));
        let victims = |high| {
            let policy = policy(|policy| {
                policy.image_gc.high = setting(Percent::new(high));
                policy.image_gc.low = setting(Percent::new(30));
            });
            let collection = collect(GcRun {
                policy: &policy,
                schedule: GcSchedule::of(KUBELET),
                at: Expected::exactly(time_of(1)),
                crossed: true,
                capacity: CAPACITY,
                available: Available::exactly(Bytes::new(available)),
                store: &store,
                inventory: &inventory,
            });
            collection.verdicts.iter().map(|verdict| verdict.outcome.certainty()).collect::<Vec<_>>()
        };
        for (lower, higher) in victims(high).into_iter().zip(victims(high + 1)) {
            prop_assert!(higher.is_none() || higher == lower);
        }
    }

    #[test]
    fn pinning_an_image_makes_another_a_victim_only_where_more_is_needed(
        store in any_store(), index in 0_usize..6, available in 0_u64..160,
    ) {
        prop_assume!(index < store.images.len());
        let inventory = followed(&vec![(-1_000, store.clone())], at(290));
        let outcomes = |store: &ImageStore| {
            collect(GcRun {
                policy: &policy(|_| ()),
                schedule: GcSchedule::of(KUBELET),
                at: Expected::exactly(time_of(1)),
                crossed: true,
                capacity: CAPACITY,
                available: Available::exactly(Bytes::new(available)),
                store,
                inventory: &inventory,
            })
        };
        let mut pinned = store.clone();
        pinned.images[index].pinned = true;
        let (before, after) = (outcomes(&store), outcomes(&pinned));
        let was_victim = before.verdicts[index].outcome.certainty().is_some();
        for (before, after) in before.verdicts.iter().zip(&after.verdicts) {
            let newly = before.outcome.certainty().is_none() && after.outcome.certainty().is_some();
            prop_assert!(!newly || was_victim);
            // Never because it was in use, pinned or too young before.
            prop_assert!(!newly || before.outcome == Outcome::Safe(SafeReason::NotNeeded));
        }
    }
}
