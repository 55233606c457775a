//! What do a layer's images mean: which would each trigger delete, which were deleted, and what is remembered of them in between?
//! Joins the runtime's lists with the model; keeps the kubelet's records, and the counts of deletions, from sample to sample.
//!
//! The records outlive a restart of highwater where its state is kept (`persisted.rs`); the counts of deletions do not.

use crate::model::candidates::{Deletion, Eligibility, eligibilities};
use crate::model::deletions::{Circumstances, deletions};
use crate::model::eviction::deletes_images;
use crate::model::in_use::{ContainersCounted, images_in_use};
use crate::model::prediction::{Crossings, Prediction, Subject, predict};
use crate::model::recovery::{Critical, NeverPulled, Recoverable, critical, recoverable};
use crate::model::schedule::{Crossing, Expected, GcSchedule, SYNC_PERIOD, Start};
use crate::model::victims::SafeReason;
use crate::model::{GcPolicy, Inventory, Release, Trigger, TriggerLevel};
use crate::sample::{FilesystemId, ImageId, ImageStore, KubeletSample, Reading, Space};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A filesystem and its numbers, where they are known.
pub(super) type Measured<'a> = Option<(FilesystemId, &'a Space)>;

/// What is known of the images of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct ImagesAssessment {
    /// When the runtime listed them.
    pub listed_at: Timestamp,
    /// Whether the lists were whole.
    pub complete: bool,
    /// One for each image of the sample, in its order.
    pub images: Vec<ImageNote>,
    /// What each trigger that deletes images would do; empty without a kubelet, or where its settings or disk are not known.
    pub predictions: Vec<Prediction>,
    /// When an image that is loaded now, and never used, could be collected at the earliest; `None` where nothing collects.
    pub new_image_gc_eligible_at: Option<Timestamp>,
    /// Since when the kubelet's records could be followed; `None`: not at all yet.
    pub followed_since: Option<Timestamp>,
    /// What the predictions rest on, for questions that assume something else.
    pub basis: Basis,
}

/// What earlier samples say of a layer, beside what the present one does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Basis {
    /// The kubelet's records.
    records: Arc<Inventory>,
    /// Since when soft thresholds are crossed.
    crossings: Crossings,
    /// What is reserved for root on the image filesystem.
    reserved: Option<Bytes>,
}

/// What is known of one image, whatever triggers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageNote {
    /// Which.
    pub id: ImageId,
    /// What it is to the next GC run of the kubelet.
    pub state: ImageState,
    /// Whether it can be pulled again.
    pub recoverable: Recoverable,
    /// Why its loss would stop the node; `None`: it would not.
    pub critical: Option<Critical>,
    /// When it was last used, as the kubelet noted it.
    pub last_used: LastUsed,
    /// Whether the kubelet surely has detected it. If not, the next GC run may be the first to, and finds it too young.
    pub seen: bool,
}

impl ImageNote {
    /// Whether its loss is more than a pull: it cannot come back, or the node needs it.
    pub fn is_fatal(&self) -> bool {
        self.recoverable == Recoverable::No || self.critical.is_some()
    }
}

/// What an image is to the kubelet; the value of the `state` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageState {
    /// A container uses it.
    InUse,
    /// The runtime pins it.
    Pinned,
    /// The kubelet has not known it for the minimum age.
    TooYoung,
    /// It can be deleted, or that cannot be excluded.
    Evictable,
}

/// When the kubelet last saw an image in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastUsed {
    /// It is not known: highwater has not run for long enough.
    Unknown,
    /// Never, since the kubelet started.
    Never,
    /// At a GC run at this time.
    At(Timestamp),
}

/// What was seen to be deleted by one trigger since highwater started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// Bursts of deletions.
    pub runs: u64,
    /// Images.
    #[serde(rename = "count")]
    pub images: u64,
    /// Their sizes as the runtime lists them.
    pub bytes: Bytes,
}

/// What is kept of one layer from sample to sample.
#[derive(Debug, Clone, Default)]
pub(super) struct LayerState {
    inventory: Inventory,
    followed_since: Option<Timestamp>,
    last: Option<(Timestamp, ImageStore)>,
    /// The last kubelet that was seen with image GC enabled.
    collector: Option<Collector>,
    /// The last time at which the threshold of image GC was seen crossed.
    gc_crossed: Option<Timestamp>,
    /// The last time at which the threshold of an eviction was crossed for long enough, and by trigger that of one that deletes
    /// images.
    evicting: Option<Timestamp>,
    evicting_images: BTreeMap<Trigger, Timestamp>,
    /// The last time at which each soft threshold was seen not crossed, and since when those that are crossed are.
    above: BTreeMap<(Trigger, FilesystemId), Timestamp>,
    crossings: Crossings,
    /// What is reserved for root on the image filesystem, from the last time that it was not full.
    reserved: Option<(FilesystemId, Bytes)>,
    /// By trigger; `None`: it cannot be told what deleted them.
    observed: BTreeMap<Option<Trigger>, Observed>,
    cached: Option<Cached>,
    /// A copy of the inventory that snapshots share; `None` once the inventory has changed.
    shared: Option<Arc<Inventory>>,
}

/// A kubelet whose image GC is enabled.
#[derive(Debug, Clone, Copy)]
struct Collector {
    seen_at: Timestamp,
    start: Start,
    collects_by_age: bool,
}

#[derive(Debug, Clone)]
struct Cached {
    listed_at: Timestamp,
    assessed_at: Timestamp,
    assessment: ImagesAssessment,
}

/// What is needed to know of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) now: Timestamp,
    pub(super) kubelet: Option<&'a KubeletSample>,
    pub(super) policy: Option<&'a GcPolicy>,
    pub(super) release: Release,
    pub(super) imagefs: Measured<'a>,
    pub(super) nodefs: Measured<'a>,
    pub(super) stats_period: Span,
    pub(super) levels: &'a [TriggerLevel],
    pub(super) images: &'a Reading<ImageStore>,
}

/// A GC run decides on figures of up to one sync period before, and is seen up to one sample later.
const CROSSED_BEFORE_GC_RUN: Span = Span::from_secs(16);
/// The kubelet's next sync comes up to 10 s after the sample that saw the threshold crossed, and a list may lie in between.
const CROSSED_BEFORE_SYNC: Span = Span::from_secs(10);
/// Larger stores are assessed anew only with a new list, once in a sync period, and under pressure: 5,000 images take some
/// milliseconds.
const ALWAYS_JUDGED: usize = 500;

impl LayerState {
    /// One that was followed up to `at`, and not since. The disk may have been short of space in between.
    pub(super) fn resume(inventory: Inventory, followed_since: Option<Timestamp>, at: Timestamp) -> Self {
        Self { inventory, followed_since, evicting: Some(at), ..Self::default() }
    }

    /// Whether there are records of a kubelet.
    pub(super) fn knows_a_kubelet(&self) -> bool {
        self.inventory.kubelet().is_some()
    }

    /// What its kubelet remembers.
    pub(super) const fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Since when its records could be followed.
    pub(super) const fn followed_since(&self) -> Option<Timestamp> {
        self.followed_since
    }

    /// Takes note of a sample.
    pub(super) fn observe(&mut self, given: Given<'_>) {
        self.note_levels(given);
        if let Some(kubelet) = given.kubelet {
            if self.inventory.kubelet() != Some(kubelet.started_at) {
                self.followed_since = None;
            }
            let evicts = self.evicting == Some(given.now);
            let sandbox_image =
                kubelet.config.value().and_then(|config| config.flags.pod_infra_container_image.as_deref());
            if self.inventory.sandbox_image_is(sandbox_image)
                | self.inventory.kubelet_runs(kubelet.into())
                | (evicts && self.inventory.pressure())
            {
                self.shared = None;
            }
        }
        let collector = Collector::of(given);
        let earlier_collector = self.collector;
        self.collector = collector.or(earlier_collector);
        let Reading::Present { value: store, at } = given.images else { return };
        if self.last.as_ref().is_some_and(|(last, _)| last >= at) {
            return;
        }
        let since_last = |seen: Option<Timestamp>| {
            seen.is_some_and(|seen| self.last.as_ref().is_none_or(|(last, _)| seen >= *last - CROSSED_BEFORE_SYNC))
        };
        let under_pressure = since_last(self.evicting);
        let eviction = self.evicting_images.iter().find(|(_, seen)| since_last(Some(**seen)));
        let eviction = eviction.map(|(trigger, _)| *trigger);
        if let Some((last, earlier)) = &self.last {
            let circumstances = Circumstances {
                release: given.release,
                // One that has ended since may have deleted them.
                gc_run: [collector, earlier_collector]
                    .into_iter()
                    .flatten()
                    .find_map(|collector| self.expected_gc_run(collector, *last, *at)),
                eviction,
            };
            if let Some(gone) = deletions((*last, earlier), (*at, store), circumstances) {
                let gc_crossed = since_last(self.gc_crossed) && eviction.is_none();
                match (gone.trigger, circumstances.gc_run, given.kubelet) {
                    (Some(Trigger::ImageGc), Some(run), _) => self.inventory.note_gc_run(run, gone.after, gone.before),
                    (None, _, Some(kubelet)) if gc_crossed => {
                        self.inventory.note_possible_gc_run(gone.after, gone.before, kubelet.into());
                    }
                    _ => {}
                }
                let observed = self.observed.entry(gone.trigger).or_default();
                observed.runs = observed.runs.saturating_add(1);
                observed.images = observed.images.saturating_add(u64::try_from(gone.images.len()).unwrap_or(u64::MAX));
                observed.bytes = observed.bytes.saturating_add(gone.bytes);
            }
        }
        if let Some(kubelet) = given.kubelet {
            self.followed_since.get_or_insert(*at);
            self.inventory.observe(*at, kubelet.into(), store, under_pressure);
            self.shared = None;
        } else {
            self.inventory.observe_without_kubelet(*at, given.release, store, under_pressure);
        }
        if store.complete {
            self.last = Some((*at, store.clone()));
        }
    }

    /// Takes note of the thresholds that are crossed, and of what is reserved on the image filesystem.
    fn note_levels(&mut self, given: Given<'_>) {
        if let Some((id, space)) = given.imagefs.filter(|(_, space)| space.available > Bytes::ZERO) {
            self.reserved = Some((id, space.free.saturating_sub(space.available)));
        }
        let same = matches!((given.imagefs, given.nodefs), (Some((image, _)), Some((node, _))) if image == node);
        for level in given.levels {
            if !self.acts(level, given.now) {
                continue;
            }
            match level.trigger {
                Trigger::ImageGc => self.gc_crossed = Some(given.now),
                Trigger::ImageEviction | Trigger::InodeEviction => {
                    self.evicting = Some(given.now);
                    if level.signal.is_none_or(|signal| deletes_images(signal, same)) {
                        self.evicting_images.insert(level.trigger, given.now);
                    }
                }
                Trigger::PodEviction => self.evicting = Some(given.now),
                Trigger::DiskFull => {}
            }
        }
    }

    /// Whether the kubelet may act on a threshold: it is crossed, or is a soft one whose grace period may have ended by now. One that
    /// is not crossed any more may have been so up to a moment ago.
    fn acts(&mut self, level: &TriggerLevel, now: Timestamp) -> bool {
        let is_crossed = level.headroom.is_some_and(|headroom| headroom < 0);
        if level.grace_period <= Span::ZERO {
            return is_crossed;
        }
        let key = (level.trigger, level.filesystem);
        let crossing = if is_crossed {
            let begins = Crossing { earliest: self.above.get(&key).copied(), latest: now };
            Some(*self.crossings.entry(key).or_insert(begins))
        } else {
            self.above.insert(key, now);
            self.crossings.remove(&key)
        };
        crossing.is_some_and(|crossing| crossing.may_have_lasted(level.grace_period, now))
    }

    /// Since when a soft threshold is seen crossed; `None`: it is not, or no soft one.
    pub(super) fn grace_since(&self, level: &TriggerLevel) -> Option<Timestamp> {
        let is_soft = level.grace_period > Span::ZERO;
        let crossing = self.crossings.get(&(level.trigger, level.filesystem)).filter(|_| is_soft);
        crossing.map(|crossing| crossing.latest)
    }

    /// The GC run that may lie between two lists, if it deletes by age, or the threshold was seen crossed when it decided.
    fn expected_gc_run(&self, collector: Collector, last: Timestamp, at: Timestamp) -> Option<Expected> {
        let slack = Span::from_secs(5);
        let run = self.inventory.schedule(collector.start).next_gc_run(last - slack);
        let crossed = self.gc_crossed.is_some_and(|seen| seen >= run.earliest - CROSSED_BEFORE_GC_RUN);
        let acts = collector.seen_at >= last - slack && (crossed || collector.collects_by_age);
        (acts && run.earliest <= at + slack).then_some(run)
    }

    /// What the images mean; `None` where the runtime does not tell them.
    pub(super) fn assess(&mut self, given: Given<'_>, critical_images: &[String]) -> Option<ImagesAssessment> {
        let Reading::Present { value: store, at } = given.images else { return None };
        if let Some(cached) = &self.cached
            && cached.listed_at == *at
            && given.now.since(cached.assessed_at) < SYNC_PERIOD
            && given.levels.iter().all(|level| level.headroom.is_none_or(|headroom| headroom >= 0))
            && store.images.len() > ALWAYS_JUDGED
        {
            return Some(cached.assessment.clone());
        }
        let basis = Basis {
            records: Arc::clone(self.shared.get_or_insert_with(|| Arc::new(self.inventory.clone()))),
            crossings: self.crossings.clone(),
            reserved: self
                .reserved
                .filter(|(id, _)| given.imagefs.is_some_and(|(imagefs, _)| imagefs == *id))
                .map(|(_, bytes)| bytes),
        };
        let assessment = ImagesAssessment {
            listed_at: *at,
            complete: store.complete,
            images: self.notes(store, given, critical_images),
            predictions: predictions(given, &basis, Bytes::ZERO),
            new_image_gc_eligible_at: self.new_image_gc_eligible_at(given),
            followed_since: self.followed_since,
            basis,
        };
        if store.images.len() > ALWAYS_JUDGED {
            self.cached = Some(Cached { listed_at: *at, assessed_at: given.now, assessment: assessment.clone() });
        }
        Some(assessment)
    }

    fn notes(&self, store: &ImageStore, given: Given<'_>, critical_images: &[String]) -> Vec<ImageNote> {
        let kubelet = given.kubelet.map(|kubelet| self.schedule(kubelet));
        let minimum_age = given.policy.filter(|_| kubelet.is_some()).map(|policy| policy.image_gc.minimum_age.value);
        let deletion = Deletion {
            start: kubelet.map_or(Start::of(given.now, given.release), |schedule| schedule.start()),
            at: kubelet.map_or(Expected::exactly(given.now), |schedule| schedule.next_gc_run(given.now)),
            minimum_age,
            inventory: &self.inventory,
        };
        let in_use = images_in_use(store, given.release, ContainersCounted::All, self.inventory.sandbox_image());
        let critical = critical(store, critical_images);
        let config = given.kubelet.and_then(|kubelet| kubelet.config.value());
        let never_pulled = NeverPulled::of(config.map_or(&[], |config| &config.never_pulled));
        let notes =
            store.images.iter().zip(eligibilities(store, &in_use, deletion)).map(|(image, eligibility)| ImageNote {
                id: image.id.clone(),
                state: match eligibility {
                    Eligibility::Safe(SafeReason::InUse) => ImageState::InUse,
                    Eligibility::Safe(SafeReason::Pinned) => ImageState::Pinned,
                    Eligibility::Safe(SafeReason::TooYoung) => ImageState::TooYoung,
                    Eligibility::Safe(_) | Eligibility::Candidate(_) => ImageState::Evictable,
                },
                recoverable: if never_pulled.has(image) { Recoverable::No } else { recoverable(image) },
                critical: critical.get(&image.id).copied(),
                last_used: self.last_used(&image.id),
                seen: self.inventory.record(&image.id).is_some_and(|record| record.first_detected_latest.is_some()),
            });
        notes.collect()
    }

    fn last_used(&self, image: &ImageId) -> LastUsed {
        let Some(record) = self.inventory.record(image) else {
            // No record is no use only where the records are known at all.
            return if self.inventory.kubelet().is_some() { LastUsed::Never } else { LastUsed::Unknown };
        };
        match (record.last_used_earliest, record.last_used_latest) {
            (_, None) => LastUsed::Never,
            (Some(earliest), Some(latest)) if earliest == latest => LastUsed::At(latest),
            (_, Some(_)) => LastUsed::Unknown,
        }
    }

    /// When the kubelet runs image GC.
    pub(super) fn schedule(&self, kubelet: &KubeletSample) -> GcSchedule {
        self.inventory.schedule(kubelet.into())
    }

    fn new_image_gc_eligible_at(&self, given: Given<'_>) -> Option<Timestamp> {
        let gc = &given.policy?.image_gc;
        let kubelet = given.kubelet.filter(|_| gc.enabled)?;
        Some(self.schedule(kubelet).new_image_gc_eligible_at(given.now, gc.minimum_age.value).earliest)
    }

    pub(super) fn observed(&self) -> BTreeMap<Option<Trigger>, Observed> {
        self.observed.clone()
    }
}

impl Collector {
    fn of(given: Given<'_>) -> Option<Self> {
        let (kubelet, policy) = given.kubelet.zip(given.policy)?;
        let gc = &policy.image_gc;
        let collects_by_age = gc.maximum_age.is_some();
        gc.enabled.then(|| Self { seen_at: given.now, start: kubelet.into(), collects_by_age })
    }
}

/// What each trigger that deletes images would do, after so many more bytes were written.
pub(super) fn predictions(given: Given<'_>, basis: &Basis, written: Bytes) -> Vec<Prediction> {
    let (Some(kubelet), Some(policy), Some(store)) = (given.kubelet, given.policy, given.images.value()) else {
        return Vec::new();
    };
    let subject = Subject {
        policy,
        schedule: basis.records.schedule(kubelet.into()).measured_every(given.stats_period),
        now: given.now,
        imagefs: given.imagefs,
        nodefs: given.nodefs,
        store,
        inventory: &basis.records,
        crossings: &basis.crossings,
        reserved: basis.reserved,
    };
    predict(subject, written)
}

impl ImageState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::InUse, Self::Pinned, Self::TooYoung, Self::Evictable];

    /// The value of the `state` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "in_use",
            Self::Pinned => "pinned",
            Self::TooYoung => "too_young",
            Self::Evictable => "evictable",
        }
    }
}
