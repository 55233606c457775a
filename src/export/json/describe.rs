//! How does a snapshot become the structures of its JSON? What is not known stays `None`.

use super::SCHEMA_VERSION;
use super::document::{
    ActionEntry, AgentEntry, BrierEntry, CollectorEntry, CountEntry, DeletedEntry, Document, ErrorEntry,
    FilesystemEntry, ForecastEntry, ImagesEntry, KubeletEntry, LayerEntry, PolicyEntry, RuntimeEntry, ScoreEntry,
    SettingEntry, SourceEntry, ThresholdEntry, TriggerEntry, UsageEntry, UsageLayerEntry, VictimsEntry,
};
use crate::assess::{ImageState, TriggerAssessment};
use crate::export::expected_triggers::expected_triggers;
use crate::export::remedy::best;
use crate::export::view::{FilesystemView, LayerView, View};
use crate::forecast::{Forecast, Horizon, Tally};
use crate::model::prediction::Total;
use crate::model::{EvictionThreshold, GcPolicy, Origin, Setting, ThresholdValue, Trigger};
use crate::sample::{Absence, KubeletSample, Reading};
use crate::snapshot::{AgentHealth, Snapshot};
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, Percent};
use crate::untrusted::Label;

/// A snapshot as it is known at `now`.
pub(crate) fn describe(snapshot: &Snapshot, now: Timestamp) -> Document {
    let view = View::new(snapshot, now);
    Document {
        schema_version: SCHEMA_VERSION,
        sampled_at: view.at.to_string(),
        age_seconds: seconds(now.since(view.at)),
        stale: view.is_stale(),
        filesystems: view.filesystems.iter().map(|found| filesystem(&view, found)).collect(),
        layers: view.layers.iter().map(|found| layer(&view, found)).collect(),
        forecast_scores: view.scores.iter().map(|(trigger, tally)| score(*trigger, tally)).collect(),
        agent: agent(view.agent),
    }
}

fn filesystem(all: &View<'_>, view: &FilesystemView<'_>) -> FilesystemEntry {
    let sample = view.sample;
    let space = view.space();
    let assessment = view.assessment;
    FilesystemEntry {
        device: view.device.to_string(),
        mountpoint: view.mountpoint.to_string(),
        device_number: format!("{}:{}", sample.id.major(), sample.id.minor()),
        measured_at: read_at(&sample.space),
        size_bytes: space.map(|space| space.capacity.get()),
        free_bytes: space.map(|space| space.free.get()),
        avail_bytes: space.map(|space| space.available.get()),
        used_bytes: space.map(|space| space.used().get()),
        files: space.map(|space| space.files.get()),
        files_free: space.map(|space| space.files_free.get()),
        kubelet_percent: assessment.and_then(|found| found.kubelet_percent).map(Percent::get),
        df_percent: assessment.and_then(|found| found.df_percent).map(Percent::get),
        fill_bytes_per_second: assessment.and_then(|found| found.fill_rate).map(crate::units::ByteRate::get),
        stuck: sample.stuck,
        error: error_of(&sample.space),
        usage: sample.usage.value().map(|usage| UsageEntry {
            measured_at: read_at(&sample.usage),
            took_seconds: seconds(usage.took),
            used_bytes: usage.used.get(),
            unreadable_directories: usage.unreadable,
            layers: usage
                .layers
                .iter()
                .map(|held| UsageLayerEntry {
                    layer: held.layer.to_string(),
                    bytes: held.total().get(),
                    components: held
                        .components
                        .iter()
                        .map(|(part, bytes)| (part.as_str().to_owned(), bytes.get()))
                        .collect(),
                })
                .collect(),
        }),
        usage_error: error_of(&sample.usage),
        expected_triggers: expected_triggers(all, view),
    }
}

fn layer(view: &View<'_>, layer: &LayerView<'_>) -> LayerEntry {
    let sample = layer.sample;
    let origin = &sample.origin;
    let disk = view.imagefs(layer);
    LayerEntry {
        layer: layer.name.to_string(),
        kind: sample.kind.to_string(),
        parent: sample.parent.as_ref().map(ToString::to_string),
        device: disk.map(|disk| disk.device.to_string()),
        mountpoint: disk.map(|disk| disk.mountpoint.to_string()),
        image_store: sample.image_store.to_string(),
        docker_root: label(sample.docker_root.as_ref()),
        runtime: sample.runtime.as_ref().map(|runtime| RuntimeEntry {
            name: runtime.kind.as_str().to_owned(),
            version: label(runtime.version.as_ref()),
            pid: runtime.pid,
            started_at: runtime.started_at.to_string(),
        }),
        kubelet: sample.kubelet.as_ref().map(kubelet),
        pod_namespace: label(origin.pod_namespace.as_ref()),
        pod: label(origin.pod.as_ref()),
        prow_job: label(origin.prow_job.as_ref()),
        prow_build_id: label(origin.prow_build_id.as_ref()),
        test_cluster: label(origin.test_cluster.as_ref()),
        node_role: label(origin.node_role.as_ref()),
        container: label(origin.container.as_ref()),
        exclusive_bytes: layer.held_total().map(Bytes::get),
        exclusive_bytes_by_component: layer
            .held
            .as_ref()
            .map(|held| held.iter().map(|(part, bytes)| (part.as_str().to_owned(), bytes.get())).collect()),
        runtime_used_bytes: sample.runtime_used.value().map(|bytes| bytes.get()),
        policy: layer.policy().map(policy),
        next_image_gc_at: layer.next_image_gc_at().map(|at| at.to_string()),
        triggers: layer.triggers().into_values().map(|found| trigger(view, found)).collect(),
        images: images(layer),
        images_error: error_of(&sample.images),
        best_remedy: best(view, layer),
        sources: layer
            .sources()
            .into_iter()
            .map(|(source, state)| SourceEntry {
                source: source.as_str().to_owned(),
                up: state.value().is_some(),
                read_at: read_at(state),
                error: error_of(state),
            })
            .collect(),
    }
}

pub(in crate::export) fn kubelet(kubelet: &KubeletSample) -> KubeletEntry {
    KubeletEntry {
        version: label(kubelet.release()),
        version_origin: kubelet.version.as_ref().and_then(|v| v.origin).map(|origin| origin.as_str().to_owned()),
        pid: kubelet.pid,
        started_at: kubelet.started_at.to_string(),
        serving_since: kubelet.serving_since.map(|at| at.to_string()),
    }
}

/// Counts only; `explain` has every image.
fn images(layer: &LayerView<'_>) -> Option<ImagesEntry> {
    let assessment = layer.assessment?;
    let images = assessment.images.as_ref()?;
    let store = layer.sample.images.value()?;
    let by_state = ImageState::ALL.map(|state| {
        let of_state = || store.images.iter().zip(&images.images).filter(|(_, note)| note.state == state);
        let bytes =
            of_state().fold(Bytes::ZERO, |sum, (image, _)| sum.saturating_add(image.size.unwrap_or(Bytes::ZERO)));
        (state.as_str().to_owned(), CountEntry { count: of_state().count(), bytes: bytes.get() })
    });
    let total = |total: Total| CountEntry { count: total.images, bytes: total.bytes.get() };
    let victims = images.predictions.iter().map(|prediction| VictimsEntry {
        trigger: prediction.level.trigger.to_string(),
        crossed: prediction.crossed,
        certain: total(prediction.certain()),
        possible: total(prediction.possible()),
    });
    let deleted = assessment.observed.iter().map(|(trigger, seen)| {
        let deleted = DeletedEntry { runs: seen.runs, count: seen.images, bytes: seen.bytes.get() };
        (trigger.map_or("unknown", Trigger::as_str).to_owned(), deleted)
    });
    Some(ImagesEntry {
        listed_at: images.listed_at.to_string(),
        complete: images.complete,
        by_state: by_state.into(),
        victims: victims.collect(),
        deleted_observed: deleted.collect(),
    })
}

pub(in crate::export) fn policy(policy: &GcPolicy) -> PolicyEntry {
    let gc = &policy.image_gc;
    PolicyEntry {
        image_gc_enabled: gc.enabled,
        image_gc_high_threshold_percent: setting(&gc.high, |percent| percent.get()),
        image_gc_low_threshold_percent: setting(&gc.low, |percent| percent.get()),
        image_minimum_gc_age_seconds: setting(&gc.minimum_age, |age| seconds(*age)),
        image_maximum_gc_age_seconds: gc.maximum_age.as_ref().map(|age| setting(age, |age| seconds(*age))),
        eviction_hard: policy.eviction_hard.iter().map(|found| threshold(found, None)).collect(),
        eviction_soft: policy
            .eviction_soft
            .iter()
            .map(|soft| threshold(&soft.threshold, Some(seconds(soft.grace_period))))
            .collect(),
        pressure_transition_period_seconds: setting(&policy.pressure_transition_period, |period| seconds(*period)),
        problems: policy.problems.iter().map(ToString::to_string).collect(),
    }
}

fn setting<T, U>(setting: &Setting<T>, value: impl Fn(&T) -> U) -> SettingEntry<U> {
    SettingEntry {
        value: value(&setting.value),
        origin: setting.origin.as_str().to_owned(),
        path: path(&setting.origin),
    }
}

fn threshold(threshold: &EvictionThreshold, grace_period_seconds: Option<f64>) -> ThresholdEntry {
    let (quantity, fraction) = match threshold.value {
        ThresholdValue::Quantity(amount) => (Some(amount), None),
        ThresholdValue::Fraction(part) => (None, Some(part)),
    };
    ThresholdEntry {
        signal: threshold.signal.to_string(),
        quantity,
        fraction,
        origin: threshold.origin.as_str().to_owned(),
        path: path(&threshold.origin),
        grace_period_seconds,
    }
}

fn path(origin: &Origin) -> Option<String> {
    match origin {
        Origin::File(path) | Origin::DropIn(path) => Some(path.to_string()),
        Origin::Assumed | Origin::Default | Origin::Flag => None,
    }
}

fn trigger(view: &View<'_>, found: &TriggerAssessment) -> TriggerEntry {
    let disk = view.filesystem(found.filesystem);
    TriggerEntry {
        trigger: found.trigger.to_string(),
        signal: found.signal.map(|signal| signal.to_string()),
        unit: if found.trigger == Trigger::InodeEviction { "inodes" } else { "bytes" }.to_owned(),
        device: disk.map(|disk| disk.device.to_string()),
        mountpoint: disk.map(|disk| disk.mountpoint.to_string()),
        threshold: found.threshold,
        headroom: found.headroom,
        forecast: found.forecast.as_ref().map(forecast),
        acts_in: found.action.map(|action| ActionEntry {
            p10_seconds: action.p10.map(seconds),
            p50_seconds: action.p50.map(seconds),
            p90_seconds: action.p90.map(seconds),
        }),
    }
}

fn forecast(forecast: &Forecast) -> ForecastEntry {
    ForecastEntry {
        p10_seconds: forecast.p10.map(seconds),
        p50_seconds: forecast.p50.map(seconds),
        p90_seconds: forecast.p90.map(seconds),
        probability: Horizon::ALL
            .into_iter()
            .map(|horizon| (horizon.as_str().to_owned(), forecast.within(horizon).get()))
            .collect(),
    }
}

fn score(trigger: Trigger, tally: &Tally) -> ScoreEntry {
    let by_horizon = Horizon::ALL
        .into_iter()
        .zip(tally.answered)
        .map(|(horizon, checked)| (horizon.as_str().to_owned(), BrierEntry { checked, brier: tally.brier(horizon) }));
    ScoreEntry {
        trigger: trigger.to_string(),
        hit: tally.hit,
        missed: tally.missed,
        false_alarm: tally.false_alarm,
        by_horizon: by_horizon.collect(),
        intervals_checked: tally.timed,
        coverage: tally.coverage(),
    }
}

fn agent(agent: &AgentHealth) -> AgentEntry {
    AgentEntry {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: label(agent.boot_id.as_ref()),
        sample_interval_seconds: seconds(agent.sample_interval),
        collectors: agent
            .collectors
            .iter()
            .map(|run| CollectorEntry {
                collector: run.collector.clone(),
                success: run.success,
                duration_seconds: seconds(run.duration),
            })
            .collect(),
    }
}

fn label(label: Option<&Label>) -> Option<String> {
    label.map(ToString::to_string)
}

fn read_at<T>(reading: &Reading<T>) -> Option<String> {
    match reading {
        Reading::Present { at, .. } => Some(at.to_string()),
        Reading::Absent(_) => None,
    }
}

pub(in crate::export) fn error_of<T>(reading: &Reading<T>) -> Option<ErrorEntry> {
    reading
        .absence()
        .map(|Absence { reason, detail }| ErrorEntry { reason: reason.as_str().to_owned(), detail: detail.to_string() })
}

fn seconds(span: Span) -> f64 {
    span.as_secs_f64()
}
