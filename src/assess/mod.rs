//! What does a sample mean? The one place where what was seen, the kubelet's rules and the forecast meet; pure.

mod assessment;
mod expected_triggers;
pub mod holders;
mod images;
mod persisted;
pub mod remedies;
mod scores;
mod timeline;

pub use assessment::{
    Assessment, ExpectedTrigger, FilesystemAssessment, LayerAssessment, PreemptedBy, Quantiles, TriggerAssessment,
};
pub use expected_triggers::Urgency;
pub use images::{ImageNote, ImageState, ImagesAssessment, LastUsed, Observed};
pub use persisted::{PersistedState, State};
pub use timeline::{Projection, Timeline};

use crate::forecast::{Forecast, Observation, Outlook};
use crate::model::prediction::Prediction;
use crate::model::schedule::GcSchedule;
use crate::model::{GcPolicy, Release, Trigger, TriggerLevel, triggers, usage};

use crate::sample::{FilesystemId, KubeletSample, LayerSample, Reading, Sample};
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, Inodes};
use images::{Given, LayerState, Measured};
use std::collections::BTreeMap;

/// What `sample` means, given what was seen before. Filesystems and layers that are not in the sample any more are forgotten.
pub fn assess(sample: &Sample, state: State) -> (Assessment, State) {
    let mut pending_restore = state.pending_restore;
    let mut before = state.histories;
    let mut histories = BTreeMap::new();
    let mut outlooks = BTreeMap::new();
    let mut filesystems = Vec::with_capacity(sample.filesystems.len());
    for filesystem in &sample.filesystems {
        let mut history =
            before.remove(&filesystem.id).or_else(|| pending_restore.history(filesystem.id)).unwrap_or_default();
        if let Reading::Present { value, at } = &filesystem.space {
            history.observe(Observation {
                at: *at,
                capacity: value.capacity,
                available: value.available,
                files: value.files,
                files_free: value.files_free,
            });
        }
        let space = filesystem.space.value();
        let outlook = space.map(|_| history.outlook());
        let timeline = match (space, &outlook) {
            (Some(space), Some(outlook)) => Timeline::new(&history, outlook, space.available),
            _ => Timeline::past(&history),
        };
        filesystems.push(FilesystemAssessment {
            id: filesystem.id,
            kubelet_percent: space.and_then(|space| usage::kubelet_percent(space.capacity, space.available)),
            df_percent: space.and_then(usage::df_percent),
            // A rate that is older than the last failed measurement would be an invented one.
            fill_rate: space.and_then(|_| history.fill_rate()),
            timeline,
            expected_triggers: Vec::new(),
        });
        outlooks.extend(outlook.map(|outlook| (filesystem.id, outlook)));
        histories.insert(filesystem.id, history);
    }
    let mut watched_before = state.watched;
    let mut watched = BTreeMap::new();
    let mut layers = Vec::with_capacity(sample.layers.len());
    for layer in &sample.layers {
        // Of two layers of one name, which only a hostile one makes, the first is remembered.
        let mut memory =
            watched_before.remove(&layer.id).or_else(|| pending_restore.layer(&layer.id)).unwrap_or_default();
        layers.push(assess_layer(layer, sample, &outlooks, &state.critical_images, &mut memory));
        watched.entry(layer.id.clone()).or_insert(memory);
    }
    pending_restore.time_passes(sample.at);
    let has_kubelet = |position: usize| sample.layers.get(position).is_some_and(|layer| layer.kubelet.is_some());
    for filesystem in &mut filesystems {
        filesystem.expected_triggers =
            expected_triggers::expected_triggers(filesystem.id, &layers, has_kubelet, filesystem.fill_rate);
    }
    let mut scores = state.scores;
    scores.record(sample.at, layers.iter().flat_map(|layer: &LayerAssessment| &layer.triggers));
    let assessment = Assessment { filesystems, layers, scores: scores.by_trigger() };
    (assessment, State { histories, watched, scores, pending_restore, critical_images: state.critical_images })
}

/// What each trigger that deletes images would do in a layer of `sample`, whose `images` these are, if so many more bytes had been
/// written to the filesystem of its images first.
pub fn after_writing(
    sample: &Sample,
    layer: &LayerSample,
    images: &ImagesAssessment,
    written: Bytes,
) -> Vec<Prediction> {
    let settings = Settings::of(layer, sample);
    images::predictions(settings.given(layer, sample.at, &[]), &images.basis, written)
}

/// What decides in one layer.
struct Settings<'a> {
    kubelet: Option<&'a KubeletSample>,
    release: Release,
    policy: Option<GcPolicy>,
    imagefs: Measured<'a>,
    nodefs: Measured<'a>,
    /// How often the runtime measures its images; zero where it does not say.
    stats_period: Span,
}

impl<'a> Settings<'a> {
    fn of(layer: &'a LayerSample, sample: &'a Sample) -> Self {
        let kubelet = layer.kubelet.as_ref();
        let readable = kubelet.is_some_and(|kubelet| kubelet.config.value().is_some());
        let measured = |id: &Reading<FilesystemId>| {
            let id = *id.value()?;
            let filesystem = sample.filesystems.iter().find(|filesystem| filesystem.id == id)?;
            Some((id, filesystem.space.value()?))
        };
        Self {
            kubelet,
            release: kubelet.map_or(Release::Unknown, Release::of),
            policy: readable.then(|| GcPolicy::of(kubelet)),
            imagefs: measured(&layer.imagefs),
            nodefs: measured(&layer.nodefs),
            stats_period: layer.runtime.as_ref().and_then(|runtime| runtime.stats_period).unwrap_or(Span::ZERO),
        }
    }

    fn given(&'a self, layer: &'a LayerSample, now: Timestamp, levels: &'a [TriggerLevel]) -> Given<'a> {
        Given {
            now,
            kubelet: self.kubelet,
            policy: self.policy.as_ref(),
            release: self.release,
            imagefs: self.imagefs,
            nodefs: self.nodefs,
            stats_period: self.stats_period,
            levels,
            images: &layer.images,
        }
    }
}

fn assess_layer(
    layer: &LayerSample,
    sample: &Sample,
    outlooks: &BTreeMap<FilesystemId, Outlook>,
    critical_images: &[String],
    memory: &mut LayerState,
) -> LayerAssessment {
    let settings = Settings::of(layer, sample);
    let levels = match &settings.policy {
        Some(policy) => {
            let mut levels = triggers::levels(policy, settings.imagefs, settings.nodefs);
            levels.extend(triggers::soft_levels(policy, settings.imagefs, settings.nodefs));
            levels
        }
        None => triggers::disk_full(settings.imagefs.or(settings.nodefs)).into_iter().collect(),
    };
    let given = settings.given(layer, sample.at, &levels);
    memory.observe(given);
    let images = memory.assess(given, critical_images);
    let schedule = settings.kubelet.map(|kubelet| memory.schedule(kubelet).measured_every(settings.stats_period));
    let triggers = levels.iter().map(|level| {
        let outlook = outlooks.get(&level.filesystem);
        let forecast = match level.trigger {
            Trigger::InodeEviction => outlook.and_then(|o| o.forecast_inodes(Inodes::new(level.threshold))),
            _ => outlook.and_then(|o| o.forecast(Bytes::new(level.threshold))),
        };
        TriggerAssessment {
            trigger: level.trigger,
            signal: level.signal,
            filesystem: level.filesystem,
            threshold: level.threshold,
            headroom: level.headroom,
            forecast,
            action: forecast.map(|forecast| action(level, &forecast, schedule, sample.at, memory.grace_since(level))),
        }
    });
    let triggers = triggers.collect();
    let loop_runs = settings.policy.as_ref().is_some_and(|policy| policy.image_gc.enabled);
    let next_image_gc_at = schedule.filter(|_| loop_runs).map(|schedule| schedule.next_gc_run(sample.at).at);
    LayerAssessment {
        id: layer.id.clone(),
        policy: settings.policy,
        next_image_gc_at,
        triggers,
        images,
        observed: memory.observed(),
    }
}

/// When the kubelet acts on a threshold that is crossed as forecast. A later crossing is never acted on sooner, so that each quantile
/// of the one gives that of the other. Without a kubelet nobody acts, and the crossing is all there is. `since`: when a soft
/// threshold that is crossed now was first seen so.
fn action(
    level: &TriggerLevel,
    forecast: &Forecast,
    schedule: Option<GcSchedule>,
    now: Timestamp,
    since: Option<Timestamp>,
) -> Quantiles {
    let acts = |crossing: Option<Span>| {
        let crossing = crossing?;
        let Some(schedule) = schedule else { return Some(crossing) };
        let at = if level.trigger == Trigger::ImageGc && crossing == Span::ZERO {
            // Crossed at some time before: the next image GC run sees it.
            schedule.next_gc_run(now).at
        } else if crossing == Span::ZERO
            && let Some(since) = since
        {
            // Part of its grace period is over, or all of it: then every sync acts.
            let after_grace = schedule.acts_at(level.trigger, level.signal, since, level.grace_period).at;
            after_grace.max(schedule.next_eviction_sync(level.signal, now).at)
        } else {
            schedule.acts_at(level.trigger, level.signal, now + crossing, level.grace_period).at
        };
        Some(at.since(now).max(crossing))
    };
    Quantiles { p10: acts(forecast.p10), p50: acts(forecast.p50), p90: acts(forecast.p90) }
}
