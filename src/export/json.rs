//! How does a script read a snapshot? One versioned JSON object, described field by field in docs/json.md.
//!
//! Bytes are whole numbers, points in time RFC 3339 strings, lengths of time seconds. What is not known is `null`, never 0.
//! The structures here are the schema; the types of the sample may change behind them.

use super::view::{FilesystemView, LayerView, View};
use crate::assess::{ImageState, TriggerAssessment};
use crate::forecast::{Forecast, Horizon, Tally};
use crate::model::prediction::Total;
use crate::model::{EvictionThreshold, GcPolicy, Origin, Setting, ThresholdValue, Trigger};
use crate::sample::{Absence, Reading};
use crate::snapshot::{AgentHealth, Snapshot};
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, Percent};
use serde::Serialize;
use std::collections::BTreeMap;

/// Rises when a field changes its meaning or goes; new fields leave it as it is.
pub const SCHEMA_VERSION: u32 = 1;

/// A snapshot as it is known at `now`, with a newline at the end.
pub fn snapshot(snapshot: &Snapshot, now: Timestamp) -> String {
    let view = View::new(snapshot, now);
    line(&Document {
        schema_version: SCHEMA_VERSION,
        sampled_at: view.at.to_string(),
        age_seconds: seconds(now.since(view.at)),
        stale: view.is_stale(),
        filesystems: view.filesystems.iter().map(filesystem).collect(),
        layers: view.layers.iter().map(|found| layer(&view, found)).collect(),
        forecast_scores: view.scores.iter().map(|(trigger, tally)| score(*trigger, tally)).collect(),
        agent: agent(view.agent),
    })
}

/// An error as the API answers it.
pub fn error(message: &str) -> String {
    line(&serde_json::json!({ "schema_version": SCHEMA_VERSION, "error": message }))
}

fn line(value: &impl Serialize) -> String {
    // Strings, numbers and maps with string keys always have a JSON form.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    sampled_at: String,
    age_seconds: f64,
    stale: bool,
    filesystems: Vec<FilesystemEntry<'a>>,
    layers: Vec<LayerEntry<'a>>,
    forecast_scores: Vec<ScoreEntry>,
    agent: AgentEntry<'a>,
}

#[derive(Serialize)]
struct FilesystemEntry<'a> {
    device: &'a str,
    mountpoint: &'a str,
    device_number: String,
    measured_at: Option<String>,
    size_bytes: Option<u64>,
    free_bytes: Option<u64>,
    avail_bytes: Option<u64>,
    used_bytes: Option<u64>,
    files: Option<u64>,
    files_free: Option<u64>,
    kubelet_percent: Option<i64>,
    df_percent: Option<i64>,
    fill_bytes_per_second: Option<f64>,
    stuck: bool,
    error: Option<ErrorEntry<'a>>,
    usage: Option<UsageEntry<'a>>,
    usage_error: Option<ErrorEntry<'a>>,
}

#[derive(Serialize)]
struct UsageEntry<'a> {
    measured_at: Option<String>,
    took_seconds: f64,
    used_bytes: u64,
    unreadable_directories: u64,
    layers: Vec<UsageLayerEntry<'a>>,
}

#[derive(Serialize)]
struct UsageLayerEntry<'a> {
    layer: &'a str,
    bytes: u64,
    components: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct LayerEntry<'a> {
    layer: &'a str,
    kind: &'static str,
    parent: Option<&'a str>,
    device: Option<&'a str>,
    mountpoint: Option<&'a str>,
    image_store: &'a str,
    docker_root: Option<&'a str>,
    runtime: Option<RuntimeEntry<'a>>,
    kubelet: Option<KubeletEntry<'a>>,
    pod_namespace: Option<&'a str>,
    pod: Option<&'a str>,
    prow_job: Option<&'a str>,
    prow_build_id: Option<&'a str>,
    test_cluster: Option<&'a str>,
    node_role: Option<&'a str>,
    container: Option<&'a str>,
    held_bytes: Option<u64>,
    held_by_component: Option<BTreeMap<&'static str, u64>>,
    runtime_used_bytes: Option<u64>,
    policy: Option<PolicyEntry<'a>>,
    next_gc_check: Option<String>,
    triggers: Vec<TriggerEntry<'a>>,
    images: Option<ImagesEntry>,
    images_error: Option<ErrorEntry<'a>>,
    sources: Vec<SourceEntry<'a>>,
}

#[derive(Serialize)]
struct RuntimeEntry<'a> {
    name: &'static str,
    version: Option<&'a str>,
    pid: u32,
    started_at: String,
}

#[derive(Serialize)]
struct KubeletEntry<'a> {
    version: Option<&'a str>,
    pid: u32,
    started_at: String,
}

#[derive(Serialize)]
struct PolicyEntry<'a> {
    image_gc_enabled: bool,
    image_gc_high_threshold_percent: SettingEntry<'a, i64>,
    image_gc_low_threshold_percent: SettingEntry<'a, i64>,
    image_minimum_gc_age_seconds: SettingEntry<'a, f64>,
    image_maximum_gc_age_seconds: Option<SettingEntry<'a, f64>>,
    eviction_hard: Vec<ThresholdEntry<'a>>,
    eviction_soft: Vec<ThresholdEntry<'a>>,
    pressure_transition_period_seconds: SettingEntry<'a, f64>,
    problems: Vec<&'a str>,
}

#[derive(Serialize)]
struct SettingEntry<'a, T> {
    value: T,
    origin: &'static str,
    path: Option<&'a str>,
}

#[derive(Serialize)]
struct ThresholdEntry<'a> {
    signal: &'static str,
    quantity: Option<u64>,
    fraction: Option<f32>,
    origin: &'static str,
    path: Option<&'a str>,
    grace_period_seconds: Option<f64>,
}

#[derive(Serialize)]
struct TriggerEntry<'a> {
    trigger: &'static str,
    signal: Option<&'static str>,
    unit: &'static str,
    device: Option<&'a str>,
    mountpoint: Option<&'a str>,
    strikes_below: u64,
    headroom: Option<i64>,
    forecast: Option<ForecastEntry>,
    acts_in: Option<ActionEntry>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "a field of the schema ends in its unit")]
struct ActionEntry {
    p10_seconds: Option<f64>,
    p50_seconds: Option<f64>,
    p90_seconds: Option<f64>,
}

#[derive(Serialize)]
struct ImagesEntry {
    listed_at: String,
    complete: bool,
    by_state: BTreeMap<&'static str, CountEntry>,
    victims: Vec<VictimsEntry>,
    deleted_observed: BTreeMap<&'static str, DeletedEntry>,
}

#[derive(Serialize)]
struct CountEntry {
    count: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct VictimsEntry {
    trigger: &'static str,
    crossed: bool,
    certain: CountEntry,
    possible: CountEntry,
}

#[derive(Serialize)]
struct DeletedEntry {
    runs: u64,
    count: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct ForecastEntry {
    p10_seconds: Option<f64>,
    p50_seconds: Option<f64>,
    p90_seconds: Option<f64>,
    probability: BTreeMap<&'static str, f64>,
}

#[derive(Serialize)]
struct ScoreEntry {
    trigger: &'static str,
    hit: u64,
    missed: u64,
    false_alarm: u64,
    by_horizon: BTreeMap<&'static str, BrierEntry>,
    intervals_checked: u64,
    coverage: Option<f64>,
}

#[derive(Serialize)]
struct BrierEntry {
    checked: u64,
    brier: Option<f64>,
}

#[derive(Serialize)]
struct SourceEntry<'a> {
    source: &'static str,
    up: bool,
    read_at: Option<String>,
    error: Option<ErrorEntry<'a>>,
}

#[derive(Serialize)]
struct ErrorEntry<'a> {
    reason: &'static str,
    detail: &'a str,
}

#[derive(Serialize)]
struct AgentEntry<'a> {
    version: &'static str,
    sample_interval_seconds: f64,
    collectors: Vec<CollectorEntry<'a>>,
}

#[derive(Serialize)]
struct CollectorEntry<'a> {
    collector: &'a str,
    success: bool,
    duration_seconds: f64,
}

fn filesystem<'a>(view: &'a FilesystemView<'_>) -> FilesystemEntry<'a> {
    let sample = view.sample;
    let space = view.space();
    let assessment = view.assessment;
    FilesystemEntry {
        device: &view.device,
        mountpoint: &view.mountpoint,
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
                    layer: held.layer.as_str(),
                    bytes: held.total().get(),
                    components: held.components.iter().map(|(part, bytes)| (part.as_str(), bytes.get())).collect(),
                })
                .collect(),
        }),
        usage_error: error_of(&sample.usage),
    }
}

fn layer<'a>(view: &'a View<'_>, layer: &'a LayerView<'_>) -> LayerEntry<'a> {
    let sample = layer.sample;
    let origin = &sample.origin;
    let disk = view.imagefs(layer);
    LayerEntry {
        layer: &layer.name,
        kind: sample.kind.as_str(),
        parent: sample.parent.as_ref().map(crate::layer::LayerId::as_str),
        device: disk.map(|disk| &*disk.device),
        mountpoint: disk.map(|disk| &*disk.mountpoint),
        image_store: sample.image_store.as_str(),
        docker_root: label(sample.docker_root.as_ref()),
        runtime: sample.runtime.as_ref().map(|runtime| RuntimeEntry {
            name: runtime.kind.as_str(),
            version: label(runtime.version.as_ref()),
            pid: runtime.pid,
            started_at: runtime.started_at.to_string(),
        }),
        kubelet: sample.kubelet.as_ref().map(|kubelet| KubeletEntry {
            version: label(kubelet.version.as_ref()),
            pid: kubelet.pid,
            started_at: kubelet.started_at.to_string(),
        }),
        pod_namespace: label(origin.pod_namespace.as_ref()),
        pod: label(origin.pod.as_ref()),
        prow_job: label(origin.prow_job.as_ref()),
        prow_build_id: label(origin.prow_build_id.as_ref()),
        test_cluster: label(origin.test_cluster.as_ref()),
        node_role: label(origin.node_role.as_ref()),
        container: label(origin.container.as_ref()),
        held_bytes: layer.held_total().map(Bytes::get),
        held_by_component: layer
            .held
            .as_ref()
            .map(|held| held.iter().map(|(part, bytes)| (part.as_str(), bytes.get())).collect()),
        runtime_used_bytes: sample.runtime_used.value().map(|bytes| bytes.get()),
        policy: layer.policy().map(policy),
        next_gc_check: layer.next_gc_check().map(|at| at.to_string()),
        triggers: layer.triggers().into_values().map(|found| trigger(view, found)).collect(),
        images: images(layer),
        images_error: error_of(&sample.images),
        sources: layer
            .sources()
            .into_iter()
            .map(|(source, state)| SourceEntry {
                source: source.as_str(),
                up: state.value().is_some(),
                read_at: read_at(state),
                error: error_of(state),
            })
            .collect(),
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
        (state.as_str(), CountEntry { count: of_state().count(), bytes: bytes.get() })
    });
    let total = |total: Total| CountEntry { count: total.images, bytes: total.bytes.get() };
    let victims = images.predictions.iter().map(|prediction| VictimsEntry {
        trigger: prediction.level.trigger.as_str(),
        crossed: prediction.crossed,
        certain: total(prediction.certain()),
        possible: total(prediction.possible()),
    });
    let deleted = assessment.observed.iter().map(|(trigger, seen)| {
        let deleted = DeletedEntry { runs: seen.runs, count: seen.images, bytes: seen.bytes.get() };
        (trigger.map_or("unknown", Trigger::as_str), deleted)
    });
    Some(ImagesEntry {
        listed_at: images.listed_at.to_string(),
        complete: images.complete,
        by_state: by_state.into(),
        victims: victims.collect(),
        deleted_observed: deleted.collect(),
    })
}

fn policy(policy: &GcPolicy) -> PolicyEntry<'_> {
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
        problems: policy.problems.iter().map(super::super::untrusted::Label::as_str).collect(),
    }
}

fn setting<T, U>(setting: &Setting<T>, value: impl Fn(&T) -> U) -> SettingEntry<'_, U> {
    SettingEntry { value: value(&setting.value), origin: setting.origin.as_str(), path: path(&setting.origin) }
}

fn threshold(threshold: &EvictionThreshold, grace_period_seconds: Option<f64>) -> ThresholdEntry<'_> {
    let (quantity, fraction) = match threshold.value {
        ThresholdValue::Quantity(amount) => (Some(amount), None),
        ThresholdValue::Fraction(part) => (None, Some(part)),
    };
    ThresholdEntry {
        signal: threshold.signal.as_str(),
        quantity,
        fraction,
        origin: threshold.origin.as_str(),
        path: path(&threshold.origin),
        grace_period_seconds,
    }
}

fn path(origin: &Origin) -> Option<&str> {
    match origin {
        Origin::File(path) | Origin::DropIn(path) => Some(path.as_str()),
        Origin::Assumed | Origin::Default | Origin::Flag => None,
    }
}

fn trigger<'a>(view: &'a View<'_>, found: &TriggerAssessment) -> TriggerEntry<'a> {
    let disk = view.filesystem(found.filesystem);
    TriggerEntry {
        trigger: found.trigger.as_str(),
        signal: found.signal.map(crate::model::Signal::as_str),
        unit: if found.trigger == Trigger::InodeEviction { "inodes" } else { "bytes" },
        device: disk.map(|disk| &*disk.device),
        mountpoint: disk.map(|disk| &*disk.mountpoint),
        strikes_below: found.strikes_below,
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
            .map(|horizon| (horizon.as_str(), forecast.within(horizon).get()))
            .collect(),
    }
}

fn score(trigger: Trigger, tally: &Tally) -> ScoreEntry {
    let by_horizon = Horizon::ALL
        .into_iter()
        .zip(tally.answered)
        .map(|(horizon, checked)| (horizon.as_str(), BrierEntry { checked, brier: tally.brier(horizon) }));
    ScoreEntry {
        trigger: trigger.as_str(),
        hit: tally.hit,
        missed: tally.missed,
        false_alarm: tally.false_alarm,
        by_horizon: by_horizon.collect(),
        intervals_checked: tally.timed,
        coverage: tally.coverage(),
    }
}

fn agent(agent: &AgentHealth) -> AgentEntry<'_> {
    AgentEntry {
        version: env!("CARGO_PKG_VERSION"),
        sample_interval_seconds: seconds(agent.sample_interval),
        collectors: agent
            .collectors
            .iter()
            .map(|run| CollectorEntry {
                collector: &run.collector,
                success: run.success,
                duration_seconds: seconds(run.duration),
            })
            .collect(),
    }
}

fn label(label: Option<&crate::untrusted::Label>) -> Option<&str> {
    label.map(crate::untrusted::Label::as_str)
}

fn read_at<T>(reading: &Reading<T>) -> Option<String> {
    match reading {
        Reading::Present { at, .. } => Some(at.to_string()),
        Reading::Absent(_) => None,
    }
}

fn error_of<T>(reading: &Reading<T>) -> Option<ErrorEntry<'_>> {
    reading.absence().map(|Absence { reason, detail }| ErrorEntry { reason: reason.as_str(), detail: detail.as_str() })
}

fn seconds(span: Span) -> f64 {
    span.as_secs_f64()
}
