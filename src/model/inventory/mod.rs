//! What does the kubelet remember of each image? Its records are in its memory only; they are rebuilt here from what the runtime
//! listed around the kubelet's own image GC runs, between bounds where more is not known.
//!
//! Mirrors `images/image_gc_manager.go` detectImages: every run, about every 5 minutes since the start, gives an image that it has
//! not seen before its time as "first detected", and every image in use the same "last used". A record ends with the kubelet, and
//! at the first run that misses its image: an image that is deleted and comes back between two runs keeps its record.
//!
//! Taken for granted: what is there, or in use, in two lists less than 7.5 minutes apart was so in between.

use super::in_use::{ContainersCounted, images_in_use};
use super::schedule::{DRIFT_LATEST, Expected, GC_PERIOD, GcSchedule, Start};
use super::{Release, Rule, TriState};
use crate::sample::{ImageId, ImageStore};
use crate::time::{Span, Timestamp};
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Go's zero time, long before any start: what a kubelet up to 1.28 notes for images present at its first run.
pub const BEFORE_EVERYTHING: Timestamp = Timestamp::from_micros(i64::MIN / 4);

/// Lists further apart than this say nothing about what was there or in use in between.
const CONTINUITY: Span = Span::from_secs(450);

/// So many lists are kept for a kubelet that turns out to have started before some of them: it is seen up to 80 s after its start,
/// where a shell became it, and lists come every 30 s, and around GC runs.
const RECENT_LISTS: usize = 5;

/// The records of one kubelet as far as they can be known. Serializable, so that it outlives a restart of highwater.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// Which kubelet: the time its process started.
    kubelet: Option<Timestamp>,
    /// Since when it serves pod resources, as far as the records reckon with it.
    serving_since: Option<Timestamp>,
    /// The number of the first GC run that may not have happened yet when the last list was made.
    next_run: i64,
    /// The last list that surely came before that run; `None`: there was none.
    before: Option<Observation>,
    /// The time of the last list of all.
    latest: Option<Timestamp>,
    /// Whether an eviction threshold was crossed since then.
    under_pressure: bool,
    /// What the kubelet may have noted of any image, also of one that is away, at runs that came before the first list; nothing
    /// once a run has been followed.
    unseen: Option<Record>,
    /// The end of the last GC run that was seen to delete.
    last_gc_run: Option<Expected>,
    /// The end of deletions that may have been a GC run, but did not fit the schedule: two that fit each other are a schedule.
    suspected: Option<Expected>,
    records: BTreeMap<ImageId, Record>,
    /// What the kubelet's `--pod-infra-container-image` says.
    sandbox_image: Option<Label>,
    #[serde(skip)]
    recent: Recent,
}

/// What the kubelet notes of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// First detected: not before this.
    pub first_detected_earliest: Timestamp,
    /// First detected: not after this; `None`: it may be that no run has seen the image yet.
    pub first_detected_latest: Option<Timestamp>,
    /// Last used: not before this; `None`: it may be that no run has seen it in use.
    pub last_used_earliest: Option<Timestamp>,
    /// Last used: not after this; `None`: no run has seen it in use.
    pub last_used_latest: Option<Timestamp>,
}

/// What one list of the runtime showed: the images, and whether each was in use. Shared, since lists seldom differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Observation {
    at: Timestamp,
    images: Arc<BTreeMap<ImageId, TriState>>,
}

/// The last lists, oldest first. Not persisted, and so no part of what makes two inventories equal: what they tell is lost by a
/// restart of highwater between the start of a kubelet and its discovery.
#[derive(Debug, Clone, Default)]
struct Recent(VecDeque<Listed>);

impl PartialEq for Recent {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Recent {}

/// An observation, and whether an eviction threshold was crossed since the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    observation: Observation,
    under_pressure: bool,
}

impl Inventory {
    /// Takes note of what a runtime holds at `at`, under the kubelet with this start.
    ///
    /// Lists come in order of time; one that is not later than the one before is ignored, and so is one that is not whole. Another
    /// kubelet begins with empty records; lists since its start are taken for its own, whoever was believed to run then: a
    /// kubelet is discovered some time after its start. `under_pressure`: an eviction threshold was crossed at some time since
    /// the last list, so that there may have been syncs every 10 seconds that refreshed the records.
    pub fn observe(&mut self, at: Timestamp, start: Start, store: &ImageStore, under_pressure: bool) {
        let Some(listed) = self.list(at, start.release(), store, under_pressure) else { return };
        self.kubelet_runs(start);
        self.note(&listed, start);
        self.remember(listed);
    }

    /// Takes note of a kubelet that runs, also where its runtime has not been listed since its start. Whether that changes anything.
    pub fn kubelet_runs(&mut self, start: Start) -> bool {
        let is_new = self.kubelet != Some(start.process_at()) || self.is_better_told_by(start);
        if is_new {
            self.begin(start);
        }
        is_new
    }

    /// Takes note of what the kubelet's `--pod-infra-container-image` says. Whether that changes anything.
    pub fn sandbox_image_is(&mut self, name: Option<&str>) -> bool {
        let is_new = self.sandbox_image.as_ref().map(Label::as_str) != name;
        if is_new {
            self.sandbox_image = name.map(Label::new);
        }
        is_new
    }

    /// What the kubelet's `--pod-infra-container-image` says, as far as it is known.
    pub const fn sandbox_image(&self) -> Option<&Label> {
        self.sandbox_image.as_ref()
    }

    /// Takes note of an eviction threshold that is crossed: syncs since the last list may have refreshed the records. Whether that
    /// changes anything.
    pub const fn pressure(&mut self) -> bool {
        let is_new = !self.under_pressure;
        self.under_pressure = true;
        is_new
    }

    /// Takes note of what a runtime holds while no kubelet is seen: the first run of the next one sees what is there before and
    /// after.
    pub fn observe_without_kubelet(
        &mut self,
        at: Timestamp,
        release: Release,
        store: &ImageStore,
        under_pressure: bool,
    ) {
        let Some(listed) = self.list(at, release, store, under_pressure) else { return };
        let before = Some(listed.observation.clone());
        *self = Self { before, latest: Some(at), recent: std::mem::take(&mut self.recent), ..Self::default() };
        self.remember(listed);
    }

    /// A list as an observation; `None` for one that is not whole or not new.
    fn list(&self, at: Timestamp, release: Release, store: &ImageStore, under_pressure: bool) -> Option<Listed> {
        if !store.complete || self.latest.is_some_and(|latest| at <= latest) {
            return None;
        }
        let images = images(release, store, self.sandbox_image());
        let last = self.recent.0.back().map(|last| &last.observation.images).filter(|last| ***last == images);
        let images = last.map_or_else(|| Arc::new(images), Arc::clone);
        Some(Listed { observation: Observation { at, images }, under_pressure })
    }

    fn remember(&mut self, listed: Listed) {
        let Recent(recent) = &mut self.recent;
        if recent.len() >= RECENT_LISTS {
            recent.pop_front();
        }
        recent.push_back(listed);
    }

    /// Whether the first run came at another time than was reckoned with, and all lists since the start are at hand.
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
        let earlier = recent.iter().rev().map(|listed| &listed.observation).find(|earlier| earlier.at <= kubelet);
        let before = earlier.cloned().or_else(|| self.before.take().filter(|before| before.at <= kubelet));
        let sandbox_image = self.sandbox_image.take();
        let serving_since = start.serving_since();
        *self = Self { kubelet: Some(kubelet), serving_since, before, sandbox_image, ..Self::default() };
        for listed in recent.iter().filter(|listed| listed.observation.at > kubelet) {
            self.note(listed, start);
        }
        self.recent = Recent(recent);
    }

    /// Takes note of an observation under this kubelet.
    fn note(&mut self, listed: &Listed, start: Start) {
        let now = &listed.observation;
        if listed.under_pressure {
            self.note_eviction_syncs(now, start);
        }
        // Every run between the list before and this one saw the same as far as is known: the first and the last bound what it can
        // have noted.
        let (first, next) = (self.next_run, self.next_run.max(gc_runs_until(start, now.at)));
        if next > first {
            self.note_run(now, first, start);
        }
        if next > first.saturating_add(1) {
            self.note_run(now, next.saturating_sub(1), start);
        }
        self.next_run = next;
        if let Some(record) = self.unseen {
            for id in now.images.keys() {
                self.records.entry(id.clone()).or_insert(record);
            }
        }
        if now.at <= start.gc_run(self.next_run).earliest {
            self.before = Some(now.clone());
        }
        self.latest = Some(now.at);
        self.under_pressure = false;
    }

    /// What the kubelet has noted of an image; `None`: no run has seen it, so that the next one will be the first.
    pub fn record(&self, image: &ImageId) -> Option<&Record> {
        self.records.get(image)
    }

    /// What the kubelet will have noted of an image when it deletes at `at`, if the image stays as it was last listed: runs since
    /// the last list, and those still to come, see it. `first_detected_latest` is `None` where that deletion may be the first to
    /// see it.
    pub fn expected_record(&self, image: &ImageId, start: Start, at: Expected) -> Record {
        let record = self.records.get(image).copied().unwrap_or_else(|| Record::unseen(self.next_detection(start)));
        let run = start.gc_run(self.next_run);
        let before = self.before.as_ref().filter(|before| run.latest.since(before.at) <= CONTINUITY);
        let was = before.and_then(|before| before.images.get(image));
        // The first run comes before any sync, and what was listed before a run and after it is seen by it.
        let is_over = |number: i64| number == 0 || start.gc_run(number).latest <= at.earliest;
        let sees = if was.is_some() { self.next_run } else { self.next_run.saturating_add(1) };
        let detected = is_over(sees).then(|| detection(sees, start).latest);
        let may_be_used = was.is_some_and(|used| used.is_possible()) && is_over(self.next_run);
        Record {
            first_detected_latest: record.first_detected_latest.or(detected),
            last_used_latest: record.last_used_latest.max(may_be_used.then_some(run.at)),
            ..record
        }
    }

    /// The soonest that an image which no run has seen can have been detected.
    fn next_detection(&self, start: Start) -> Timestamp {
        let next = detection(self.next_run, start).earliest;
        let synced = self.latest.or(self.kubelet).filter(|_| self.under_pressure && self.next_run > 0);
        synced.map_or(next, |since| since.min(next))
    }

    /// When the kubelet runs image GC, as far as its runs were seen.
    pub fn schedule(&self, start: Start) -> GcSchedule {
        GcSchedule::of(start).with(self.last_gc_run.filter(|_| self.kubelet == Some(start.process_at())))
    }

    /// Takes note of a GC run that deleted images which were there at `after` and no more at `before`; `expected`: that run, as it
    /// was expected.
    pub fn note_gc_run(&mut self, expected: Expected, after: Timestamp, before: Timestamp) {
        self.last_gc_run = Some(GcSchedule::seen(expected, after, before));
        self.suspected = None;
    }

    /// Takes note of deletions that no GC run is known for, while its threshold was crossed. A long life with runs that deleted moves
    /// the schedule: two of them at a distance of whole periods are taken for runs.
    pub fn note_possible_gc_run(&mut self, after: Timestamp, before: Timestamp, start: Start) {
        let at = after + Span::from_micros(before.since(after).micros() / 2);
        let earlier = self.suspected.replace(Expected { earliest: after, at, latest: before });
        let fits = earlier.and_then(|earlier| {
            let next = GcSchedule::of(start).with(Some(earlier)).next_gc_run(after.max(earlier.latest));
            (next.earliest <= before && after <= next.latest).then_some(next)
        });
        if let Some(expected) = fits {
            self.note_gc_run(expected, after, before);
        }
    }

    /// The start of the kubelet whose records these are; `None` before the first one was seen.
    pub fn kubelet(&self) -> Option<Timestamp> {
        self.kubelet
    }

    /// The run of this number came after `before` and before `now`.
    fn note_run(&mut self, now: &Observation, number: i64, start: Start) {
        let Expected { earliest, at: time, latest } = detection(number, start);
        let continuous = self.before.as_ref().is_some_and(|before| now.at.since(before.at) <= CONTINUITY);
        if !continuous {
            // What was there before and after may have been deleted and pulled again in between.
            self.records.values_mut().for_each(Record::may_have_ended);
        }
        let before = &self.before;
        // Of several unseen runs the first bounds the first detection, the last the last use.
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
                // An eviction sync may have come after this run.
                record.last_used_latest = record.last_used_latest.max(Some(time));
            }
        }
    }

    /// Eviction syncs may have seen whatever was there since the last list.
    fn note_eviction_syncs(&mut self, now: &Observation, start: Start) {
        let since = self.latest.or(self.kubelet).unwrap_or(now.at);
        // What came before the first run is noted by that one, which may void its age.
        let since = if self.next_run == 0 { since.min(detection(0, start).earliest) } else { since };
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
    /// A record that may be made at this time, and perhaps later.
    const fn unseen(earliest: Timestamp) -> Self {
        Self {
            first_detected_earliest: earliest,
            first_detected_latest: None,
            last_used_earliest: None,
            last_used_latest: None,
        }
    }

    /// The image was away, and a run may have dropped the record; if it comes back, it may have a new one or still this.
    const fn may_have_ended(&mut self) {
        self.first_detected_latest = None;
        self.last_used_earliest = None;
    }
}

/// What the run of this number notes as the detection of an image that it is the first to see, between bounds.
fn detection(number: i64, start: Start) -> Expected {
    let at = start.gc_run(number).at;
    let voids = if number == 0 { start.release().holds(Rule::StartVoidsMinimumAge) } else { TriState::No };
    // Where it is not known whether the release voids the age, the image may be young.
    let earliest = if voids.is_possible() { BEFORE_EVERYTHING } else { at };
    let latest = if voids.is_certain() { BEFORE_EVERYTHING } else { at };
    Expected { earliest, at, latest }
}

/// How many runs have surely happened by `at`: those whose latest time is not after it.
fn gc_runs_until(start: Start, at: Timestamp) -> i64 {
    let since_first = at.since(start.first_gc_run().latest).micros();
    let after_first = since_first / GC_PERIOD.saturating_add(DRIFT_LATEST).micros();
    if since_first < 0 { 0 } else { after_first.saturating_add(1) }
}

fn images(release: Release, store: &ImageStore, sandbox_image: Option<&Label>) -> BTreeMap<ImageId, TriState> {
    let in_use = images_in_use(store, release, ContainersCounted::All, sandbox_image);
    store.images.iter().map(|image| (image.id.clone(), in_use.contains(&image.id))).collect()
}

#[cfg(test)]
mod tests;
