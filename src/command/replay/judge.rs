//! Which images were deleted, what had been foretold just before, and was it right? Pure: samples and assessments in, rows out.
//!
//! Draws no conclusion about the node: predictions and the trigger of a deletion are those of `assess`.

use super::outcome::{AvailableAfter, LevelScore, Levels};
use crate::assess::{Assessment, LayerAssessment};
use crate::model::Trigger;
use crate::model::deletions::Score;
use crate::model::prediction::Prediction;
use crate::model::schedule::Expected;
use crate::model::victims::{Cause, ImageOutcome as Judged, Outcome, SafeReason};
use crate::sample::{Image, ImageId, LayerSample, Reading, Sample};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// What became of all predictions.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// The time of the first sample and of the last.
    pub(super) time: Option<(Timestamp, Timestamp)>,
    /// Every burst of deletions, and every check that was foretold to delete and did not, in the order of time.
    pub(super) rows: Vec<Row>,
}

/// One burst of deletions in one layer, or a check without the deletions that were foretold.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) layer: String,
    /// The last listing that had all the images.
    pub(super) after: Timestamp,
    /// The first listing without those that are gone.
    pub(super) before: Timestamp,
    /// What deleted them; `None` where it cannot be told.
    pub(super) trigger: Option<Trigger>,
    /// What had been foretold for this trigger, and when; `None` where nothing was.
    pub(super) foretold: Option<Foretold>,
    /// What is gone, with the sizes that the runtime had told.
    pub(super) gone: BTreeMap<ImageId, Bytes>,
    /// What people call the images that make the prediction wrong.
    pub(super) names: BTreeMap<ImageId, String>,
    /// When it was and what it left, as far as the levels of the disk tell; `None` where nothing went, or none is known.
    pub(super) outcome: Option<AvailableAfter>,
}

/// A prediction and the sample that it was made from.
#[derive(Debug, Clone)]
pub(super) struct Foretold {
    pub(super) at: Timestamp,
    /// Whose kubelet, by its start.
    kubelet: Option<Timestamp>,
    listed_at: Timestamp,
    pub(super) available: Bytes,
    pub(super) prediction: Prediction,
}

/// Was it right?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every certain image is gone, and no safe one.
    Ok,
    /// A certain image stayed, or a safe one is gone.
    Wrong,
    /// Nothing had been foretold, for example since the settings are not known.
    NotForetold,
    /// It cannot be told what deleted them: perhaps somebody, and not the kubelet.
    Unexplained,
}

/// What is kept between samples.
#[derive(Debug, Default)]
pub(super) struct Judge {
    layers: BTreeMap<String, Watched>,
    result: Replayed,
}

#[derive(Debug, Default)]
struct Watched {
    kubelet: Option<Timestamp>,
    listed: Option<Listed>,
    /// By trigger and, for collection, the tick it was made for.
    foretold: BTreeMap<(Trigger, Option<Timestamp>), Foretold>,
    runs: BTreeMap<Option<Trigger>, u64>,
    /// Since when the line of collection has been seen crossed.
    crossed_since: Option<Timestamp>,
    /// Of the disk of the images, since the list before the last one.
    levels: Levels,
    open: Option<Row>,
}

#[derive(Debug)]
struct Listed {
    at: Timestamp,
    images: BTreeMap<ImageId, (Bytes, String)>,
}

/// How far a tick may lie outside of the listings that show its deletions, as `model::deletions` has it.
const TOLERANCE: Span = Span::from_secs(5);
/// A burst that is seen for longer than this is another one.
const LONGEST_BURST: Span = Span::from_secs(120);
/// A tick decides on the number of an eviction pass of up to 10 s before, which saw one of up to 5 s before.
const CROSSED_BEFORE_TICK: Span = Span::from_secs(16);
/// By this time after a tick its first deletion is done.
const DELETED_AFTER_TICK: Span = Span::from_secs(15);

impl Judge {
    /// Takes note of the next sample.
    pub(super) fn observe(&mut self, sample: &Sample, assessment: &Assessment) {
        let first = self.result.time.map_or(sample.at, |(first, _)| first);
        self.result.time = Some((first, sample.at));
        for (layer, assessed) in sample.layers.iter().zip(&assessment.layers) {
            let watched = self.layers.entry(layer.id.to_string()).or_default();
            watched.observe(sample, layer, assessed, &mut self.result.rows);
        }
        let there = |name: &str| sample.layers.iter().any(|layer| layer.id.as_str() == name);
        let rows = &mut self.result.rows;
        self.layers.retain(|name, watched| {
            let stays = there(name);
            if !stays {
                rows.extend(watched.open.take());
            }
            stays
        });
    }

    /// The rows, oldest first.
    pub(super) fn finish(mut self) -> Replayed {
        for (_, mut watched) in self.layers {
            self.result.rows.extend(watched.open.take());
        }
        self.result.rows.sort_by(|one, other| (one.before, &one.layer).cmp(&(other.before, &other.layer)));
        self.result
    }
}

impl Watched {
    fn observe(&mut self, sample: &Sample, layer: &LayerSample, assessed: &LayerAssessment, rows: &mut Vec<Row>) {
        let kubelet = layer.kubelet.as_ref().map(|kubelet| kubelet.started_at);
        if kubelet != self.kubelet {
            // What was foretold of another kubelet holds no more, but it may have acted since the last list.
            self.kubelet = kubelet;
            self.foretold.retain(|_, foretold| foretold.prediction.at.earliest <= sample.at);
            self.crossed_since = None;
        }
        let imagefs = layer.imagefs.value().and_then(|id| sample.filesystems.iter().find(|disk| disk.id == *id));
        if let Some(space) = imagefs.and_then(|disk| disk.space.value()) {
            self.levels.note(sample.at, space.available);
        }
        if let Reading::Present { value: store, at } = &layer.images
            && store.complete
            && self.listed.as_ref().is_none_or(|listed| *at > listed.at)
        {
            let images = store.images.iter().map(entry).collect();
            self.listing(layer, Listed { at: *at, images }, assessed, rows);
        }
        self.foretell(sample, assessed);
    }

    /// Keeps the predictions of this sample where they are nearer to what the kubelet will see: for each pass the one from the
    /// lowest level, since after it the deletions themselves raise the level.
    fn foretell(&mut self, sample: &Sample, assessed: &LayerAssessment) {
        let Some(images) = &assessed.images else { return };
        let (predictions, listed_at) = (&images.predictions, images.listed_at);
        let mut crossed = false;
        for prediction in predictions {
            let trigger = prediction.level.trigger;
            crossed |= trigger == Trigger::ImageGc && prediction.crossed;
            let disk = sample.filesystems.iter().find(|disk| disk.id == prediction.level.filesystem);
            let Some(space) = disk.and_then(|disk| disk.space.value()) else { continue };
            let tick = (trigger == Trigger::ImageGc).then_some(prediction.at.at);
            let known = self.foretold.get(&(trigger, tick));
            // Evictions follow each other every ten seconds, whatever the lists in between; but once the line is left no more
            // come, and what the list does not show yet was done by one before.
            let stale = |known: &Foretold| {
                let may_have_acted = known.prediction.crossed && !prediction.crossed && known.listed_at == listed_at;
                if tick.is_some() {
                    known.listed_at < listed_at
                } else {
                    known.at + CROSSED_BEFORE_TICK < sample.at && !may_have_acted
                }
            };
            if known.is_none_or(|known| stale(known) || space.available <= known.available) {
                let foretold = Foretold {
                    at: sample.at,
                    kubelet: self.kubelet,
                    listed_at,
                    available: space.available,
                    prediction: prediction.clone(),
                };
                self.foretold.insert((trigger, tick), foretold);
            }
        }
        self.crossed_since = crossed.then(|| self.crossed_since.unwrap_or(sample.at));
    }

    /// A new list: what is gone, and was it foretold?
    fn listing(&mut self, layer: &LayerSample, now: Listed, assessed: &LayerAssessment, rows: &mut Vec<Row>) {
        let trigger = self.trigger(assessed);
        let Some(earlier) = self.listed.take() else {
            self.listed = Some(now);
            return;
        };
        let gone: BTreeMap<_, _> = earlier.images.iter().filter(|(id, _)| !now.images.contains_key(id)).collect();
        let extends = |open: &Row| {
            let same = trigger == open.trigger || trigger.is_none() || open.trigger.is_none();
            same && !gone.is_empty() && now.at.since(open.after) <= LONGEST_BURST
        };
        let open = match self.open.take() {
            Some(open) if extends(&open) => Some(open),
            ended => {
                rows.extend(ended);
                None
            }
        };
        let same_list = gone.is_empty();
        if same_list {
            rows.extend(self.missed(layer, &earlier, now.at));
        } else {
            let mut row = open.unwrap_or_else(|| Row {
                layer: layer.id.to_string(),
                after: earlier.at,
                before: now.at,
                trigger,
                foretold: trigger.and_then(|trigger| self.foretold_for(trigger, earlier.at, now.at)),
                gone: BTreeMap::new(),
                names: earlier.images.iter().map(|(id, (_, name))| (id.clone(), name.clone())).collect(),
                outcome: None,
            });
            row.gone.extend(gone.into_iter().map(|(id, (bytes, _))| (id.clone(), *bytes)));
            row.outcome = self.levels.outcome(row.after, now.at, row.bytes());
            self.open = Some(row);
        }
        if self.open.is_none() {
            self.levels.forget_before(now.at);
        }
        // What was foretold from the list before is of the past, unless its tick may not have shown yet.
        self.foretold.retain(|(trigger, _), foretold| {
            let to_come = now.at < foretold.prediction.at.latest + DELETED_AFTER_TICK;
            same_list && (*trigger != Trigger::ImageGc || to_come)
        });
        self.listed = Some(now);
    }

    /// What deleted the images that are gone by this list; `None` where none is, or where it cannot be told.
    fn trigger(&mut self, assessed: &LayerAssessment) -> Option<Trigger> {
        let runs: BTreeMap<_, _> =
            assessed.observed.iter().map(|(trigger, observed)| (*trigger, observed.runs)).collect();
        let rose = runs.iter().find(|(trigger, runs)| **runs > self.runs.get(trigger).copied().unwrap_or(0));
        let trigger = rose.and_then(|(trigger, _)| *trigger);
        self.runs = runs;
        trigger
    }

    /// The latest prediction for a pass between two lists.
    fn foretold_for(&self, trigger: Trigger, after: Timestamp, before: Timestamp) -> Option<Foretold> {
        let mut all = self.foretold.iter().filter(|((of, _), _)| *of == trigger).map(|(_, foretold)| foretold);
        let between = |at: Expected| at.earliest - TOLERANCE <= before && after <= at.latest + TOLERANCE;
        let fits = |foretold: &&Foretold| trigger != Trigger::ImageGc || between(foretold.prediction.at);
        all.clone().rfind(fits).or_else(|| all.next_back()).cloned()
    }

    /// A tick that was foretold to delete, for age or since the line had been crossed for long enough, and changed no list.
    fn missed(&self, layer: &LayerSample, earlier: &Listed, now: Timestamp) -> Option<Row> {
        let foretold = self.foretold.iter().filter(|((trigger, _), _)| *trigger == Trigger::ImageGc);
        let missed = foretold.map(|(_, foretold)| foretold).find(|foretold| {
            let Expected { earliest, latest, .. } = foretold.prediction.at;
            // Lists in between are equal, or the prediction would have been given up.
            let seen = foretold.listed_at < earliest && latest + DELETED_AFTER_TICK <= now;
            let trips = self.crossed_since.is_some_and(|since| since + CROSSED_BEFORE_TICK <= earliest);
            let goes = |verdict: &Judged| match verdict.outcome {
                Outcome::Certain(Cause::Age) => true,
                Outcome::Certain(Cause::Space) => trips,
                Outcome::Possible(_) | Outcome::Safe(_) => false,
            };
            seen && foretold.kubelet == self.kubelet && foretold.verdicts().iter().any(goes)
        })?;
        Some(Row {
            layer: layer.id.to_string(),
            after: missed.listed_at,
            before: now,
            trigger: Some(Trigger::ImageGc),
            foretold: Some(missed.clone()),
            gone: BTreeMap::new(),
            names: earlier.images.iter().map(|(id, (_, name))| (id.clone(), name.clone())).collect(),
            outcome: None,
        })
    }
}

fn entry(image: &Image) -> (ImageId, (Bytes, String)) {
    (image.id.clone(), (image.size.unwrap_or(Bytes::ZERO), image.display_name().to_owned()))
}

impl Foretold {
    /// What was to happen to each image. While the line of collection is not crossed only age takes images: what space would
    /// take is told as if it were.
    fn verdicts(&self) -> Vec<Judged> {
        let happens = self.prediction.crossed || self.prediction.level.trigger != Trigger::ImageGc;
        let verdicts = self.prediction.verdicts.iter().cloned();
        let effective = verdicts.map(|verdict| match verdict.outcome {
            Outcome::Certain(Cause::Space) | Outcome::Possible(Cause::Space) if !happens => {
                Judged { outcome: Outcome::Safe(SafeReason::NotNeeded), ..verdict }
            }
            _ => verdict,
        });
        effective.collect()
    }
}

impl Row {
    /// The comparison; `None` where nothing had been foretold.
    pub(super) fn score(&self) -> Option<Score> {
        let gone: BTreeSet<ImageId> = self.gone.keys().cloned().collect();
        self.foretold.as_ref().map(|foretold| Score::of(&foretold.verdicts(), &gone))
    }

    /// How much later than foretold it came; `None` where nothing had been foretold, or nothing came.
    pub(super) fn late(&self) -> Option<Span> {
        Some(self.outcome?.late(self.foretold.as_ref()?.prediction.at))
    }

    /// The level afterwards against the foretold one; `None` where that was not told, or told of a line that was not crossed.
    pub(super) fn level(&self) -> Option<LevelScore> {
        let prediction = &self.foretold.as_ref().filter(|foretold| foretold.prediction.crossed)?.prediction;
        Some(self.outcome?.level(prediction.available_after?, prediction.level.filesystem.capacity))
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self.score() {
            _ if self.trigger.is_none() => Verdict::Unexplained,
            None => Verdict::NotForetold,
            Some(score) if score.holds() => Verdict::Ok,
            Some(_) => Verdict::Wrong,
        }
    }

    /// The names of the images that make it wrong: certain ones that stayed and safe ones that are gone.
    pub(super) fn wrong(&self) -> (Vec<&str>, Vec<&str>) {
        let mut found = (Vec::new(), Vec::new());
        for verdict in self.foretold.iter().flat_map(Foretold::verdicts) {
            let Some(name) = self.names.get(&verdict.image).map(String::as_str) else { continue };
            match (verdict.outcome, self.gone.contains_key(&verdict.image)) {
                (Outcome::Certain(_), false) => found.0.push(name),
                (Outcome::Safe(_), true) => found.1.push(name),
                _ => {}
            }
        }
        found
    }

    pub(super) fn bytes(&self) -> Bytes {
        self.gone.values().fold(Bytes::ZERO, |sum, bytes| sum.saturating_add(*bytes))
    }
}

impl Verdict {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wrong => "wrong",
            Self::NotForetold => "not_foretold",
            Self::Unexplained => "unexplained",
        }
    }
}
