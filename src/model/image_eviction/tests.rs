//! What was seen of real kubelets under disk pressure.

use super::*;
use crate::model::schedule::Start;
use crate::model::simulated::{KUBELET, START, V1_28, V1_37, at, container, pod, store, time_of};
use crate::sample::{ContainerState, ImageStore};
use crate::time::Span;

/// What a pass does to a store that has been there since before the start.
fn outcomes(store: &ImageStore, seconds: i64, change: impl FnOnce(&mut EvictionPass<'_>)) -> Vec<String> {
    let mut inventory = Inventory::default();
    for look in [-5, 5] {
        inventory.observe(at(look), KUBELET, store, false);
    }
    let policy = GcPolicy::effective(None, V1_37);
    let mut pass = EvictionPass {
        policy: &policy,
        release: V1_37,
        at: at(seconds),
        signal: Signal::ImagefsAvailable,
        same_filesystem: true,
        store,
        inventory: &inventory,
    };
    change(&mut pass);
    evict(pass)
        .iter()
        .map(|verdict| {
            let word = match verdict.outcome {
                Outcome::Safe(reason) => reason.as_str(),
                outcome => outcome.certainty().unwrap(),
            };
            format!("{}:{word}", verdict.image)
        })
        .collect()
}

/// TestDeleteUnusedImagesRemoveAllUnusedImages of the kubelet.
#[test]
fn everything_unused_goes_whatever_its_size() {
    let store = store(&["a=1", "b=1000", "c*=5", "d!=5"]);
    assert_eq!(outcomes(&store, 200, |_| ()), ["a:certain", "b:certain", "c:in_use", "d:pinned"]);
}

/// TestDeleteUnusedImagesLimitByImageLiveTime of the kubelet.
#[test]
fn for_the_minimum_age_after_a_start_nothing_goes() {
    let store = store(&["a"]);
    assert_eq!(outcomes(&store, 119, |_| ()), ["a:too_young"]);
    assert_eq!(outcomes(&store, 121, |_| ()), ["a:certain"]);
}

#[test]
fn an_ended_pod_shields_its_image_no_longer() {
    let mut store = store(&["ended+", "crashing", "unknown", "run*"]);
    // A container that has ended in a pod that goes on, and one of whose pod nothing is told.
    store.containers.push(container("1", "goes on", "crashing", ContainerState::Exited));
    store.pods.push(pod("goes on", Some(true)));
    store.containers.push(container("2", "not listed", "unknown", ContainerState::Exited));
    let expected = ["ended:certain", "crashing:in_use", "unknown:possible", "run:in_use"];
    assert_eq!(outcomes(&store, 200, |_| ()), expected);
}

#[test]
fn an_old_sandbox_of_a_pod_that_goes_on_does_not_count_as_ended() {
    let mut store = store(&["a"]);
    store.containers.push(container("1", "old", "a", ContainerState::Exited));
    store.pods.extend([pod("old", Some(false)), pod("new", Some(true))]);
    store.pods[1].uid = store.pods[0].uid.clone();
    assert_eq!(outcomes(&store, 200, |_| ()), ["a:in_use"]);
}

#[test]
fn nodefs_pressure_spares_images_on_a_disk_of_their_own() {
    let store = store(&["a", "ended+"]);
    let with = |signal, same| outcomes(&store, 200, |pass| (pass.signal, pass.same_filesystem) = (signal, same));
    assert_eq!(with(Signal::NodefsAvailable, true), ["a:certain", "ended:certain"]);
    assert_eq!(with(Signal::NodefsAvailable, false), ["a:not_needed", "ended:in_use"]);
    assert_eq!(with(Signal::ImagefsInodesFree, false), ["a:certain", "ended:certain"]);
}

#[test]
fn from_1_29_to_1_31_a_disk_of_its_own_may_be_passed_over() {
    let store = store(&["a"]);
    let with = |minor, same| {
        let release = Release::V1 { minor, patch: 0 };
        outcomes(&store, 200, |pass| (pass.release, pass.same_filesystem) = (release, same))
    };
    assert_eq!(with(30, false), ["a:possible"]);
    assert_eq!(with(30, true), ["a:certain"]);
    assert_eq!(with(32, false), ["a:certain"]);
}

#[test]
fn up_to_1_28_a_kubelet_that_starts_under_pressure_empties_the_store_at_once() {
    let store = store(&["a"]);
    let mut inventory = Inventory::default();
    inventory.observe(at(-5), Start::of(START, V1_28), &store, false);
    inventory.observe(at(10), Start::of(START, V1_28), &store, false);
    let policy = GcPolicy::effective(None, V1_28);
    let pass = EvictionPass {
        policy: &policy,
        release: V1_28,
        at: at(11),
        signal: Signal::ImagefsAvailable,
        same_filesystem: true,
        store: &store,
        inventory: &inventory,
    };
    assert_eq!(evict(pass)[0].outcome, Outcome::Certain(Cause::Space));
}

#[test]
fn images_that_arrived_lately_wait_for_their_age() {
    let before = store(&["a"]);
    let after = store(&["a", "new"]);
    let mut inventory = Inventory::default();
    inventory.observe(at(-5), KUBELET, &before, false);
    inventory.observe(at(30), KUBELET, &before, false);
    inventory.observe(at(60), KUBELET, &after, true);
    let policy = GcPolicy::effective(None, V1_37);
    let outcome = |at| {
        let pass = EvictionPass {
            policy: &policy,
            release: V1_37,
            at,
            signal: Signal::ImagefsAvailable,
            same_filesystem: true,
            store: &after,
            inventory: &inventory,
        };
        evict(pass)[1].outcome
    };
    // Under pressure a pass may have seen it from 30 s on.
    assert_eq!(outcome(at(149)), Outcome::Safe(SafeReason::TooYoung));
    assert_eq!(outcome(at(151)), Outcome::Possible(Cause::Space));
    assert_eq!(outcome(time_of(1) + Span::from_secs(1)), Outcome::Possible(Cause::Space));
}

#[test]
fn nothing_is_certain_of_lists_that_are_not_whole() {
    let store = ImageStore { complete: false, ..store(&["a", "b*"]) };
    let policy = GcPolicy::effective(None, V1_37);
    let mut inventory = Inventory::default();
    let whole = ImageStore { complete: true, ..store.clone() };
    inventory.observe(at(-5), KUBELET, &whole, false);
    inventory.observe(at(5), KUBELET, &whole, false);
    let pass = EvictionPass {
        policy: &policy,
        release: V1_37,
        at: at(200),
        signal: Signal::ImagefsAvailable,
        same_filesystem: true,
        store: &store,
        inventory: &inventory,
    };
    let outcomes: Vec<_> = evict(pass).iter().map(|verdict| verdict.outcome).collect();
    assert_eq!(outcomes, [Outcome::Possible(Cause::Space), Outcome::Safe(SafeReason::InUse)]);
}
