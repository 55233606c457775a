//! What was predicted, and which prediction is compared with deletions? The last one that was made before them.

use crate::model::Trigger;
use crate::model::prediction::Prediction;
use crate::model::schedule::{Expected, GC_PERIOD};
use crate::model::victims::{Cause, ImageOutcome, Outcome, SafeReason};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use std::collections::VecDeque;

/// A prediction and the sample that it was made from.
#[derive(Debug, Clone)]
pub(super) struct Predicted {
    /// When the sample was taken.
    pub(super) at: Timestamp,
    /// Of which kubelet, by its start.
    pub(super) kubelet: Option<Timestamp>,
    /// When the images were listed.
    pub(super) listed_at: Timestamp,
    /// What was available.
    pub(super) available: Bytes,
    pub(super) prediction: Prediction,
}

/// The predictions that may still be compared with deletions.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// One for each GC run.
    gc_runs: Vec<Predicted>,
    /// Of evictions one for each sample, oldest first: any sync may act.
    evictions: VecDeque<Predicted>,
}

/// How far a GC run may lie outside of the lists that show its deletions, as `model::deletions` has it.
const TOLERANCE: Span = Span::from_secs(5);
/// Of two triggers, from samples every second, for two minutes; without lists there would be no end.
const MOST_EVICTIONS: usize = 240;

impl Journal {
    /// Takes up a prediction of a new sample.
    pub(super) fn add(&mut self, predicted: Predicted) {
        if predicted.prediction.level.trigger == Trigger::ImageGc {
            self.add_gc_run(predicted);
            return;
        }
        if self.evictions.len() >= MOST_EVICTIONS {
            self.evictions.pop_front();
        }
        self.evictions.push_back(predicted);
    }

    /// Keeps the prediction where it is nearer to what the kubelet will see: for each run the one from the lowest level, since
    /// after it the deletions themselves raise the level.
    ///
    /// There is one next run: what is known later of the schedule moves that run, and makes no second one.
    fn add_gc_run(&mut self, new: Predicted) {
        let same_run = |known: &Predicted| {
            let apart = known.prediction.at.at.since(new.prediction.at.at).micros().abs();
            known.kubelet == new.kubelet && apart < GC_PERIOD.micros() / 2
        };
        self.gc_runs.retain(|known| same_run(known) || known.prediction.at.earliest <= new.at);
        let Some(known) = self.gc_runs.iter_mut().find(|known| same_run(known)) else {
            self.gc_runs.push(new);
            return;
        };
        if known.listed_at < new.listed_at || new.available <= known.available {
            *known = new;
        } else {
            known.prediction.at = new.prediction.at;
        }
    }

    /// Forgets what does not satisfy a condition.
    pub(super) fn retain(&mut self, condition: impl Fn(&Predicted) -> bool) {
        self.gc_runs.retain(&condition);
        self.evictions.retain(&condition);
    }

    /// The predictions of image GC, one for each run.
    pub(super) fn gc_runs(&self) -> impl Iterator<Item = &Predicted> {
        self.gc_runs.iter()
    }

    /// What was predicted for a trigger that deleted between two lists, and not before `happened`, where that is known: for image
    /// GC the prediction of a run that fits, for an eviction the last one from before.
    pub(super) fn of(
        &self,
        trigger: Trigger,
        (after, before): (Timestamp, Timestamp),
        happened: Option<Timestamp>,
    ) -> Option<&Predicted> {
        if trigger == Trigger::ImageGc {
            let fits = |at: Expected| at.earliest - TOLERANCE <= before && after <= at.latest + TOLERANCE;
            let mut all = self.gc_runs.iter();
            return all.clone().rfind(|predicted| fits(predicted.prediction.at)).or_else(|| all.next_back());
        }
        let of_trigger = || self.evictions.iter().filter(|predicted| predicted.prediction.level.trigger == trigger);
        match happened {
            Some(happened) => of_trigger().rfind(|predicted| predicted.at <= happened).or_else(|| of_trigger().next()),
            // It may have been at any time: the first sync after the crossing deletes.
            None => of_trigger().find(|predicted| predicted.prediction.crossed).or_else(|| of_trigger().next_back()),
        }
    }
}

impl Predicted {
    /// What was to happen to each image. While the threshold of image GC is not crossed it deletes by age only: what would be
    /// deleted to free disk space is told as if it were.
    pub(super) fn outcomes(&self) -> Vec<ImageOutcome> {
        let happens = self.prediction.crossed || self.prediction.level.trigger != Trigger::ImageGc;
        let effective = self.prediction.verdicts.iter().cloned().map(|judged| match judged.outcome {
            Outcome::Certain(Cause::Space) | Outcome::Possible(Cause::Space) if !happens => {
                ImageOutcome { outcome: Outcome::Safe(SafeReason::NotNeeded), ..judged }
            }
            _ => judged,
        });
        effective.collect()
    }
}
