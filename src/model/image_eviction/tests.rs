//! What was seen of real kubelets under disk pressure.

use super::*;
use crate::model::Release;
use crate::model::simulated::{KUBELET, START, V1_28, V1_37, at, container, pod, store, time_of};
use crate::sample::{ContainerState, ImageStore};
use crate::time::Span;

/// What a sync does to a store that has been there since before the start.
fn outcomes(store: &ImageStore, seconds: i64, change: impl FnOnce(&mut EvictionSync<'_>)) -> Vec<String> {
    let mut inventory = Inventory::default();
    for look in [-5, 5] {
        inventory.observe(at(look), KUBELET, store, false);
    }
    let policy = GcPolicy::effective(None, V1_37);
    let mut sync = EvictionSync {
        policy: &policy,
        start: KUBELET,
        at: Expected::exactly(at(seconds)),
        signal: Signal::ImagefsAvailable,
        same_filesystem: true,
        nodefs_met: false,
        store,
        inventory: &inventory,
    };
    change(&mut sync);
    evict(sync)
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
    let sync =
        |from, to| outcomes(&store, 0, |sync| sync.at = Expected { earliest: at(from), at: at(from), latest: at(to) });
    // The process is known, not its socket: the first run came within 8 s of where it is reckoned.
    assert_eq!(sync(100, 112), ["a:too_young"]);
    assert_eq!(sync(129, 139), ["a:certain"]);
    // The age is reached within the bounds of the sync.
    assert_eq!(sync(105, 115), ["a:possible"]);
    let serving = |sync: &mut EvictionSync<'_>| sync.start = KUBELET.serving(Some(at(0)));
    assert_eq!(outcomes(&store, 119, serving), ["a:too_young"]);
    assert_eq!(outcomes(&store, 120, serving), ["a:possible"]);
    assert_eq!(outcomes(&store, 122, serving), ["a:certain"]);
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
    let with = |signal, same| outcomes(&store, 200, |sync| (sync.signal, sync.same_filesystem) = (signal, same));
    assert_eq!(with(Signal::NodefsAvailable, true), ["a:certain", "ended:certain"]);
    assert_eq!(with(Signal::NodefsAvailable, false), ["a:not_needed", "ended:in_use"]);
    assert_eq!(with(Signal::ImagefsInodesFree, false), ["a:certain", "ended:certain"]);
}

#[test]
fn from_1_29_to_1_31_a_sync_may_turn_to_pods_at_once() {
    let store = store(&["a"]);
    let with = |minor, same| {
        let release = Release::V1 { minor, patch: 0 };
        outcomes(&store, 200, |sync| (sync.start, sync.same_filesystem) = (Start::of(START, release), same))
    };
    assert_eq!(with(30, false), ["a:possible"]);
    assert_eq!(with(30, true), ["a:certain"]);
    assert_eq!(with(32, false), ["a:certain"]);
    // On a shared disk only where a threshold of nodefs is met.
    let shared =
        |release| outcomes(&store, 200, |sync| (sync.start, sync.nodefs_met) = (Start::of(START, release), true));
    assert_eq!(shared(Release::V1 { minor: 29, patch: 15 }), ["a:possible"]);
    assert_eq!(shared(Release::V1 { minor: 31, patch: 14 }), ["a:possible"]);
    assert_eq!(shared(Release::Unknown), ["a:possible"]);
    assert_eq!(shared(V1_28), ["a:certain"]);
    assert_eq!(shared(Release::V1 { minor: 32, patch: 13 }), ["a:certain"]);
}

#[test]
fn up_to_1_28_a_kubelet_that_starts_under_pressure_empties_the_store_at_once() {
    let store = store(&["a"]);
    let mut inventory = Inventory::default();
    inventory.observe(at(-5), Start::of(START, V1_28), &store, false);
    inventory.observe(at(10), Start::of(START, V1_28), &store, false);
    let policy = GcPolicy::effective(None, V1_28);
    let sync = EvictionSync {
        policy: &policy,
        start: Start::of(START, V1_28),
        at: Expected::exactly(at(11)),
        signal: Signal::ImagefsAvailable,
        same_filesystem: true,
        nodefs_met: false,
        store: &store,
        inventory: &inventory,
    };
    assert_eq!(evict(sync)[0].outcome, Outcome::Certain(Cause::Space));
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
        let sync = EvictionSync {
            policy: &policy,
            start: KUBELET,
            at: Expected::exactly(at),
            signal: Signal::ImagefsAvailable,
            same_filesystem: true,
            nodefs_met: false,
            store: &after,
            inventory: &inventory,
        };
        evict(sync)[1].outcome
    };
    // Under pressure a sync may have seen it from 30 s on, and its clock is known to 8 s.
    assert_eq!(outcome(at(141)), Outcome::Safe(SafeReason::TooYoung));
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
    let sync = EvictionSync {
        policy: &policy,
        start: KUBELET,
        at: Expected::exactly(at(200)),
        signal: Signal::ImagefsAvailable,
        same_filesystem: true,
        nodefs_met: false,
        store: &store,
        inventory: &inventory,
    };
    let outcomes: Vec<_> = evict(sync).iter().map(|verdict| verdict.outcome).collect();
    assert_eq!(outcomes, [Outcome::Possible(Cause::Space), Outcome::Safe(SafeReason::InUse)]);
}
