//! Which series does a report give? One function for each thing there is a series of; names and labels are in
//! `catalogue.rs`.
//!
//! What is not known gives no series. A report that is no longer of the present gives only what is known of the agent, and
//! every source as down.

use super::catalogue::Name;
use super::exposition::Exposition;
use super::images;
use super::series::{LabelValue, Series, Value, named, series, word};
use crate::assess::Quantiles;
use crate::model::Signal;
use crate::report::{
    FilesystemReport, LayerReport, PolicyReport, Report, ScoreReport, SettingReport, Text, TriggerReport, Unit,
};
use crate::snapshot::AgentHealth;
use crate::time::{Span, Timestamp};
use crate::units::Percent;
use crate::untrusted::Label;
use std::collections::BTreeMap;

/// How many series a scrape may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// For each filesystem.
    pub per_filesystem: usize,
    /// For each layer.
    pub per_layer: usize,
    /// In all.
    pub total: usize,
}

/// The figures of the documentation: 20, 80, 5,000.
impl Default for Budget {
    fn default() -> Self {
        Self { per_filesystem: 20, per_layer: 80, total: 5_000 }
    }
}

/// The formats of a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Text,
}

/// A scrape. Without a report it has what is known of the agent, which is its build.
pub fn render(report: Option<&Report>, budget: Budget, format: Format) -> String {
    let exposition = exposition(report, budget);
    match format {
        Format::OpenMetrics => exposition.into_openmetrics(),
        Format::Text => exposition.into_text(),
    }
}

/// The series of a scrape. Over the budget the least urgent layers are left out whole, and of one layer or
/// filesystem over its own the last series.
pub fn exposition(report: Option<&Report>, budget: Budget) -> Exposition {
    let mut agent = agent(report.map(|report| &report.agent.health));
    for score in report.iter().flat_map(|report| &report.forecast_scores) {
        scores(score, &mut agent);
    }
    let mut left = budget.total.saturating_sub(agent.len() + 1);
    let mut dropped = 0_usize;
    let mut exposition = Exposition::default();
    for group in report.iter().flat_map(|report| groups(report, budget, &mut left, &mut dropped)) {
        exposition.extend(group);
    }
    agent.push(series(Name::SeriesDropped, [], Value::Count(u64::try_from(dropped).unwrap_or(u64::MAX))));
    exposition.extend(agent);
    exposition
}

/// The series of each filesystem, test pod and layer that fit, in the order of the report.
fn groups(report: &Report, budget: Budget, left: &mut usize, dropped: &mut usize) -> Vec<Vec<Series>> {
    let mut admit = |mut group: Vec<Series>, own: usize| {
        *dropped += group.len().saturating_sub(own);
        group.truncate(own);
        if group.len() > *left {
            *dropped += group.len();
            group.clear();
        }
        *left -= group.len();
        group
    };
    let now = report.now();
    let of_disk = |disk| if report.stale { Vec::new() } else { filesystem(disk, now) };
    let mut groups: Vec<_> =
        report.filesystems.iter().map(|disk| admit(of_disk(disk), budget.per_filesystem)).collect();
    if !report.stale {
        groups.extend(jobs(report).map(|job| admit(vec![job], 1)));
    }
    let mut order: Vec<(usize, &LayerReport)> = report.layers.iter().enumerate().collect();
    order.sort_by_cached_key(|(_, layer)| layer.urgency());
    let mut layers: BTreeMap<usize, Vec<Series>> = BTreeMap::new();
    for (position, found) in order {
        let mut series = layer(report, found, now);
        let room = budget.per_layer.saturating_sub(series.len());
        if !report.stale {
            series.extend(images::at_risk(found, room));
        }
        layers.insert(position, admit(series, budget.per_layer));
    }
    groups.extend(layers.into_values());
    groups
}

fn filesystem(disk: &FilesystemReport, now: Timestamp) -> Vec<Series> {
    let labels = || [shared(&disk.device), shared(&disk.mountpoint)];
    let mut all = Vec::with_capacity(9);
    let mut add = |name, value| all.push(series(name, labels(), value));
    if let Some(space) = disk.space() {
        add(Name::FilesystemSize, Value::Count(space.capacity.get()));
        add(Name::FilesystemAvail, Value::Count(space.available.get()));
        add(Name::FilesystemFiles, Value::Count(space.files.get()));
        add(Name::FilesystemFilesFree, Value::Count(space.files_free.get()));
    }
    if let Some(percent) = disk.kubelet_percent {
        add(Name::FilesystemUsage, Value::Float(percent.ratio().get()));
    }
    if let Some(rate) = disk.fill_bytes_per_second {
        add(Name::FilesystemFill, Value::Float(rate.get()));
    }
    if let Some(at) = disk.measured_at {
        add(Name::FilesystemLastSample, Value::Float(at.as_secs_f64()));
    }
    add(Name::FilesystemStuck, Value::Count(u64::from(disk.stuck)));
    if let Some(at) = disk.usage.as_ref().and_then(|usage| usage.measured_at) {
        add(Name::UsageAge, Value::Float(now.since(at).as_secs_f64()));
    }
    all
}

fn layer(report: &Report, layer: &LayerReport, now: Timestamp) -> Vec<Series> {
    let name = || shared(&layer.layer);
    let mut all = Vec::with_capacity(64);
    for source in &layer.sources {
        let up = !report.stale && source.up;
        all.push(series(Name::SourceUp, [name(), word(&source.source)], Value::Count(u64::from(up))));
        if let Some(at) = source.read_at {
            let age = now.since(at).as_secs_f64();
            all.push(series(Name::SourceAge, [name(), word(&source.source)], Value::Float(age)));
        }
    }
    if report.stale {
        return all;
    }
    all.push(layer_info(layer));
    if let Some(settings) = &layer.policy {
        policy(layer, settings, &mut all);
    }
    for trigger in &layer.triggers {
        triggers(layer, trigger, &mut all);
    }
    images::of(layer, &mut all);
    for (component, bytes) in layer.exclusive_bytes_by_component.iter().flatten() {
        all.push(series(Name::LayerExclusive, [name(), word(component)], Value::Count(bytes.get())));
    }
    if let Some(used) = layer.runtime_used_bytes {
        all.push(series(Name::LayerImageFsUsed, [name()], Value::Count(used.get())));
    }
    all
}

/// What each test pod holds, the greatest first.
fn jobs(report: &Report) -> impl Iterator<Item = Series> {
    report.holders.iter().filter(|holder| holder.pod.is_some()).map(|holder| {
        let labels = [&holder.prow_job, &holder.prow_build_id, &holder.pod_namespace, &holder.pod]
            .map(|label| text(label.as_ref()));
        series(Name::JobUsed, labels, Value::Count(holder.bytes.get()))
    })
}

fn layer_info(layer: &LayerReport) -> Series {
    let optional = |text: Option<&Text>| text.map_or(LabelValue::Fixed(""), shared);
    let (runtime, kubelet, origin) = (layer.runtime.as_ref(), layer.kubelet.as_ref(), &layer.origin);
    series(
        Name::Layer,
        [
            shared(&layer.layer),
            word(&layer.kind),
            optional(layer.parent.as_ref()),
            optional(layer.device.as_ref()),
            optional(layer.mountpoint.as_ref()),
            runtime.map_or(LabelValue::Fixed(""), |runtime| named(runtime.name.as_str())),
            runtime.map_or(LabelValue::Fixed(""), |runtime| text(runtime.version.as_ref())),
            kubelet.map_or(LabelValue::Fixed(""), |kubelet| text(kubelet.version.as_ref())),
            text(origin.pod_namespace.as_ref()),
            text(origin.pod.as_ref()),
            text(origin.prow_job.as_ref()),
            text(origin.prow_build_id.as_ref()),
            text(origin.test_cluster.as_ref()),
            text(origin.node_role.as_ref()),
        ],
        Value::Count(1),
    )
}

fn policy(layer: &LayerReport, policy: &PolicyReport, all: &mut Vec<Series>) {
    let name = || shared(&layer.layer);
    all.push(series(Name::ImageGcEnabled, [name()], Value::Count(u64::from(policy.image_gc_enabled))));
    let ratio = |setting: &SettingReport<Percent>| Value::Float(setting.value.ratio().get());
    all.push(series(Name::ImageGcHigh, [name()], ratio(&policy.image_gc_high_threshold_percent)));
    all.push(series(Name::ImageGcLow, [name()], ratio(&policy.image_gc_low_threshold_percent)));
    if let Some(next) = layer.next_image_gc_at {
        all.push(series(Name::NextImageGc, [name()], Value::Float(next.as_secs_f64())));
    }
    for threshold in &policy.eviction_hard {
        let counts_inodes = threshold.signal.known().is_some_and(Signal::counts_inodes);
        let metric = if counts_inodes { Name::EvictionThresholdInodes } else { Name::EvictionThresholdBytes };
        if let Some(amount) = threshold.amount {
            all.push(series(metric, [name(), word(&threshold.signal)], Value::Count(amount)));
        }
    }
}

fn triggers(layer: &LayerReport, found: &TriggerReport, all: &mut Vec<Series>) {
    let labels = || (shared(&layer.layer), word(&found.trigger));
    let metric = if found.unit.is(Unit::Inodes) { Name::HeadroomInodes } else { Name::HeadroomBytes };
    if let Some(headroom) = found.headroom {
        let (layer, trigger) = labels();
        all.push(series(metric, [layer, trigger], Value::Signed(headroom)));
    }
    let Some(forecast) = &found.forecast else { return };
    for (quantile, when) in found.acts_in.iter().flat_map(quantiles) {
        let (layer, trigger) = labels();
        let seconds = when.map_or(f64::INFINITY, Span::as_secs_f64);
        all.push(series(Name::Forecast, [layer, trigger, quantile.into()], Value::Float(seconds)));
    }
    for (horizon, probability) in &forecast.probability {
        let (layer, trigger) = labels();
        all.push(series(Name::ForecastProbability, [layer, trigger, word(horizon)], Value::Float(probability.get())));
    }
}

const fn quantiles(acts: &Quantiles) -> [(&'static str, Option<Span>); 3] {
    [("0.1", acts.p10), ("0.5", acts.p50), ("0.9", acts.p90)]
}

fn agent(health: Option<&AgentHealth>) -> Vec<Series> {
    let mut all = vec![series(Name::Build, [env!("CARGO_PKG_VERSION").into()], Value::Count(1))];
    let Some(health) = health else { return all };
    for run in &health.collectors {
        let collector = || named(run.collector.as_str());
        all.push(series(Name::CollectorSuccess, [collector()], Value::Count(u64::from(run.success))));
        all.push(series(Name::CollectorDuration, [collector()], Value::Float(run.duration.as_secs_f64())));
    }
    if let Some(process) = &health.process {
        all.push(series(Name::ProcessCpu, [], Value::Float(process.cpu.as_secs_f64())));
        all.push(series(Name::ProcessResident, [], Value::Count(process.resident.get())));
        all.push(series(Name::ProcessVirtual, [], Value::Count(process.virtual_memory.get())));
        all.push(series(Name::ProcessStart, [], Value::Float(process.started_at.as_secs_f64())));
        all.extend(process.open_files.map(|count| series(Name::ProcessOpenFds, [], Value::Count(count))));
        all.extend(process.open_files_limit.map(|count| series(Name::ProcessMaxFds, [], Value::Count(count))));
    }
    all
}

fn scores(score: &ScoreReport, all: &mut Vec<Series>) {
    let name = || word(&score.trigger);
    for (outcome, count) in [("hit", score.hit), ("missed", score.missed), ("false_alarm", score.false_alarm)] {
        all.push(series(Name::ForecastOutcomes, [name(), outcome.into()], Value::Count(count)));
    }
    for (horizon, of_horizon) in &score.by_horizon {
        let labels = || [name(), word(horizon)];
        all.push(series(Name::ForecastChecked, labels(), Value::Count(of_horizon.checked)));
        all.push(series(Name::ForecastSquaredError, labels(), Value::Float(of_horizon.squared_error)));
    }
    all.push(series(Name::ForecastIntervalsChecked, [name()], Value::Count(score.intervals_checked)));
    all.push(series(Name::ForecastIntervalsCovered, [name()], Value::Count(score.intervals_covered)));
}

fn shared(text: &Text) -> LabelValue {
    LabelValue::Named(text.shared())
}

fn text(label: Option<&Label>) -> LabelValue {
    label.map_or(LabelValue::Fixed(""), |label| named(label.as_str()))
}
