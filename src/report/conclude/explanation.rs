//! How is a question about the images of a layer answered?

use super::images::zipped;
use super::join::{Joined, Layer};
use super::remedies::{Help, help};
use super::{filesystem, layer, policy};
use crate::assess::{LastUsed, after_writing};
use crate::model::prediction::Prediction;
use crate::model::victims::{Cause, ImageOutcome, Outcome, SafeReason};
use crate::report::Word;
use crate::report::explanation::{
    ActsAt, Certainty, DiskExplanation, Explanation, ImageExplanation, LastUse, LayerExplanation, OutcomeReason,
    OutcomeReport, PredictionReport, Range, SCHEMA_VERSION,
};
use crate::snapshot::Snapshot;
use crate::time::Timestamp;
use crate::units::Bytes;
use crate::untrusted::Label;
use std::borrow::Cow;
use thiserror::Error;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Question<'a> {
    /// The name of a layer or an end of it; `None`: every layer with a kubelet.
    pub layer: Option<&'a str>,
    /// Bytes that are assumed to be written to the disk of the images first.
    pub written: Option<Bytes>,
}

/// The layer that was asked for cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} {asked:?}; the layers are: {layers}", if *ambiguous { "more than one layer ends in" } else { "no layer is called" }, layers = if layers.is_empty() { "none".to_owned() } else { layers.join(", ") })]
pub struct UnknownLayer {
    ambiguous: bool,
    asked: String,
    layers: Vec<String>,
}

impl UnknownLayer {
    /// Whether there are several of that name, and not none.
    pub fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }
}

impl Explanation {
    /// The answer to a question at `now`.
    ///
    /// # Errors
    /// When the layer that was asked for is not there, or is not the only one of that name.
    pub fn new(snapshot: &Snapshot, now: Timestamp, question: Question<'_>) -> Result<Self, UnknownLayer> {
        let joined = Joined::new(snapshot);
        let chosen = chosen(&joined, question)?;
        // One answer for each disk, where all layers are asked for, as they are.
        let disks = if question == Question::default() { joined.disks.as_slice() } else { &[] };
        let disks = disks.iter().map(|disk| DiskExplanation {
            device: disk.device.clone(),
            mountpoint: disk.mountpoint.clone(),
            expected_triggers: filesystem::report(&joined, disk).expected_triggers,
        });
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            sampled_at: snapshot.sample.at,
            age: now.since(snapshot.sample.at),
            stale: snapshot.is_stale(now),
            if_written_bytes: question.written,
            disks: disks.collect(),
            layers: chosen.into_iter().map(|layer| explain(&joined, layer, question.written)).collect(),
        })
    }
}

/// The layers that a question is about, parents first.
fn chosen<'j, 'a>(joined: &'j Joined<'a>, question: Question<'_>) -> Result<Vec<&'j Layer<'a>>, UnknownLayer> {
    let Some(asked) = question.layer else {
        return Ok(joined.layers.iter().filter(|layer| layer.sample.kubelet.is_some()).collect());
    };
    if let Some(layer) = joined.layers.iter().find(|layer| *layer.name == *asked) {
        return Ok(vec![layer]);
    }
    let named: Vec<&Layer<'a>> = joined.layers.iter().filter(|layer| layer.name.ends_with(asked)).collect();
    match named.as_slice() {
        [layer] if !asked.is_empty() => Ok(vec![*layer]),
        _ => Err(UnknownLayer {
            ambiguous: named.len() > 1,
            asked: Label::new(asked).as_str().to_owned(),
            layers: joined.layers.iter().map(|layer| layer.name.to_string()).collect(),
        }),
    }
}

fn explain(joined: &Joined<'_>, layer: &Layer<'_>, written: Option<Bytes>) -> LayerExplanation {
    let sample = layer.sample;
    let images = layer.assessment.and_then(|found| found.images.as_ref());
    // Made anew where bytes are assumed to be written first.
    let predictions: Cow<'_, [Prediction]> = match (written, images) {
        (Some(written), Some(images)) => Cow::Owned(after_writing(joined.sample, sample, images, written)),
        (None, Some(images)) => Cow::Borrowed(&images.predictions),
        (_, None) => Cow::Borrowed(&[]),
    };
    let Help { remedies, pins_ignored_by, exec_command } =
        help(joined, layer, &predictions, written.unwrap_or(Bytes::ZERO));
    LayerExplanation {
        layer: layer.name.clone(),
        kind: sample.kind.into(),
        kubelet: sample.kubelet.as_ref().map(layer::kubelet),
        policy: policy::report(joined, layer),
        avail_bytes: joined
            .disk(&sample.imagefs)
            .and_then(|disk| disk.sample.space.value())
            .map(|space| space.available),
        next_image_gc_at: layer::next_image_gc_at(layer),
        new_image_gc_eligible_at: images.and_then(|images| images.new_image_gc_eligible_at),
        listed_at: images.map(|images| images.listed_at),
        complete: images.map(|images| images.complete),
        image_volumes_known: sample.images.value().map(|store| !store.hidden_volumes),
        followed_since: images.and_then(|images| images.followed_since),
        error: sample.images.absence().map(|absence| absence.to_string().into()),
        images: self::images(layer),
        triggers: predictions.iter().map(prediction).collect(),
        remedies,
        pins_ignored_by,
        exec_command,
    }
}

fn images(layer: &Layer<'_>) -> Vec<ImageExplanation> {
    let explained = zipped(layer).map(|(image, note)| {
        let (last_use, last_used_at) = match note.last_used {
            LastUsed::Unknown => (LastUse::Unknown, None),
            LastUsed::Never => (LastUse::Never, None),
            LastUsed::At(at) => (LastUse::Known, Some(at)),
        };
        ImageExplanation {
            image: Label::new(image.id.as_str()),
            name: Label::new(image.display_name()),
            size_bytes: image.size,
            state: note.state.into(),
            recoverable: note.recoverable.into(),
            critical: note.critical.map(Word::from),
            last_use: last_use.into(),
            last_used_at,
            seen_by_kubelet: note.seen,
        }
    });
    explained.collect()
}

fn prediction(prediction: &Prediction) -> PredictionReport {
    let level = &prediction.level;
    PredictionReport {
        trigger: level.trigger.into(),
        signal: level.signal.map(Word::from),
        crossed: prediction.crossed,
        threshold: level.threshold,
        headroom: level.headroom,
        grace_period: level.grace_period,
        acts_at: ActsAt { earliest: prediction.at.earliest, likely: prediction.at.at, latest: prediction.at.latest },
        wanted_bytes: prediction.wanted.map(|wanted| Range { least: wanted.least, most: wanted.most }),
        suffices: prediction.suffices,
        certain: prediction.certain(),
        possible: prediction.possible(),
        freed_bytes: prediction.freed.map(|freed| Range { least: Some(freed.least.get()), most: freed.most.get() }),
        available_after_bytes: prediction
            .available_after
            .map(|after| Range { least: Some(after.least.get()), most: after.most.get() }),
        verdicts: prediction.verdicts.iter().map(outcome).collect(),
    }
}

fn outcome(found: &ImageOutcome) -> OutcomeReport {
    let cause = |cause| match cause {
        Cause::Space => OutcomeReason::Space,
        Cause::Age => OutcomeReason::Age,
    };
    let (outcome, reason) = match found.outcome {
        Outcome::Certain(why) => (Certainty::Certain, cause(why)),
        Outcome::Possible(why) => (Certainty::Possible, cause(why)),
        Outcome::Safe(SafeReason::InUse) => (Certainty::Safe, OutcomeReason::InUse),
        Outcome::Safe(SafeReason::Pinned) => (Certainty::Safe, OutcomeReason::Pinned),
        Outcome::Safe(SafeReason::TooYoung) => (Certainty::Safe, OutcomeReason::TooYoung),
        Outcome::Safe(SafeReason::GcDisabled) => (Certainty::Safe, OutcomeReason::GcDisabled),
        Outcome::Safe(SafeReason::NotNeeded) => (Certainty::Safe, OutcomeReason::NotNeeded),
    };
    OutcomeReport { image: Label::new(found.image.as_str()), outcome: outcome.into(), reason: reason.into() }
}
