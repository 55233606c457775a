//! What would each trigger of a layer do to its images? Joins the thresholds, the schedule, and what deletes.
//!
//! A trigger that is not near is answered as if its threshold had just been crossed: the question is what would be deleted, not
//! whether. When the threshold will be crossed is said by `forecast/`.

use super::eviction::deletes_images;
use super::freed::{Freed, Parts, freed};
use super::image_eviction::{EvictionSync, evict};
use super::image_gc::{Available, GcRun, collect};
use super::schedule::{Crossing, Expected, GcSchedule};
use super::triggers::{TriggerLevel, levels};
use super::victims::{ImageOutcome, Outcome, Wanted};
use super::{GcPolicy, Inventory, Signal, Trigger};
use crate::sample::{FilesystemId, ImageStore, Space};
use crate::time::Timestamp;
use crate::units::{Bytes, Inodes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One kubelet and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its settings.
    pub policy: &'a GcPolicy,
    /// Its start, its GC runs and syncs.
    pub schedule: GcSchedule,
    /// The present.
    pub now: Timestamp,
    /// The filesystem of the images and its numbers; `None` where it could not be measured.
    pub imagefs: Option<(FilesystemId, &'a Space)>,
    /// The filesystem of the kubelet's directory.
    pub nodefs: Option<(FilesystemId, &'a Space)>,
    /// The images and containers.
    pub store: &'a ImageStore,
    /// What the kubelet remembers of them.
    pub inventory: &'a Inventory,
    /// Since when soft thresholds are crossed, of those that are.
    pub crossings: &'a Crossings,
    /// Bytes of the image filesystem that only root can use; `None` where that is not known.
    pub reserved: Option<Bytes>,
}

/// Since when each threshold with a grace period is crossed, by trigger and filesystem.
pub type Crossings = BTreeMap<(Trigger, FilesystemId), Crossing>;

/// What one trigger would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// Which trigger, with its threshold; `headroom` counts what is written besides.
    pub level: TriggerLevel,
    /// The GC run or eviction sync for which this holds: the next one that acts.
    pub at: Expected,
    /// Whether the threshold is crossed at present; if not, the rest says what would happen if it just were.
    pub crossed: bool,
    /// What must be freed in CRI sizes; `None` for eviction, which deletes everything.
    pub wanted: Option<Wanted>,
    /// Whether that is reached, where something must be freed and it can be told.
    pub suffices: Option<bool>,
    /// The outcome of every image, in the store's order.
    pub verdicts: Vec<ImageOutcome>,
    /// The bytes that become free; `None` where the layers of the images are not known.
    pub freed: Option<Freed>,
    /// What is available afterwards, if nothing else changes; `None` where `freed` is.
    pub available_after: Option<Available>,
}

/// Numbers of images and their CRI sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Total {
    /// How many.
    pub images: usize,
    /// Their sizes as the kubelet counts them; unusable ones count as nothing.
    pub bytes: Bytes,
}

/// What image GC, image eviction and inode eviction would do, each as far as it is armed and deletes images.
/// `written`: bytes that are written to the image filesystem before that.
pub fn predict(subject: Subject<'_>, written: Bytes) -> Vec<Prediction> {
    let less = |space: &Space| less(space, written);
    let same = same_filesystem(subject);
    let imagefs_after = subject.imagefs.map(|(id, space)| (id, less(space)));
    let nodefs_after = subject.nodefs.map(|(id, space)| (id, if same { less(space) } else { *space }));
    let lines = levels(
        subject.policy,
        imagefs_after.as_ref().map(|(id, space)| (*id, space)),
        nodefs_after.as_ref().map(|(id, space)| (*id, space)),
    );
    let parts = Parts::of(subject.store);
    let predictions = lines.into_iter().filter_map(|level| {
        // Only eviction on the kubelet's own disk leaves the images alone, and has no images to name.
        let deletes = level.signal.is_none_or(|signal| deletes_images(signal, same));
        let (_, space) = imagefs_after.as_ref()?;
        match level.trigger {
            Trigger::ImageGc => Some(collection(subject, level, space, &parts)),
            Trigger::ImageEviction | Trigger::InodeEviction if deletes => {
                let signal = level.signal?;
                Some(eviction(subject, level, signal, (same, space), &parts))
            }
            _ => None,
        }
    });
    predictions.collect()
}

fn same_filesystem(subject: Subject<'_>) -> bool {
    matches!((subject.imagefs, subject.nodefs), (Some((image, _)), Some((node, _))) if image == node)
}

fn collection(subject: Subject<'_>, level: TriggerLevel, space: &Space, parts: &Parts) -> Prediction {
    let at = subject.schedule.next_gc_run(subject.now);
    let just_crossed = Bytes::new(level.threshold.saturating_sub(1));
    let crossed = space.available <= just_crossed;
    let found = less(space, space.available.saturating_sub(just_crossed));
    let collection = collect(GcRun {
        policy: subject.policy,
        schedule: subject.schedule,
        at,
        capacity: space.capacity,
        available: Available::exactly(found.available),
        crossed,
        store: subject.store,
        inventory: subject.inventory,
    });
    let freed = freed(parts, &collection.verdicts, collection.counted);
    Prediction {
        level,
        at,
        crossed,
        wanted: collection.wanted,
        suffices: collection.suffices,
        available_after: freed.map(|freed| after(&found, freed, subject.reserved)),
        verdicts: collection.verdicts,
        freed,
    }
}

fn eviction(
    subject: Subject<'_>,
    level: TriggerLevel,
    signal: Signal,
    (same, space): (bool, &Space),
    parts: &Parts,
) -> Prediction {
    let crossing = subject.crossings.get(&(level.trigger, level.filesystem)).copied();
    let at = subject.schedule.next_acting_sync(signal, level.grace_period, crossing, subject.now);
    let crossed = level.headroom.is_some_and(|headroom| headroom < 0);
    let just_crossed = level.threshold.saturating_sub(1);
    let found = if signal.counts_inodes() {
        Space { files_free: space.files_free.min(Inodes::new(just_crossed)), ..*space }
    } else {
        less(space, space.available.saturating_sub(Bytes::new(just_crossed)))
    };
    let verdicts = evict(EvictionSync {
        policy: subject.policy,
        start: subject.schedule.start(),
        at,
        signal,
        same_filesystem: same,
        nodefs_met: same && nodefs_is_met(subject.policy, &found),
        store: subject.store,
        inventory: subject.inventory,
    });
    let freed = freed(parts, &verdicts, None);
    Prediction {
        level,
        at,
        crossed,
        wanted: None,
        suffices: None,
        available_after: freed.map(|freed| after(&found, freed, subject.reserved)),
        verdicts,
        freed,
    }
}

/// Whether a threshold of nodefs is met by these figures, or was and is not recovered from.
fn nodefs_is_met(policy: &GcPolicy, space: &Space) -> bool {
    let soft = policy.eviction_soft.iter().map(|soft| &soft.threshold);
    policy.eviction_hard.iter().chain(soft).filter(|threshold| !threshold.signal.is_imagefs()).any(|threshold| {
        let (capacity, available) = if threshold.signal.counts_inodes() {
            (space.files.get(), space.files_free.get())
        } else {
            (space.capacity.get(), space.available.get())
        };
        available < threshold.recovers_at(capacity)
    })
}

/// The figures after so many more bytes were written.
fn less(space: &Space, written: Bytes) -> Space {
    Space { available: space.available.saturating_sub(written), free: space.free.saturating_sub(written), ..*space }
}

/// What is available after a deletion. What root has used of its reserve is given back first.
fn after(space: &Space, freed: Freed, reserved: Option<Bytes>) -> Available {
    let available = |bytes: Bytes, reserved: Bytes| {
        let free = space.free.saturating_add(bytes).saturating_sub(reserved);
        free.max(space.available).min(space.capacity)
    };
    if space.available > Bytes::ZERO {
        let reserved = space.free.saturating_sub(space.available);
        return Available { least: available(freed.least, reserved), most: available(freed.most, reserved) };
    }
    match reserved {
        Some(reserved) => Available { least: available(freed.least, reserved), most: available(freed.most, reserved) },
        // At least what is free is reserved.
        None => Available { least: Bytes::ZERO, most: available(freed.most, space.free) },
    }
}

impl Prediction {
    /// The certain victims.
    pub fn certain(&self) -> Total {
        total(&self.verdicts, |outcome| matches!(outcome, Outcome::Certain(_)))
    }

    /// The possible victims, the certain ones not among them.
    pub fn possible(&self) -> Total {
        total(&self.verdicts, |outcome| matches!(outcome, Outcome::Possible(_)))
    }
}

fn total(verdicts: &[ImageOutcome], wanted: impl Fn(Outcome) -> bool) -> Total {
    let found = verdicts.iter().filter(|verdict| wanted(verdict.outcome));
    found.fold(Total::default(), |total, verdict| Total {
        images: total.images.saturating_add(1),
        bytes: total.bytes.saturating_add(verdict.size.unwrap_or(Bytes::ZERO)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::simulated::{KUBELET, V1_37, at, store};
    use crate::sample::StoredLayer;

    const CAPACITY: Bytes = Bytes::new(1_000);

    fn space(available: u64) -> Space {
        Space {
            capacity: CAPACITY,
            free: Bytes::new(available),
            available: Bytes::new(available),
            files: Inodes::new(1_000),
            files_free: Inodes::new(500),
        }
    }

    fn filesystem(dev: u64) -> FilesystemId {
        FilesystemId { dev, capacity: CAPACITY, files: Inodes::new(1_000) }
    }

    /// Three images of which the third is in use, four minutes after the start; layers of twice their CRI size.
    fn predictions(available: u64, nodefs: u64, written: u64, change: impl FnOnce(&mut GcPolicy)) -> Vec<Prediction> {
        let mut store = store(&["a=40", "b=40", "c*=40"]);
        for image in &mut store.images {
            image.layers = Some([StoredLayer { id: image.id.as_str().into(), bytes: Bytes::new(80) }].into());
        }
        let mut inventory = Inventory::default();
        for look in [-5, 5] {
            inventory.observe(at(look), KUBELET, &store, false);
        }
        let mut policy = GcPolicy::effective(None, V1_37);
        change(&mut policy);
        let space = space(available);
        let subject = Subject {
            policy: &policy,
            schedule: GcSchedule::of(KUBELET),
            now: at(240),
            imagefs: Some((filesystem(1), &space)),
            nodefs: Some((filesystem(nodefs), &space)),
            store: &store,
            inventory: &inventory,
            crossings: &Crossings::new(),
            reserved: None,
        };
        predict(subject, Bytes::new(written))
    }

    fn names(predictions: &[Prediction]) -> Vec<&str> {
        predictions.iter().map(|prediction| prediction.level.trigger.as_str()).collect()
    }

    #[test]
    fn far_from_its_threshold_a_trigger_says_what_it_would_delete() {
        let predictions = predictions(500, 1, 0, |_| ());
        assert_eq!(names(&predictions), ["image_gc", "image_eviction", "inode_eviction"]);
        let collection = &predictions[0];
        assert!(!collection.crossed);
        assert_eq!(collection.level.headroom, Some(340));
        // 159 of 1,000 available and 200 to be: 41 must be freed, and the first image is too small for that.
        assert_eq!(collection.wanted, Some(Wanted { least: Some(41), most: 41 }));
        assert_eq!(collection.certain(), Total { images: 2, bytes: Bytes::new(80) });
        assert_eq!(collection.possible(), Total::default());
        assert_eq!(collection.suffices, Some(true));
        assert_eq!(collection.freed, Some(Freed { least: Bytes::new(160), most: Bytes::new(160) }));
        assert_eq!(collection.available_after, Some(Available::exactly(Bytes::new(319))));
        // Eviction triggers at 149 available, float32 included.
        assert_eq!(predictions[1].available_after, Some(Available::exactly(Bytes::new(309))));
        assert_eq!(predictions[2].available_after, Some(Available::exactly(Bytes::new(660))));
    }

    #[test]
    fn what_is_written_besides_counts() {
        let with = |written| {
            let predictions = predictions(500, 1, written, |_| ());
            (predictions[0].crossed, predictions[0].wanted.unwrap().most, predictions[1].crossed)
        };
        assert_eq!(with(340), (false, 41, false));
        assert_eq!(with(341), (true, 41, false));
        assert_eq!(with(350), (true, 50, false));
        assert_eq!(with(351), (true, 51, true));
        assert_eq!(with(10_000), (true, 200, true));
    }

    #[test]
    fn kinds_settings_leave_nothing_to_predict() {
        let off = |policy: &mut GcPolicy| {
            policy.image_gc.enabled = false;
            policy.eviction_hard.clear();
        };
        assert_eq!(predictions(0, 1, 0, off), []);
        // Image GC off, eviction on: everything unused is deleted all the same.
        let predictions = predictions(0, 1, 0, |policy| policy.image_gc.enabled = false);
        assert_eq!(names(&predictions), ["image_eviction", "inode_eviction"]);
        assert_eq!(predictions[0].certain().images, 2);
    }

    #[test]
    fn the_kubelets_own_disk_has_no_images_to_lose() {
        let names_of = |nodefs| {
            predictions(500, nodefs, 0, |policy| policy.eviction_hard.retain(|t| !t.signal.is_imagefs()))
                .iter()
                .map(|prediction| prediction.level.trigger.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(names_of(1), ["image_gc", "image_eviction", "inode_eviction"]);
        assert_eq!(names_of(2), ["image_gc"]);
    }

    #[test]
    fn what_is_freed_fills_the_reserve_of_root_first() {
        let found = |available, free| Space { free: Bytes::new(free), ..space(available) };
        let freed = |bytes| Freed { least: Bytes::new(bytes), most: Bytes::new(bytes) };
        let after = |available, free, bytes, reserved: Option<u64>| {
            let Available { least, most } = after(&found(available, free), freed(bytes), reserved.map(Bytes::new));
            (least.get(), most.get())
        };
        // 30 of a reserve of 50 are used.
        assert_eq!(after(0, 20, 80, Some(50)), (50, 50));
        assert_eq!(after(0, 20, 10, Some(50)), (0, 0), "the reserve is not even full again");
        // Never seen with anything available: the reserve is what is free now, or more.
        assert_eq!(after(0, 20, 80, None), (0, 80));
        // What is available tells the reserve, whatever it was before.
        assert_eq!(after(10, 60, 80, Some(5)), (90, 90));
        assert_eq!(after(10, 10, 2_000, None), (1_000, 1_000));
    }
}
