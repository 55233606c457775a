//! What is reported of the images of a layer, without naming all of them?

use super::join::Layer;
use crate::assess::{ImageNote, ImageState, ImagesAssessment};
use crate::model::prediction::{Prediction, Total};
use crate::model::recovery::Recoverable;
use crate::model::victims::{ImageOutcome, Outcome};
use crate::report::{AtRisk, Count, ImagesReport, VictimsReport, Word};
use crate::sample::Image;
use crate::units::Bytes;
use crate::untrusted::Label;
use std::cmp::Reverse;

pub(super) fn report(layer: &Layer<'_>) -> Option<ImagesReport> {
    let assessment = layer.assessment?;
    let images = assessment.images.as_ref()?;
    layer.sample.images.value()?;
    let by_state = ImageState::ALL.map(|state| {
        let of_state = || zipped(layer).filter(|(_, note)| note.state == state);
        let sizes = of_state().map(|(image, _)| image.size.unwrap_or(Bytes::ZERO));
        (state.into(), Count { count: of_state().count(), bytes: sizes.fold(Bytes::ZERO, Bytes::saturating_add) })
    });
    let deleted = assessment.observed.iter().map(|(trigger, seen)| {
        let word = trigger.map_or_else(|| Word::Other(Label::new(ImagesReport::UNKNOWN)), Word::from);
        (word, *seen)
    });
    Some(ImagesReport {
        listed_at: images.listed_at,
        complete: images.complete,
        by_state: by_state.into(),
        victims: images.predictions.iter().map(|prediction| victims(prediction, images)).collect(),
        at_risk: images.predictions.first().map_or_else(Vec::new, |first| at_risk(layer, first)),
        deleted_observed: deleted.collect(),
    })
}

fn victims(prediction: &Prediction, images: &ImagesAssessment) -> VictimsReport {
    let count = |total: Total| Count { count: total.images, bytes: total.bytes };
    let deleted = prediction.verdicts.iter().zip(&images.images);
    let lost = deleted.filter(|(verdict, note)| is_deleted(verdict) && note.recoverable == Recoverable::No);
    VictimsReport {
        trigger: prediction.level.trigger.into(),
        crossed: prediction.crossed,
        certain: count(prediction.certain()),
        possible: count(prediction.possible()),
        nowhere_else: lost.count(),
        freed_at_least_bytes: prediction.freed.map(|freed| freed.least),
        freed_at_most_bytes: prediction.freed.map(|freed| freed.most),
    }
}

/// Certain ones first, of those the ones that cannot come back, then the ones that the node needs, then the largest.
fn at_risk(layer: &Layer<'_>, first: &Prediction) -> Vec<AtRisk> {
    let mut victims: Vec<((&Image, &ImageNote), &ImageOutcome)> =
        zipped(layer).zip(&first.verdicts).filter(|(_, verdict)| is_deleted(verdict)).collect();
    victims.sort_by_key(|((image, note), verdict)| {
        let may_stay = matches!(verdict.outcome, Outcome::Possible(_));
        let loss = match note.recoverable {
            Recoverable::No => 0,
            Recoverable::Unknown => 1,
            Recoverable::Yes => 2,
        };
        (may_stay, loss, note.critical.is_none(), Reverse(image.size), &image.id)
    });
    let named = victims.into_iter().take(ImagesReport::MOST_AT_RISK).map(|((image, note), verdict)| AtRisk {
        name: Label::new(image.display_name()),
        outcome: Label::new(verdict.outcome.certainty().unwrap_or("safe")),
        recoverable: note.recoverable.into(),
    });
    named.collect()
}

const fn is_deleted(verdict: &ImageOutcome) -> bool {
    !matches!(verdict.outcome, Outcome::Safe(_))
}

/// The images with what is known of them, in the order of the runtime's list.
pub(super) fn zipped<'a>(layer: &Layer<'a>) -> impl Iterator<Item = (&'a Image, &'a ImageNote)> + use<'a> {
    let store = layer.sample.images.value();
    let notes = layer.assessment.and_then(|found| found.images.as_ref()).map(|images| &images.images);
    store.into_iter().flat_map(|store| &store.images).zip(notes.into_iter().flatten())
}
