//! Which settings of a kubelet keep images, to which values, and where are they written?
//!
//! Image GC and eviction stand a hundredth of the disk apart, and eviction deletes every unused image: both have to move, or
//! nothing is won.

use super::case::{Case, Known};
use crate::assess::Timeline;
use crate::model::eviction::deletes_images;
use crate::model::quantity::parse_threshold;
use crate::model::{EvictionThreshold, Origin, Signal, ThresholdValue, Trigger, usage};
use crate::units::{Bytes, Percent};

/// A setting and what it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub field: Field,
    /// The new value, as a kubelet reads it.
    pub value: String,
    /// Where it has to be written to be in force: where it stands now. What stands nowhere is written into the `--config` file, else
    /// into the last drop-in, else it is a flag.
    pub place: Origin,
}

/// A setting of a kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// imageGCHighThresholdPercent.
    HighThreshold,
    /// imageGCLowThresholdPercent.
    LowThreshold,
    /// imageMaximumGCAge.
    MaximumAge,
    /// The memory threshold of evictionHard, which is lost where the map is written for the first time without it.
    EvictionHardMemory,
    /// A threshold of evictionHard.
    EvictionHard(Signal),
    /// A threshold of evictionSoft.
    EvictionSoft(Signal),
}

/// Thresholds to be raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raise {
    /// The settings; those of image GC only where it is on.
    pub changes: Vec<Change>,
    /// Bytes available below which images are then deleted.
    pub threshold: Bytes,
    /// Whether more than that stays available for six hours with a probability of 90 %; `None`: too little was seen.
    pub suffices: Option<bool>,
}

/// Above it too little is left between a warning and a full disk.
const HIGHEST: i64 = 95;
/// The kubelet's default of evictionHard for memory.
const DEFAULT_MEMORY: &str = "100Mi";

/// The lowest thresholds that the forecast does not reach, or the highest that are sensible. `None`: the forecast does not
/// reach the ones in force, or the disk is fuller than the highest ones already.
pub(super) fn raise(case: Case<'_>, known: &Known<'_>) -> Option<Raise> {
    let (capacity, gc) = (known.space.capacity, &known.policy.image_gc);
    let available = known.space.available.saturating_sub(case.written);
    let floor = case.timeline.and_then(Timeline::floor);
    let floor = floor.map(|floor| floor.min(known.space.available).saturating_sub(case.written));
    let by_space = |trigger| matches!(trigger, Trigger::ImageGc | Trigger::ImageEviction);
    let mut thresholds = case.predictions.iter().map(|found| &found.level).filter(|level| by_space(level.trigger));
    let is_reached = |threshold: u64| floor.is_none_or(|floor| Bytes::new(threshold) > floor);
    if !thresholds.any(|level| is_reached(level.threshold)) {
        return None;
    }
    let at = |high: i64| usage::threshold(capacity, Percent::new(high));
    let (high, low) = (gc.high.value.get(), gc.low.value.get());
    let highest = if gc.enabled { HIGHEST.max(high) } else { HIGHEST };
    let lowest = if gc.enabled { high } else { 1 };
    let raised = (lowest..=highest).find(|high| !is_reached(at(*high).get())).unwrap_or(highest);
    let threshold = at(raised);
    if available < threshold {
        return None;
    }
    let mut changes = Vec::new();
    if gc.enabled && raised > high {
        changes.push(change(known, Field::HighThreshold, raised.to_string(), &gc.high.origin));
        // As far below as it is now.
        let low = (raised - (high - low).max(1)).max(0);
        changes.push(change(known, Field::LowThreshold, low.to_string(), &gc.low.origin));
    }
    // Half way between the threshold of image GC and a full disk.
    let percent = format!("{}%", ((101 - raised) / 2).max(1));
    let level = parse_threshold(&percent).ok().flatten()?.of(capacity.get());
    changes.extend(evictions(known, &percent, |threshold| {
        !threshold.signal.counts_inodes() && threshold.value.of(capacity.get()) > level
    }));
    let suffices = floor.map(|floor| threshold <= floor);
    (!changes.is_empty()).then_some(Raise { changes, threshold, suffices })
}

/// Everything off that deletes images; `None` where nothing is on.
pub(super) fn switch_off(known: &Known<'_>) -> Option<Vec<Change>> {
    let gc = &known.policy.image_gc;
    let mut changes = Vec::new();
    if gc.enabled {
        changes.push(change(known, Field::HighThreshold, "100".to_owned(), &gc.high.origin));
        let age = gc.maximum_age.iter();
        changes.extend(age.map(|age| change(known, Field::MaximumAge, "0s".to_owned(), &age.origin)));
    }
    changes.extend(evictions(known, "0%", |_| true));
    (!changes.is_empty()).then_some(changes)
}

/// The thresholds at which eviction deletes images, as far as they are `wanted`, set to a value. Where they stand nowhere, writing
/// them down replaces the kubelet's defaults, so that the other defaults are repeated.
fn evictions(known: &Known<'_>, value: &str, wanted: impl Fn(&EvictionThreshold) -> bool) -> Vec<Change> {
    let concerned =
        |threshold: &EvictionThreshold| deletes_images(threshold.signal, known.same_filesystem) && wanted(threshold);
    let policy = known.policy;
    let replaces_defaults =
        policy.eviction_hard.iter().any(|threshold| threshold.origin == Origin::Default && concerned(threshold));
    let mut changes = Vec::new();
    if replaces_defaults {
        changes.push(change(known, Field::EvictionHardMemory, DEFAULT_MEMORY.to_owned(), &Origin::Default));
    }
    for threshold in &policy.eviction_hard {
        let value = match threshold.value {
            _ if concerned(threshold) => value.to_owned(),
            ThresholdValue::Fraction(part) if replaces_defaults && threshold.origin == Origin::Default => {
                format!("{:.0}%", part * 100.0)
            }
            _ => continue,
        };
        changes.push(change(known, Field::EvictionHard(threshold.signal), value, &threshold.origin));
    }
    let soft = policy.eviction_soft.iter().map(|soft| &soft.threshold).filter(|threshold| concerned(threshold));
    changes.extend(
        soft.map(|threshold| change(known, Field::EvictionSoft(threshold.signal), value.to_owned(), &threshold.origin)),
    );
    changes
}

fn change(known: &Known<'_>, field: Field, value: String, origin: &Origin) -> Change {
    let config = known.kubelet.config.value();
    let written = || {
        let config = config?;
        let file = config.file.as_ref().map(|file| Origin::File(file.path.clone()));
        file.or_else(|| config.drop_ins.last().map(|file| Origin::DropIn(file.path.clone())))
    };
    let place = match origin {
        Origin::Default | Origin::Assumed => written().unwrap_or(Origin::Flag),
        written => written.clone(),
    };
    Change { field, value, place }
}
