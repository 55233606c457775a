//! Which series do the images of a layer give? Counts by state, what each trigger would delete, what was seen to be deleted, and
//! by name the images that are most at risk.

use super::catalogue::Name;
use super::exposition::{LabelValue, Series, Value};
use super::metrics::{named, series};
use super::view::LayerView;
use crate::assess::{ImageNote, ImageState, Observed};
use crate::model::Trigger;
use crate::model::prediction::Prediction;
use crate::model::recovery::Recoverable;
use crate::model::victims::{ImageOutcome, Outcome};
use crate::sample::Image;
use crate::units::Bytes;
use std::cmp::Reverse;

/// Images that are named in one layer.
const MOST_AT_RISK: usize = 10;

/// Everything but the names. The victims of inode eviction are those of image eviction and have no series of their own.
pub(super) fn of(layer: &LayerView<'_>, all: &mut Vec<Series>) {
    let name = || LabelValue::from(&layer.name);
    let Some(assessment) = layer.assessment else { return };
    let Some(images) = &assessment.images else { return };
    for state in ImageState::ALL {
        let of_state = || zipped(layer).filter(|(_, note)| note.state == state);
        let bytes =
            of_state().fold(Bytes::ZERO, |sum, (image, _)| sum.saturating_add(image.size.unwrap_or(Bytes::ZERO)));
        all.push(series(Name::Images, [name(), state.as_str().into()], count(of_state().count())));
        all.push(series(Name::ImageBytes, [name(), state.as_str().into()], Value::Count(bytes.get())));
    }
    for prediction in images.predictions.iter().filter(|found| found.level.trigger != Trigger::InodeEviction) {
        victims(layer, prediction, all);
    }
    if layer.sample.kubelet.is_none() {
        return;
    }
    let none = Observed::default();
    for trigger in [Some(Trigger::ImageGc), Some(Trigger::ImageEviction), None] {
        let Some(seen) = assessment.observed.get(&trigger).or_else(|| trigger.map(|_| &none)) else { continue };
        let labels = || [name(), trigger.map_or("unknown", Trigger::as_str).into()];
        all.push(series(Name::ObservedRuns, labels(), Value::Count(seen.runs)));
        all.push(series(Name::ObservedDeletions, labels(), Value::Count(seen.images)));
        all.push(series(Name::ObservedBytes, labels(), Value::Count(seen.bytes.get())));
    }
}

fn victims(layer: &LayerView<'_>, prediction: &Prediction, all: &mut Vec<Series>) {
    let trigger = prediction.level.trigger.as_str();
    let certain = prediction.freed.map(|freed| freed.least);
    let possible = prediction.freed.map(|freed| freed.most.saturating_sub(freed.least));
    for (certainty, total, freed) in
        [("certain", prediction.certain(), certain), ("possible", prediction.possible(), possible)]
    {
        let labels = || [LabelValue::from(&layer.name), trigger.into(), certainty.into()];
        all.push(series(Name::Victims, labels(), count(total.images)));
        all.push(series(Name::VictimBytes, labels(), Value::Count(total.bytes.get())));
        all.extend(freed.map(|freed| series(Name::ReclaimableBytes, labels(), Value::Count(freed.get()))));
    }
}

/// The images that the first trigger would delete: certain ones first, of those the ones that cannot come back, then the ones
/// that the node needs, then the greatest. At most `room`.
pub(super) fn at_risk(layer: &LayerView<'_>, room: usize) -> Vec<Series> {
    let first = layer.assessment.and_then(|found| found.images.as_ref()).and_then(|images| images.predictions.first());
    let Some(first) = first else { return Vec::new() };
    let mut victims: Vec<(&Image, &ImageNote, &ImageOutcome)> = zipped(layer)
        .zip(&first.verdicts)
        .map(|((image, note), verdict)| (image, note, verdict))
        .filter(|(.., verdict)| !matches!(verdict.outcome, Outcome::Safe(_)))
        .collect();
    victims.sort_by_key(|(image, note, verdict)| {
        let kept = matches!(verdict.outcome, Outcome::Possible(_));
        (kept, Reverse(worse(note.recoverable)), note.critical.is_none(), Reverse(image.size), image.id.clone())
    });
    let named = victims.into_iter().take(MOST_AT_RISK.min(room)).map(|(image, note, verdict)| {
        let recoverable = match note.recoverable {
            Recoverable::Yes => "yes",
            Recoverable::No => "no",
            Recoverable::Unknown => "unknown",
        };
        let certainty = verdict.outcome.certainty().unwrap_or("safe");
        let labels = [LabelValue::from(&layer.name), named(image.display_name()), certainty.into(), recoverable.into()];
        series(Name::ImageAtRisk, labels, Value::Count(1))
    });
    named.collect()
}

const fn worse(recoverable: Recoverable) -> u8 {
    match recoverable {
        Recoverable::Yes => 0,
        Recoverable::Unknown => 1,
        Recoverable::No => 2,
    }
}

/// The images with what is known of them, in the order of the runtime's list.
fn zipped<'a>(layer: &LayerView<'a>) -> impl Iterator<Item = (&'a Image, &'a ImageNote)> {
    let store = layer.sample.images.value();
    let notes = layer.assessment.and_then(|found| found.images.as_ref()).map(|images| &images.images);
    store.into_iter().flat_map(|store| &store.images).zip(notes.into_iter().flatten())
}

fn count(number: usize) -> Value {
    Value::Count(u64::try_from(number).unwrap_or(u64::MAX))
}
