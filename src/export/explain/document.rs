//! Which fields does `explain` have, and where do they come from? The schema as structures, for whoever writes it and whoever
//! reads it.
//!
//! Each field is described in docs/json.md. Text read from another machine has to be made harmless before it is shown.

use super::{Question, UnknownLayer, chosen, critical, known, predictions_after, recoverable};
use crate::assess::LastUsed;
use crate::export::expected_triggers::{ExpectedTriggerEntry, expected_triggers};
use crate::export::json::describe::{kubelet, policy};
use crate::export::json::{KubeletEntry, PolicyEntry};
use crate::export::remedy::{Help, RemedyEntry, help};
use crate::export::view::{FilesystemView, LayerView, View};
use crate::model::prediction::{Prediction, Total};
use crate::model::victims::{Cause, Outcome};
use crate::snapshot::Snapshot;
use crate::time::Timestamp;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};

/// Rises when a field changes its meaning or goes; new fields leave it as it is.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) schema_version: u32,
    pub(crate) sampled_at: String,
    pub(crate) age_seconds: f64,
    pub(crate) stale: bool,
    pub(crate) if_written_bytes: Option<u64>,
    pub(crate) disks: Vec<DiskEntry>,
    pub(crate) layers: Vec<LayerEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DiskEntry {
    pub(crate) device: String,
    pub(crate) mountpoint: String,
    pub(crate) expected_triggers: Vec<ExpectedTriggerEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LayerEntry {
    pub(crate) layer: String,
    pub(crate) kind: String,
    pub(crate) kubelet: Option<KubeletEntry>,
    pub(crate) policy: Option<PolicyEntry>,
    pub(crate) avail_bytes: Option<u64>,
    pub(crate) next_image_gc_at: Option<String>,
    pub(crate) new_image_gc_eligible_at: Option<String>,
    pub(crate) listed_at: Option<String>,
    pub(crate) complete: Option<bool>,
    pub(crate) image_volumes_known: Option<bool>,
    pub(crate) followed_since: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) images: Vec<ImageEntry>,
    pub(crate) triggers: Vec<TriggerEntry>,
    // These three are missing in the answers of older agents.
    #[serde(default)]
    pub(crate) remedies: Vec<RemedyEntry>,
    #[serde(default)]
    pub(crate) pins_ignored_by: Option<String>,
    #[serde(default)]
    pub(crate) exec_command: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ImageEntry {
    pub(crate) image: String,
    pub(crate) name: String,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) state: String,
    pub(crate) recoverable: String,
    pub(crate) critical: Option<String>,
    pub(crate) last_use: String,
    pub(crate) last_used_at: Option<String>,
    pub(crate) seen_by_kubelet: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TriggerEntry {
    pub(crate) trigger: String,
    pub(crate) signal: Option<String>,
    pub(crate) crossed: bool,
    pub(crate) threshold: u64,
    pub(crate) headroom: Option<i64>,
    pub(crate) grace_period_seconds: f64,
    pub(crate) acts_at: Moment,
    pub(crate) wanted_bytes: Option<Range<i64>>,
    pub(crate) suffices: Option<bool>,
    pub(crate) certain: TotalEntry,
    pub(crate) possible: TotalEntry,
    pub(crate) freed_bytes: Option<Range<u64>>,
    pub(crate) available_after_bytes: Option<Range<u64>>,
    pub(crate) verdicts: Vec<VerdictEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) earliest: String,
    pub(crate) likely: String,
    pub(crate) latest: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Range<T> {
    pub(crate) least: Option<T>,
    pub(crate) most: T,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct TotalEntry {
    pub(crate) images: usize,
    pub(crate) bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct VerdictEntry {
    pub(crate) image: String,
    pub(crate) outcome: String,
    pub(crate) reason: String,
}

/// The answer to a question at `now`.
///
/// # Errors
/// When the layer that was asked for is not there, or is not the only one of that name.
pub(crate) fn describe(snapshot: &Snapshot, now: Timestamp, question: Question<'_>) -> Result<Document, UnknownLayer> {
    let view = View::new(snapshot, now);
    let layers = chosen(&view, question)?;
    Ok(Document {
        schema_version: SCHEMA_VERSION,
        sampled_at: view.at.to_string(),
        age_seconds: now.since(view.at).as_secs_f64(),
        stale: view.is_stale(),
        if_written_bytes: question.written.map(Bytes::get),
        disks: disks(&view, question),
        layers: layers.into_iter().map(|found| layer(snapshot, &view, found, question.written)).collect(),
    })
}

/// One answer for each disk, where all layers are asked for, as they are.
fn disks(view: &View<'_>, question: Question<'_>) -> Vec<DiskEntry> {
    if question != Question::default() {
        return Vec::new();
    }
    let disk = |disk: &FilesystemView<'_>| DiskEntry {
        device: disk.device.to_string(),
        mountpoint: disk.mountpoint.to_string(),
        expected_triggers: expected_triggers(view, disk),
    };
    view.filesystems.iter().map(disk).collect()
}

fn layer(snapshot: &Snapshot, view: &View<'_>, layer: &LayerView<'_>, written: Option<Bytes>) -> LayerEntry {
    let images = layer.assessment.and_then(|found| found.images.as_ref());
    let predictions = predictions_after(&snapshot.sample, layer, written);
    let Help { remedies, pins_ignored_by, exec_command } =
        help(view, layer, &predictions, written.unwrap_or(Bytes::ZERO));
    LayerEntry {
        layer: layer.name.to_string(),
        kind: layer.sample.kind.to_string(),
        kubelet: layer.sample.kubelet.as_ref().map(kubelet),
        policy: layer.policy().map(policy),
        avail_bytes: view.imagefs(layer).and_then(|disk| disk.space()).map(|space| space.available.get()),
        next_image_gc_at: layer.next_image_gc_at().map(|at| at.to_string()),
        new_image_gc_eligible_at: images.and_then(|images| images.new_image_gc_eligible_at).map(|at| at.to_string()),
        listed_at: images.map(|images| images.listed_at.to_string()),
        complete: images.map(|images| images.complete),
        image_volumes_known: layer.sample.images.value().map(|store| !store.hidden_volumes),
        followed_since: images.and_then(|images| images.followed_since).map(|at| at.to_string()),
        error: layer.sample.images.absence().map(ToString::to_string),
        images: known(layer)
            .into_iter()
            .map(|known| ImageEntry {
                image: known.image.id.as_str().to_owned(),
                name: known.image.display_name().to_owned(),
                size_bytes: known.image.size.map(Bytes::get),
                state: known.note.state.as_str().to_owned(),
                recoverable: recoverable(known.note.recoverable).to_owned(),
                critical: known.note.critical.map(|why| critical(why).to_owned()),
                last_use: match known.note.last_used {
                    LastUsed::Unknown => "unknown",
                    LastUsed::Never => "never",
                    LastUsed::At(_) => "known",
                }
                .to_owned(),
                last_used_at: match known.note.last_used {
                    LastUsed::At(at) => Some(at.to_string()),
                    LastUsed::Unknown | LastUsed::Never => None,
                },
                seen_by_kubelet: known.note.seen,
            })
            .collect(),
        triggers: predictions.iter().map(trigger).collect(),
        remedies,
        pins_ignored_by,
        exec_command,
    }
}

fn trigger(prediction: &Prediction) -> TriggerEntry {
    let total = |total: Total| TotalEntry { images: total.images, bytes: total.bytes.get() };
    let level = &prediction.level;
    TriggerEntry {
        trigger: level.trigger.to_string(),
        signal: level.signal.map(|signal| signal.to_string()),
        crossed: prediction.crossed,
        threshold: level.threshold,
        headroom: level.headroom,
        grace_period_seconds: level.grace_period.as_secs_f64(),
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
                image: verdict.image.as_str().to_owned(),
                outcome: verdict.outcome.certainty().unwrap_or("safe").to_owned(),
                reason: match verdict.outcome {
                    Outcome::Certain(Cause::Space) | Outcome::Possible(Cause::Space) => "space",
                    Outcome::Certain(Cause::Age) | Outcome::Possible(Cause::Age) => "age",
                    Outcome::Safe(reason) => reason.as_str(),
                }
                .to_owned(),
            })
            .collect(),
    }
}
