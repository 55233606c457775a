//! What does `explain` answer, and of which layers? The choice of the layer, and what table and JSON share.

pub(crate) mod document;
mod help;
pub mod json;
pub mod table;

use super::view::{LayerView, View};
use crate::assess::{ImageNote, LastUsed, after_writing};
use crate::model::prediction::Prediction;
use crate::model::recovery::{Critical, Recoverable};
use crate::model::victims::ImageOutcome;
use crate::sample::{Image, Sample};
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

/// The layers that a question is about, parents first.
fn chosen<'v, 'a>(view: &'v View<'a>, question: Question<'_>) -> Result<Vec<&'v LayerView<'a>>, UnknownLayer> {
    let Some(asked) = question.layer else {
        return Ok(view.layers.iter().filter(|layer| layer.sample.kubelet.is_some()).collect());
    };
    if let Some(layer) = view.layers.iter().find(|layer| *layer.name == *asked) {
        return Ok(vec![layer]);
    }
    let named: Vec<&LayerView<'a>> = view.layers.iter().filter(|layer| layer.name.ends_with(asked)).collect();
    match named.as_slice() {
        [layer] if !asked.is_empty() => Ok(vec![*layer]),
        _ => Err(UnknownLayer {
            ambiguous: named.len() > 1,
            asked: Label::new(asked).as_str().to_owned(),
            layers: view.layers.iter().map(|layer| layer.name.to_string()).collect(),
        }),
    }
}

/// One image of a layer, with everything that is known of it.
#[derive(Debug, Clone, Copy)]
pub(in crate::export) struct Known<'a> {
    pub(in crate::export) image: &'a Image,
    pub(in crate::export) note: &'a ImageNote,
}

/// The images of a layer in the order of its lists.
pub(in crate::export) fn known<'a>(layer: &LayerView<'a>) -> Vec<Known<'a>> {
    let store = layer.sample.images.value();
    let notes = layer.assessment.and_then(|found| found.images.as_ref()).map(|images| &images.images);
    let pairs = store.into_iter().flat_map(|store| &store.images).zip(notes.into_iter().flatten());
    pairs.map(|(image, note)| Known { image, note }).collect()
}

/// The predictions of a layer.
pub(in crate::export) fn predictions<'a>(layer: &LayerView<'a>) -> &'a [Prediction] {
    layer.assessment.and_then(|found| found.images.as_ref()).map_or(&[], |images| &images.predictions)
}

/// The predictions of a layer, made anew where bytes are assumed to be written first.
fn predictions_after<'a>(sample: &Sample, layer: &LayerView<'a>, written: Option<Bytes>) -> Cow<'a, [Prediction]> {
    match (written, layer.assessment.and_then(|found| found.images.as_ref())) {
        (Some(written), Some(images)) => Cow::Owned(after_writing(sample, layer.sample, images, written)),
        _ => Cow::Borrowed(predictions(layer)),
    }
}

/// The verdicts of a prediction with the images that they are of.
pub(in crate::export) fn judged<'a>(
    prediction: &'a Prediction,
    images: &[Known<'a>],
) -> Vec<(Known<'a>, &'a ImageOutcome)> {
    images.iter().zip(&prediction.verdicts).map(|(known, verdict)| (*known, verdict)).collect()
}

impl Known<'_> {
    /// Whether its loss is more than a pull: it cannot come back, or the node needs it.
    pub(in crate::export) fn is_fatal(self) -> bool {
        self.note.is_fatal()
    }

    /// When it was last used, in words.
    pub(in crate::export) fn last_used(self, now: crate::time::Timestamp) -> String {
        match self.note.last_used {
            LastUsed::Unknown => "last use unknown".to_owned(),
            LastUsed::Never => "never used".to_owned(),
            LastUsed::At(at) => format!("last used {} ago", now.since(at).max(crate::time::Span::ZERO)),
        }
    }
}

/// One word for tables and JSON.
pub(in crate::export) const fn recoverable(value: Recoverable) -> &'static str {
    match value {
        Recoverable::Yes => "yes",
        Recoverable::No => "no",
        Recoverable::Unknown => "unknown",
    }
}

/// One word for JSON.
const fn critical(value: Critical) -> &'static str {
    match value {
        Critical::Sandbox => "sandbox",
        Critical::StaticPod => "static_pod",
        Critical::KubeSystem => "kube_system",
        Critical::Pattern => "pattern",
    }
}
