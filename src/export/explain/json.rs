//! How does a script read what `explain` says? One versioned JSON object, described in docs/json.md.

use super::super::view::{LayerView, View};
use super::{Question, UnknownLayer, chosen, critical, known, predictions_after, recoverable};
use crate::assess::LastUsed;
use crate::model::prediction::{Prediction, Total};
use crate::model::victims::{Cause, Fate};
use crate::sample::{ImageId, Sample};
use crate::snapshot::Snapshot;
use crate::time::Timestamp;
use crate::units::Bytes;
use serde::Serialize;

/// Rises when a field changes its meaning or goes; new fields leave it as it is.
pub const SCHEMA_VERSION: u32 = 1;

/// The whole answer at `now`, with a newline at the end.
///
/// # Errors
/// When the layer that was asked for is not there, or is not the only one of that name.
pub fn render(snapshot: &Snapshot, now: Timestamp, question: Question<'_>) -> Result<String, UnknownLayer> {
    let view = View::new(snapshot, now);
    let layers = chosen(&view, question)?;
    let document = Document {
        schema_version: SCHEMA_VERSION,
        sampled_at: view.at.to_string(),
        age_seconds: now.since(view.at).as_secs_f64(),
        stale: view.is_stale(),
        if_written_bytes: question.written.map(Bytes::get),
        layers: layers.into_iter().map(|found| layer(&snapshot.sample, found, question.written)).collect(),
    };
    // Strings, numbers and lists always have a JSON form.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    text.push('\n');
    Ok(text)
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    sampled_at: String,
    age_seconds: f64,
    stale: bool,
    if_written_bytes: Option<u64>,
    layers: Vec<LayerEntry<'a>>,
}

#[derive(Serialize)]
struct LayerEntry<'a> {
    layer: &'a str,
    kind: &'static str,
    kubelet_version: Option<&'a str>,
    image_gc_enabled: Option<bool>,
    next_gc_check: Option<String>,
    loaded_now_goes_from: Option<String>,
    listed_at: Option<String>,
    complete: Option<bool>,
    followed_since: Option<String>,
    error: Option<String>,
    images: Vec<ImageEntry<'a>>,
    triggers: Vec<TriggerEntry>,
}

#[derive(Serialize)]
struct ImageEntry<'a> {
    image: &'a str,
    name: &'a str,
    size_bytes: Option<u64>,
    state: &'static str,
    recoverable: &'static str,
    critical: Option<&'static str>,
    last_use: &'static str,
    last_used_at: Option<String>,
}

#[derive(Serialize)]
struct TriggerEntry {
    trigger: &'static str,
    signal: Option<&'static str>,
    crossed: bool,
    strikes_below: u64,
    headroom: Option<i64>,
    acts_at: Moment,
    wanted_bytes: Option<Range<i64>>,
    suffices: Option<bool>,
    certain: TotalEntry,
    possible: TotalEntry,
    freed_bytes: Option<Range<u64>>,
    available_after_bytes: Option<Range<u64>>,
    verdicts: Vec<VerdictEntry>,
}

#[derive(Serialize)]
struct Moment {
    earliest: String,
    likely: String,
    latest: String,
}

#[derive(Serialize)]
struct Range<T> {
    least: Option<T>,
    most: T,
}

#[derive(Serialize)]
struct TotalEntry {
    images: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct VerdictEntry {
    image: ImageId,
    fate: &'static str,
    reason: &'static str,
}

fn layer<'a>(sample: &Sample, layer: &'a LayerView<'_>, written: Option<Bytes>) -> LayerEntry<'a> {
    let images = layer.assessment.and_then(|found| found.images.as_ref());
    let kubelet = layer.sample.kubelet.as_ref();
    LayerEntry {
        layer: &layer.name,
        kind: layer.sample.kind.as_str(),
        kubelet_version: kubelet.and_then(|kubelet| kubelet.version.as_ref()).map(crate::untrusted::Label::as_str),
        image_gc_enabled: layer.policy().map(|policy| policy.image_gc.enabled),
        next_gc_check: layer.next_gc_check().map(|at| at.to_string()),
        loaded_now_goes_from: images.and_then(|images| images.first_chance).map(|at| at.to_string()),
        listed_at: images.map(|images| images.listed_at.to_string()),
        complete: images.map(|images| images.complete),
        followed_since: images.and_then(|images| images.followed_since).map(|at| at.to_string()),
        error: layer.sample.images.absence().map(ToString::to_string),
        images: known(layer)
            .into_iter()
            .map(|known| ImageEntry {
                image: known.image.id.as_str(),
                name: known.image.display_name(),
                size_bytes: known.image.size.map(Bytes::get),
                state: known.note.state.as_str(),
                recoverable: recoverable(known.note.recoverable),
                critical: known.note.critical.map(critical),
                last_use: match known.note.last_used {
                    LastUsed::Unknown => "unknown",
                    LastUsed::Never => "never",
                    LastUsed::At(_) => "known",
                },
                last_used_at: match known.note.last_used {
                    LastUsed::At(at) => Some(at.to_string()),
                    LastUsed::Unknown | LastUsed::Never => None,
                },
            })
            .collect(),
        triggers: predictions_after(sample, layer, written).iter().map(trigger).collect(),
    }
}

fn trigger(prediction: &Prediction) -> TriggerEntry {
    let total = |total: Total| TotalEntry { images: total.images, bytes: total.bytes.get() };
    TriggerEntry {
        trigger: prediction.level.trigger.as_str(),
        signal: prediction.level.signal.map(crate::model::Signal::as_str),
        crossed: prediction.crossed,
        strikes_below: prediction.level.strikes_below,
        headroom: prediction.level.headroom,
        acts_at: Moment {
            earliest: prediction.at.earliest.to_string(),
            likely: prediction.at.at.to_string(),
            latest: prediction.at.latest.to_string(),
        },
        wanted_bytes: prediction.wanted.map(|wanted| Range { least: wanted.least, most: wanted.most }),
        suffices: prediction.suffices,
        certain: total(prediction.certain()),
        possible: total(prediction.possible()),
        freed_bytes: prediction.freed.map(|freed| Range { least: Some(freed.least.get()), most: freed.most.get() }),
        available_after_bytes: prediction
            .available_after
            .map(|after| Range { least: Some(after.least.get()), most: after.most.get() }),
        verdicts: prediction
            .verdicts
            .iter()
            .map(|verdict| VerdictEntry {
                image: verdict.image.clone(),
                fate: verdict.fate.certainty().unwrap_or("safe"),
                reason: match verdict.fate {
                    Fate::Certain(Cause::Space) | Fate::Possible(Cause::Space) => "space",
                    Fate::Certain(Cause::Age) | Fate::Possible(Cause::Age) => "age",
                    Fate::Safe(reason) => reason.as_str(),
                },
            })
            .collect(),
    }
}
