//! What does the kubelet remember of each image? Its records are in its memory only; they are rebuilt here from what
//! was seen of the runtime around the kubelet's own passes, between bounds where more is not known.
//!
//! Mirrors `images/image_gc_manager.go` detectImages: every pass, about every 5 minutes since the start, gives an image
//! it has not seen before its time as "first detected", and every image in use the same "last used". A record ends with
//! the kubelet, and at the first pass that misses its image: an image that goes and comes back between two passes keeps
//! its record.
//!
//! Taken for granted: what is there, or in use, in two observations less than 7.5 minutes apart was so in between.

use super::in_use::{ContainersCounted, images_in_use};
use super::schedule::{DRIFT_LATEST, Expected, GC_PERIOD, GcSchedule, Start};
use super::{Release, Rule, TriState};
use crate::sample::{ImageId, ImageStore};
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Go's zero time, long before any start: what a kubelet up to 1.28 notes for images present at its first pass.
pub const BEFORE_EVERYTHING: Timestamp = Timestamp::from_micros(i64::MIN / 4);

/// Observations further apart than this say nothing about what was there or in use in between.
const CONTINUITY: Span = Span::from_secs(450);

/// So many observations are looked through again for a kubelet that turns out to have started before some of them: it is
/// seen up to 80 s after its start, where a shell became it, and lists come every 30 s, and around checks.
const LOOKED_THROUGH: usize = 5;

/// The records of one kubelet as far as they can be known. Serializable, so that it outlives a restart of highwater.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// Which kubelet: the time its process started.
    kubelet: Option<Timestamp>,
    /// Since when it serves pod resources, as far as the records reckon with it.
    serving_since: Option<Timestamp>,
    /// The number of the first pass that may not have happened yet when the last observation was made.
    next_pass: i64,
    /// The last observation that surely came before that pass; `None`: there was none.
    before: Option<Observation>,
    /// The time of the last observation of all.
    latest: Option<Timestamp>,
    /// What the kubelet may have noted of any image, also of one that is away, at passes that came before the first
    /// observation; nothing once a pass has been followed.
    unseen: Option<Record>,
    /// The end of the last tick that was seen to delete.
    tick: Option<Expected>,
    /// The end of a pass that may have been a tick, but did not fit the schedule: two that fit each other are a schedule.
    suspected: Option<Expected>,
    records: BTreeMap<ImageId, Record>,
    #[serde(skip)]
    recent: Recent,
}

/// What the kubelet notes of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// First detected: not before this.
    pub first_detected_earliest: Timestamp,
    /// First detected: not after this; `None`: it may be that no pass has seen the image yet.
    pub first_detected_latest: Option<Timestamp>,
    /// Last used: not before this; `None`: it may be that no pass has seen it in use.
    pub last_used_earliest: Option<Timestamp>,
    /// Last used: not after this; `None`: no pass has seen it in use.
    pub last_used_latest: Option<Timestamp>,
}

/// What one look at the runtime showed: the images, and whether each was in use. Shared, since lists seldom differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Observation {
    at: Timestamp,
    images: Arc<BTreeMap<ImageId, TriState>>,
}

/// The last observations, oldest first. Not written down, and so no part of what makes two inventories equal: what they tell is
/// lost by a restart of highwater between the start of a kubelet and the first sight of it.
#[derive(Debug, Clone, Default)]
struct Recent(VecDeque<Looked>);

impl PartialEq for Recent {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Recent {}

/// An observation, and whether an eviction threshold was crossed since the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Looked {
    observation: Observation,
    under_pressure: bool,
}

impl Inventory {
    /// Takes note of what a runtime holds at `at`, under the kubelet with this start.
    ///
    /// Observations come in order of time; one that is not later than the one before is passed over, and so is a list
    /// that is not whole. Another kubelet begins with empty records; observations since its start are taken for its own,
    /// whoever was believed to run then: a kubelet is seen some time after its start. `under_pressure`: an eviction
    /// threshold was crossed at some time since the last observation, so that there may have been passes every 10 seconds.
    pub fn observe(&mut self, at: Timestamp, start: Start, store: &ImageStore, under_pressure: bool) {
        let Some(looked) = self.look(at, start.release(), store, under_pressure) else { return };
        if self.kubelet != Some(start.process_at()) || self.is_better_told_by(start) {
            self.begin(start);
        }
        self.note(&looked, start);
        self.remember(looked);
    }

    /// Takes note of what a runtime holds while no kubelet is seen: the first pass of the next one sees what is there before
    /// and after.
    pub fn observe_without_kubelet(
        &mut self,
        at: Timestamp,
        release: Release,
        store: &ImageStore,
        under_pressure: bool,
    ) {
        let Some(looked) = self.look(at, release, store, under_pressure) else { return };
        let before = Some(looked.observation.clone());
        *self = Self { before, latest: Some(at), recent: std::mem::take(&mut self.recent), ..Self::default() };
        self.remember(looked);
    }

    /// A list as an observation; `None` for one that is not whole or not new.
    fn look(&self, at: Timestamp, release: Release, store: &ImageStore, under_pressure: bool) -> Option<Looked> {
        if !store.complete || self.latest.is_some_and(|latest| at <= latest) {
            return None;
        }
        let images = images(release, store);
        let last = self.recent.0.back().map(|last| &last.observation.images).filter(|last| ***last == images);
        let images = last.map_or_else(|| Arc::new(images), Arc::clone);
        Some(Looked { observation: Observation { at, images }, under_pressure })
    }

    fn remember(&mut self, looked: Looked) {
        let Recent(recent) = &mut self.recent;
        if recent.len() >= LOOKED_THROUGH {
            recent.pop_front();
        }
        recent.push_back(looked);
    }

    /// Whether the first pass came at another time than was reckoned with, and all that was seen since the start is at hand.
    fn is_better_told_by(&self, start: Start) -> bool {
        let Recent(recent) = &self.recent;
        let from_the_start = recent.front().is_some_and(|first| first.observation.at <= start.process_at());
        start.serving_since().is_some_and(|since| self.serving_since != Some(since)) && from_the_start
    }

    /// Begins with the records of another kubelet. What was in the store before its start is known still, what was seen since
    /// is of its time; what the old kubelet knew is gone.
    fn begin(&mut self, start: Start) {
        let kubelet = start.process_at();
        let Recent(recent) = std::mem::take(&mut self.recent);
        let earlier = recent.iter().rev().map(|looked| &looked.observation).find(|earlier| earlier.at <= kubelet);
        let before = earlier.cloned().or_else(|| self.before.take().filter(|before| before.at <= kubelet));
        *self = Self { kubelet: Some(kubelet), serving_since: start.serving_since(), before, ..Self::default() };
        for looked in recent.iter().filter(|looked| looked.observation.at > kubelet) {
            self.note(looked, start);
        }
        self.recent = Recent(recent);
    }

    /// Takes note of an observation under this kubelet.
    fn note(&mut self, looked: &Looked, start: Start) {
        let now = &looked.observation;
        if looked.under_pressure {
            self.passes_between(now);
        }
        // Every pass between the observation before and this one saw the same as far as is known: the first and the
        // last bound what it can have noted.
        let (first, next) = (self.next_pass, self.next_pass.max(passes_until(start, now.at)));
        if next > first {
            self.passed(now, first, start);
        }
        if next > first.saturating_add(1) {
            self.passed(now, next.saturating_sub(1), start);
        }
        self.next_pass = next;
        if let Some(record) = self.unseen {
            for id in now.images.keys() {
                self.records.entry(id.clone()).or_insert(record);
            }
        }
        if now.at <= start.pass(self.next_pass).earliest {
            self.before = Some(now.clone());
        }
        self.latest = Some(now.at);
    }

    /// What the kubelet has noted of an image; `None`: no pass has seen it, so that the next one will be the first.
    pub fn record(&self, image: &ImageId) -> Option<&Record> {
        self.records.get(image)
    }

    /// When the kubelet looks, as far as its ticks were seen.
    pub fn schedule(&self, start: Start) -> GcSchedule {
        GcSchedule::of(start).with(self.tick.filter(|_| self.kubelet == Some(start.process_at())))
    }

    /// Takes note of a tick that deleted images which were there at `after` and no more at `before`; `expected`: the tick that
    /// it was, as it was expected.
    pub fn ticked(&mut self, expected: Expected, after: Timestamp, before: Timestamp) {
        self.tick = Some(GcSchedule::seen(expected, after, before));
        self.suspected = None;
    }

    /// Takes note of deletions that no tick is known for, while the line of collection was crossed. A long life with passes that
    /// deleted moves the schedule: two of them at a distance of whole periods are taken for ticks.
    pub fn may_have_ticked(&mut self, after: Timestamp, before: Timestamp, start: Start) {
        let at = after + Span::from_micros(before.since(after).micros() / 2);
        let earlier = self.suspected.replace(Expected { earliest: after, at, latest: before });
        let fits = earlier.and_then(|earlier| {
            let next = GcSchedule::of(start).with(Some(earlier)).next_check(after.max(earlier.latest));
            (next.earliest <= before && after <= next.latest).then_some(next)
        });
        if let Some(expected) = fits {
            self.ticked(expected, after, before);
        }
    }

    /// The start of the kubelet whose records these are; `None` before the first observation.
    pub fn kubelet(&self) -> Option<Timestamp> {
        self.kubelet
    }

    /// The pass of this number came after `before` and before `now`.
    fn passed(&mut self, now: &Observation, number: i64, start: Start) {
        let (time, release) = (start.pass(number).at, start.release());
        let voids = number == 0 && release.holds(Rule::StartVoidsMinimumAge).is_possible();
        let earliest = if voids { BEFORE_EVERYTHING } else { time };
        // Where it is not known whether the release voids the age, the image may be young.
        let latest =
            if voids && release.holds(Rule::StartVoidsMinimumAge).is_certain() { BEFORE_EVERYTHING } else { time };
        let continuous = self.before.as_ref().is_some_and(|before| now.at.since(before.at) <= CONTINUITY);
        if !continuous {
            // What was there before and after may have been deleted and pulled again in between.
            self.records.values_mut().for_each(Record::may_have_ended);
        }
        let before = &self.before;
        // Of several unseen passes the first bounds the first sight, the last the last use.
        let new = self.unseen.take().unwrap_or(Record::unseen(earliest));
        self.unseen = before.is_none().then_some(Record { last_used_latest: Some(time), ..new });
        self.records.retain(|id, record| {
            let was = before.as_ref().is_some_and(|before| before.images.contains_key(id));
            let is = now.images.contains_key(id);
            if was != is {
                record.may_have_ended();
            }
            was || is
        });
        let there = before.iter().flat_map(|before| before.images.keys()).chain(now.images.keys());
        for id in there {
            let was = before.as_ref().and_then(|before| before.images.get(id)).copied();
            let is = now.images.get(id).copied();
            let record = self.records.entry(id.clone()).or_insert(new);
            if was.is_some() && is.is_some() && continuous && record.first_detected_latest.is_none() {
                record.first_detected_latest = Some(latest);
            }
            let (used_then, used_now) = (was.unwrap_or(TriState::No), is.unwrap_or(TriState::No));
            if used_then.is_certain() && used_now.is_certain() && continuous {
                record.last_used_earliest = Some(time);
            }
            if used_then.is_possible() || used_now.is_possible() || !continuous {
                // An eviction pass may have come after this one.
                record.last_used_latest = record.last_used_latest.max(Some(time));
            }
        }
    }

    /// Eviction passes may have seen whatever was there since the last observation.
    fn passes_between(&mut self, now: &Observation) {
        let since = self.latest.or(self.kubelet).unwrap_or(now.at);
        for (_, record) in self.records.iter_mut().filter(|(id, _)| !now.images.contains_key(*id)) {
            record.may_have_ended();
        }
        for (id, used) in now.images.iter() {
            let record = self.records.entry(id.clone()).or_insert(Record::unseen(since));
            if used.is_possible() {
                record.last_used_latest = record.last_used_latest.max(Some(now.at));
            }
        }
    }
}

impl Record {
    /// A record that may come to be at this time, and perhaps later.
    const fn unseen(earliest: Timestamp) -> Self {
        Self {
            first_detected_earliest: earliest,
            first_detected_latest: None,
            last_used_earliest: None,
            last_used_latest: None,
        }
    }

    /// The image was away, and a pass may have dropped the record; if it comes back, it may have a new one or still
    /// this.
    const fn may_have_ended(&mut self) {
        self.first_detected_latest = None;
        self.last_used_earliest = None;
    }
}

/// How many passes have surely happened by `at`: those whose latest time is not after it.
fn passes_until(start: Start, at: Timestamp) -> i64 {
    let since_first = at.since(start.first_pass().latest).micros();
    let after_first = since_first / GC_PERIOD.saturating_add(DRIFT_LATEST).micros();
    if since_first < 0 { 0 } else { after_first.saturating_add(1) }
}

fn images(release: Release, store: &ImageStore) -> BTreeMap<ImageId, TriState> {
    let in_use = images_in_use(store, release, ContainersCounted::All);
    store.images.iter().map(|image| (image.id.clone(), in_use.contains(&image.id))).collect()
}

#[cfg(test)]
mod tests;
