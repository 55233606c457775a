//! Which images were deleted, what had been predicted just before, and was it right? Pure: samples and assessments in, rows out.
//!
//! Draws no conclusion about the node: predictions and the trigger of a deletion are those of `assess`.

use super::outcome::{AvailableAfter, LevelScore, Levels};
use super::predicted::{Journal, Predicted};
use crate::assess::{Assessment, LayerAssessment};
use crate::model::Trigger;
use crate::model::deletions::Score;
use crate::model::schedule::Expected;
use crate::model::victims::{Cause, ImageOutcome, Outcome};
use crate::sample::{Image, ImageId, LayerSample, Reading, Sample};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// What became of all predictions.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// The time of the first sample and of the last.
    pub(super) time: Option<(Timestamp, Timestamp)>,
    /// Every burst of deletions, and every GC run that was predicted to delete and did not, in the order of time.
    pub(super) rows: Vec<Row>,
}

/// One burst of deletions in one layer, or a GC run without the deletions that were predicted.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) layer: String,
    /// The last list that had all the images.
    pub(super) after: Timestamp,
    /// The first list without those that were deleted.
    pub(super) before: Timestamp,
    /// What deleted them; `None` where it cannot be told.
    pub(super) trigger: Option<Trigger>,
    /// What had been predicted for this trigger, and when; `None` where nothing was.
    pub(super) predicted: Option<Predicted>,
    /// What was deleted, with the sizes that the runtime had told.
    pub(super) gone: BTreeMap<ImageId, Bytes>,
    /// What people call the images that make the prediction wrong.
    pub(super) names: BTreeMap<ImageId, String>,
    /// When it was and what it left, as far as the levels of the disk tell; `None` where nothing was deleted, or none is known.
    pub(super) outcome: Option<AvailableAfter>,
}

/// Was a prediction right?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Correctness {
    /// Every certain image is deleted, and no safe one.
    Ok,
    /// A certain image stayed, or a safe one was deleted.
    Wrong,
    /// Nothing had been predicted, for example since the settings are not known.
    NotPredicted,
    /// It cannot be told what deleted them: perhaps somebody, and not the kubelet.
    Unexplained,
}

/// Goes through the samples.
#[derive(Debug, Default)]
pub(super) struct Judge {
    layers: BTreeMap<String, LayerJudge>,
    result: Replayed,
}

/// What is kept of one layer between samples.
#[derive(Debug, Default)]
struct LayerJudge {
    kubelet: Option<Timestamp>,
    listed: Option<Listed>,
    predictions: Journal,
    runs: BTreeMap<Option<Trigger>, u64>,
    /// Since when the threshold of image GC has been seen crossed.
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

/// A burst that is seen for longer than this is another one.
const LONGEST_BURST: Span = Span::from_secs(120);
/// A GC run decides on the figures of an eviction sync of up to 10 s before, which saw those of up to 5 s before.
const CROSSED_BEFORE_GC_RUN: Span = Span::from_secs(16);
/// By this time after a GC run its first deletion is done.
const DELETED_AFTER_GC_RUN: Span = Span::from_secs(15);

impl Judge {
    /// Takes note of the next sample.
    pub(super) fn observe(&mut self, sample: &Sample, assessment: &Assessment) {
        let first = self.result.time.map_or(sample.at, |(first, _)| first);
        self.result.time = Some((first, sample.at));
        for (layer, assessed) in sample.layers.iter().zip(&assessment.layers) {
            let judge = self.layers.entry(layer.id.to_string()).or_default();
            judge.observe(sample, layer, assessed, &mut self.result.rows);
        }
        let there = |name: &str| sample.layers.iter().any(|layer| layer.id.as_str() == name);
        let rows = &mut self.result.rows;
        self.layers.retain(|name, judge| {
            let stays = there(name);
            if !stays {
                rows.extend(judge.open.take());
            }
            stays
        });
    }

    /// The rows, oldest first.
    pub(super) fn finish(mut self) -> Replayed {
        for (_, mut judge) in self.layers {
            self.result.rows.extend(judge.open.take());
        }
        self.result.rows.sort_by(|one, other| (one.before, &one.layer).cmp(&(other.before, &other.layer)));
        self.result
    }
}

impl LayerJudge {
    fn observe(&mut self, sample: &Sample, layer: &LayerSample, assessed: &LayerAssessment, rows: &mut Vec<Row>) {
        let kubelet = layer.kubelet.as_ref().map(|kubelet| kubelet.started_at);
        if kubelet != self.kubelet {
            // What was predicted of another kubelet holds no more, but it may have acted since the last list.
            self.kubelet = kubelet;
            self.predictions.retain(|predicted| predicted.prediction.at.earliest <= sample.at);
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
        self.predict(sample, assessed);
    }

    /// Keeps the predictions of this sample.
    fn predict(&mut self, sample: &Sample, assessed: &LayerAssessment) {
        let Some(images) = &assessed.images else { return };
        let mut crossed = false;
        for prediction in &images.predictions {
            crossed |= prediction.level.trigger == Trigger::ImageGc && prediction.crossed;
            let disk = sample.filesystems.iter().find(|disk| disk.id == prediction.level.filesystem);
            let Some(space) = disk.and_then(|disk| disk.space.value()) else { continue };
            self.predictions.add(Predicted {
                at: sample.at,
                kubelet: self.kubelet,
                listed_at: images.listed_at,
                available: space.available,
                prediction: prediction.clone(),
            });
        }
        self.crossed_since = crossed.then(|| self.crossed_since.unwrap_or(sample.at));
    }

    /// A new list: what was deleted, and was it predicted?
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
            let is_new = open.is_none();
            let mut row = open.unwrap_or_else(|| Row {
                layer: layer.id.to_string(),
                after: earlier.at,
                before: now.at,
                trigger,
                predicted: None,
                gone: BTreeMap::new(),
                names: earlier.images.iter().map(|(id, (_, name))| (id.clone(), name.clone())).collect(),
                outcome: None,
            });
            row.gone.extend(gone.into_iter().map(|(id, (bytes, _))| (id.clone(), *bytes)));
            row.outcome = self.levels.outcome(row.after, now.at, row.bytes());
            if is_new {
                let happened = row.outcome.filter(|outcome| outcome.rose);
                row.predicted = trigger.and_then(|trigger| {
                    self.predictions
                        .of(trigger, (earlier.at, now.at), happened.map(|outcome| outcome.earliest))
                        .cloned()
                });
            }
            self.open = Some(row);
        }
        if self.open.is_none() {
            self.levels.forget_before(now.at);
        }
        // What was predicted from the list before is of the past, unless its deletions may not be seen yet.
        self.predictions.retain(|predicted| {
            let last = match predicted.prediction.level.trigger {
                Trigger::ImageGc => predicted.prediction.at.latest + DELETED_AFTER_GC_RUN,
                _ => predicted.at + CROSSED_BEFORE_GC_RUN,
            };
            same_list && now.at < last
        });
        self.listed = Some(now);
    }

    /// What deleted the images that this list misses; `None` where none is, or where it cannot be told.
    fn trigger(&mut self, assessed: &LayerAssessment) -> Option<Trigger> {
        let runs: BTreeMap<_, _> =
            assessed.observed.iter().map(|(trigger, observed)| (*trigger, observed.runs)).collect();
        let rose = runs.iter().find(|(trigger, runs)| **runs > self.runs.get(trigger).copied().unwrap_or(0));
        let trigger = rose.and_then(|(trigger, _)| *trigger);
        self.runs = runs;
        trigger
    }

    /// A GC run that was predicted to delete, by age or since the threshold had been crossed for long enough, and changed no list.
    fn missed(&self, layer: &LayerSample, earlier: &Listed, now: Timestamp) -> Option<Row> {
        let missed = self.predictions.gc_runs().find(|predicted| {
            let Expected { earliest, latest, .. } = predicted.prediction.at;
            // Lists in between are equal, or the prediction would have been given up.
            let seen = predicted.listed_at < earliest && latest + DELETED_AFTER_GC_RUN <= now;
            let finds = self.crossed_since.is_some_and(|since| since + CROSSED_BEFORE_GC_RUN <= earliest);
            let deletes = |judged: &ImageOutcome| match judged.outcome {
                Outcome::Certain(Cause::Age) => true,
                Outcome::Certain(Cause::Space) => finds,
                Outcome::Possible(_) | Outcome::Safe(_) => false,
            };
            seen && predicted.kubelet == self.kubelet && predicted.outcomes().iter().any(deletes)
        })?;
        Some(Row {
            layer: layer.id.to_string(),
            after: missed.listed_at,
            before: now,
            trigger: Some(Trigger::ImageGc),
            predicted: Some(missed.clone()),
            gone: BTreeMap::new(),
            names: earlier.images.iter().map(|(id, (_, name))| (id.clone(), name.clone())).collect(),
            outcome: None,
        })
    }
}

fn entry(image: &Image) -> (ImageId, (Bytes, String)) {
    (image.id.clone(), (image.size.unwrap_or(Bytes::ZERO), image.display_name().to_owned()))
}

impl Row {
    /// The comparison; `None` where nothing had been predicted.
    pub(super) fn score(&self) -> Option<Score> {
        let gone: BTreeSet<ImageId> = self.gone.keys().cloned().collect();
        self.predicted.as_ref().map(|predicted| Score::of(&predicted.outcomes(), &gone))
    }

    /// How much later than predicted it came; `None` where nothing had been predicted, or nothing came.
    pub(super) fn late(&self) -> Option<Span> {
        Some(self.outcome?.late(self.predicted.as_ref()?.prediction.at))
    }

    /// The level afterwards against the predicted one; `None` where none was, or only for a threshold that was not crossed.
    pub(super) fn level(&self) -> Option<LevelScore> {
        let prediction = &self.predicted.as_ref().filter(|predicted| predicted.prediction.crossed)?.prediction;
        Some(self.outcome?.level(prediction.available_after?, prediction.level.filesystem.capacity))
    }

    pub(super) fn correctness(&self) -> Correctness {
        match self.score() {
            _ if self.trigger.is_none() => Correctness::Unexplained,
            None => Correctness::NotPredicted,
            Some(score) if score.holds() => Correctness::Ok,
            Some(_) => Correctness::Wrong,
        }
    }

    /// The names of the images that make it wrong: certain ones that stayed and safe ones that were deleted.
    pub(super) fn wrong(&self) -> (Vec<&str>, Vec<&str>) {
        let mut found = (Vec::new(), Vec::new());
        for judged in self.predicted.iter().flat_map(Predicted::outcomes) {
            let Some(name) = self.names.get(&judged.image).map(String::as_str) else { continue };
            match (judged.outcome, self.gone.contains_key(&judged.image)) {
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

impl Correctness {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wrong => "wrong",
            Self::NotPredicted => "not_predicted",
            Self::Unexplained => "unexplained",
        }
    }
}
