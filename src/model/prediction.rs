//! What would each trigger of a layer do to its images? Joins the lines, the schedule, and the loops that delete.
//!
//! A trigger that is not near is answered as if its line had just been crossed: the question is what would go, not whether.
//! When the line will be crossed is said by `forecast/`.

use super::eviction::deletes_images;
use super::freed::{Freed, Parts, freed};
use super::image_eviction::{EvictionPass, evict};
use super::image_gc::{Available, Tick, collect};
use super::schedule::{Expected, GcSchedule};
use super::triggers::{TriggerLevel, levels};
use super::victims::{ImageOutcome, Outcome, Wanted};
use super::{GcPolicy, Inventory, Release, Signal, Trigger};
use crate::sample::{FilesystemId, ImageStore, Space};
use crate::time::Timestamp;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};

/// One kubelet and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its settings.
    pub policy: &'a GcPolicy,
    /// Its release.
    pub release: Release,
    /// When it looks.
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
}

/// What one trigger would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// Which trigger, with its line; `headroom` counts what is written besides.
    pub level: TriggerLevel,
    /// The pass for which this holds: the next one.
    pub at: Expected,
    /// Whether the line is crossed at present; if not, the rest says what would happen if it just were.
    pub crossed: bool,
    /// What is wanted in CRI sizes; `None` for eviction, which takes everything.
    pub wanted: Option<Wanted>,
    /// Whether that is reached, where something is wanted and it can be told.
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

/// What image collection, image eviction and inode eviction would do, each as far as it is armed and deletes images.
/// `written`: bytes that are written to the image filesystem before that.
pub fn predict(subject: Subject<'_>, written: Bytes) -> Vec<Prediction> {
    let less = |space: &Space| Space {
        available: space.available.saturating_sub(written),
        free: space.free.saturating_sub(written),
        ..*space
    };
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
    let at = subject.schedule.next_check(subject.now);
    let just_crossed = Bytes::new(level.threshold.saturating_sub(1));
    let crossed = space.available <= just_crossed;
    let available = space.available.min(just_crossed);
    let collection = collect(Tick {
        policy: subject.policy,
        release: subject.release,
        schedule: subject.schedule,
        at: at.at,
        capacity: space.capacity,
        available: Available::exactly(available),
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
        available_after: freed.map(|freed| after(available, freed, space)),
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
    let at = subject.schedule.next_eviction_pass(Some(signal), subject.now);
    let crossed = level.headroom.is_some_and(|headroom| headroom < 0);
    let available = if signal.counts_inodes() {
        space.available
    } else {
        space.available.min(Bytes::new(level.threshold.saturating_sub(1)))
    };
    let verdicts = evict(EvictionPass {
        policy: subject.policy,
        release: subject.release,
        at: at.at,
        signal,
        same_filesystem: same,
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
        available_after: freed.map(|freed| after(available, freed, space)),
        verdicts,
        freed,
    }
}

fn after(available: Bytes, freed: Freed, space: &Space) -> Available {
    let plus = |bytes| available.saturating_add(bytes).min(space.capacity);
    Available { least: plus(freed.least), most: plus(freed.most) }
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
    use crate::units::Inodes;

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
            release: V1_37,
            schedule: GcSchedule::of(KUBELET),
            now: at(240),
            imagefs: Some((filesystem(1), &space)),
            nodefs: Some((filesystem(nodefs), &space)),
            store: &store,
            inventory: &inventory,
        };
        predict(subject, Bytes::new(written))
    }

    fn names(predictions: &[Prediction]) -> Vec<&str> {
        predictions.iter().map(|prediction| prediction.level.trigger.as_str()).collect()
    }

    #[test]
    fn far_from_its_line_a_trigger_says_what_would_go_if_it_struck() {
        let predictions = predictions(500, 1, 0, |_| ());
        assert_eq!(names(&predictions), ["image_gc", "image_eviction", "inode_eviction"]);
        let collection = &predictions[0];
        assert!(!collection.crossed);
        assert_eq!(collection.level.headroom, Some(340));
        // 159 of 1,000 available, 200 wanted available: 41 to go, and the first image is too small for that.
        assert_eq!(collection.wanted, Some(Wanted { least: Some(41), most: 41 }));
        assert_eq!(collection.certain(), Total { images: 2, bytes: Bytes::new(80) });
        assert_eq!(collection.possible(), Total::default());
        assert_eq!(collection.suffices, Some(true));
        assert_eq!(collection.freed, Some(Freed { least: Bytes::new(160), most: Bytes::new(160) }));
        assert_eq!(collection.available_after, Some(Available::exactly(Bytes::new(319))));
        // Eviction expected_triggers at 149 available, float32 included.
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
        // Collection off, eviction on: everything unused goes all the same.
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
}
