//! Which series does a snapshot give? One function for each thing there is a series of; names and labels are in
//! `catalogue.rs`.
//!
//! What is not known gives no series. A snapshot that is no longer of the present gives only what is known of the agent, and
//! every source as down.

use super::catalogue::Name;
use super::exposition::{Exposition, LabelValue, Series, Value};
use super::images;
use super::view::{FilesystemView, LayerView, View};
use crate::assess::{Action, TriggerAssessment};
use crate::forecast::{Horizon, Tally};
use crate::model::{EvictionThreshold, ThresholdValue, Trigger};
use crate::sample::{KubeletSample, Reading};
use crate::snapshot::{AgentHealth, Snapshot};
use crate::time::{Span, Timestamp};
use crate::untrusted::Label;
use std::collections::BTreeMap;
use std::sync::Arc;

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

/// A scrape at `now`. Without a snapshot it has what is known of the agent, which is its build.
pub fn render(snapshot: Option<&Snapshot>, now: Timestamp, budget: Budget, format: Format) -> String {
    let exposition = exposition(snapshot, now, budget);
    match format {
        Format::OpenMetrics => exposition.into_openmetrics(),
        Format::Text => exposition.into_text(),
    }
}

/// The series of a scrape at `now`. Over the budget the least urgent layers are left out whole, and of one layer or
/// filesystem over its own the last series.
pub fn exposition(snapshot: Option<&Snapshot>, now: Timestamp, budget: Budget) -> Exposition {
    let view = snapshot.map(|snapshot| View::new(snapshot, now));
    let mut agent = agent(view.as_ref().map(|view| view.agent));
    for (trigger, tally) in view.iter().flat_map(|view| view.scores) {
        scores(*trigger, tally, &mut agent);
    }
    let mut left = budget.total.saturating_sub(agent.len() + 1);
    let mut dropped = 0_usize;
    let mut exposition = Exposition::default();
    for group in view.iter().flat_map(|view| groups(view, budget, &mut left, &mut dropped)) {
        exposition.extend(group);
    }
    agent.push(series(Name::SeriesDropped, [], Value::Count(u64::try_from(dropped).unwrap_or(u64::MAX))));
    exposition.extend(agent);
    exposition
}

/// The series of each filesystem, test pod and layer that fit, in the order of the view.
fn groups(view: &View<'_>, budget: Budget, left: &mut usize, dropped: &mut usize) -> Vec<Vec<Series>> {
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
    let stale = view.is_stale();
    let mut groups: Vec<_> = view
        .filesystems
        .iter()
        .map(|found| admit(if stale { Vec::new() } else { filesystem(found, view.now) }, budget.per_filesystem))
        .collect();
    if !stale {
        groups.extend(jobs(view).map(|job| admit(vec![job], 1)));
    }
    let mut order: Vec<usize> = (0..view.layers.len()).collect();
    order.sort_by_cached_key(|position| view.layers.get(*position).map(LayerView::urgency));
    let mut layers: BTreeMap<usize, Vec<Series>> = BTreeMap::new();
    for position in order {
        if let Some(found) = view.layers.get(position) {
            let mut series = layer(view, found, stale);
            let room = budget.per_layer.saturating_sub(series.len());
            if !stale {
                series.extend(images::at_risk(found, room));
            }
            layers.insert(position, admit(series, budget.per_layer));
        }
    }
    groups.extend(layers.into_values());
    groups
}

fn filesystem(view: &FilesystemView<'_>, now: Timestamp) -> Vec<Series> {
    let labels = || [LabelValue::from(&view.device), LabelValue::from(&view.mountpoint)];
    let mut all = Vec::with_capacity(9);
    let mut add = |name, value| all.push(series(name, labels(), value));
    if let Some(space) = view.space() {
        add(Name::FilesystemSize, Value::Count(space.capacity.get()));
        add(Name::FilesystemAvail, Value::Count(space.available.get()));
        add(Name::FilesystemFiles, Value::Count(space.files.get()));
        add(Name::FilesystemFilesFree, Value::Count(space.files_free.get()));
    }
    if let Some(percent) = view.assessment.and_then(|assessment| assessment.kubelet_percent) {
        add(Name::FilesystemUsage, Value::Float(percent.ratio().get()));
    }
    if let Some(rate) = view.assessment.and_then(|assessment| assessment.fill_rate) {
        add(Name::FilesystemFill, Value::Float(rate.get()));
    }
    if let Reading::Present { at, .. } = view.sample.space {
        add(Name::FilesystemLastSample, Value::Float(at.as_secs_f64()));
    }
    add(Name::FilesystemStuck, Value::Count(u64::from(view.sample.stuck)));
    if let Some(age) = view.sample.usage.age(now) {
        add(Name::UsageAge, Value::Float(age.as_secs_f64()));
    }
    all
}

fn layer(view: &View<'_>, layer: &LayerView<'_>, stale: bool) -> Vec<Series> {
    let name = || LabelValue::from(&layer.name);
    let mut all = Vec::with_capacity(64);
    for (source, state) in layer.sources() {
        let up = !stale && state.value().is_some();
        all.push(series(Name::SourceUp, [name(), source.as_str().into()], Value::Count(u64::from(up))));
        if let Some(age) = state.age(view.now) {
            all.push(series(Name::SourceAge, [name(), source.as_str().into()], Value::Float(age.as_secs_f64())));
        }
    }
    if stale {
        return all;
    }
    all.push(layer_info(view, layer));
    policy(view, layer, &mut all);
    for (trigger, assessment) in layer.triggers() {
        triggers(layer, trigger, assessment, &mut all);
    }
    images::of(layer, &mut all);
    for (component, bytes) in layer.held.iter().flatten() {
        all.push(series(Name::LayerExclusive, [name(), component.as_str().into()], Value::Count(bytes.get())));
    }
    if let Some(used) = layer.sample.runtime_used.value() {
        all.push(series(Name::LayerImageFsUsed, [name()], Value::Count(used.get())));
    }
    all
}

/// What each test pod holds, the greatest first.
fn jobs(view: &View<'_>) -> impl Iterator<Item = Series> {
    view.holders().0.into_iter().filter_map(|holder| {
        let (namespace, pod) = holder.pod?;
        let origin = &holder.layer.origin;
        let [job, build] =
            [&origin.prow_job, &origin.prow_build_id].map(|name| name.as_ref().map_or("", Label::as_str));
        let labels = [job, build, namespace, pod].map(named);
        Some(series(Name::JobUsed, labels, Value::Count(holder.total().get())))
    })
}

fn layer_info(view: &View<'_>, layer: &LayerView<'_>) -> Series {
    let text = |label: Option<&Label>| label.map_or(LabelValue::Fixed(""), |label| named(label.as_str()));
    let sample = layer.sample;
    let runtime = sample.runtime.as_ref();
    let origin = &sample.origin;
    let disk = view.imagefs(layer);
    series(
        Name::Layer,
        [
            LabelValue::from(&layer.name),
            sample.kind.as_str().into(),
            sample.parent.as_ref().map_or(LabelValue::Fixed(""), |parent| named(parent.as_str())),
            disk.map_or(LabelValue::Fixed(""), |disk| LabelValue::from(&disk.device)),
            disk.map_or(LabelValue::Fixed(""), |disk| LabelValue::from(&disk.mountpoint)),
            runtime.map_or("", |runtime| runtime.kind.as_str()).into(),
            text(runtime.and_then(|runtime| runtime.version.as_ref())),
            text(sample.kubelet.as_ref().and_then(KubeletSample::release)),
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

fn policy(view: &View<'_>, layer: &LayerView<'_>, all: &mut Vec<Series>) {
    let name = || LabelValue::from(&layer.name);
    let Some(policy) = layer.policy() else { return };
    let gc = &policy.image_gc;
    all.push(series(Name::ImageGcEnabled, [name()], Value::Count(u64::from(gc.enabled))));
    all.push(series(Name::ImageGcHigh, [name()], Value::Float(gc.high.value.ratio().get())));
    all.push(series(Name::ImageGcLow, [name()], Value::Float(gc.low.value.ratio().get())));
    if let Some(next) = layer.next_image_gc_at() {
        all.push(series(Name::ImageGcNextCheck, [name()], Value::Float(next.as_secs_f64())));
    }
    for threshold in &policy.eviction_hard {
        let signal = threshold.signal;
        let metric = if signal.counts_inodes() { Name::EvictionThresholdInodes } else { Name::EvictionThresholdBytes };
        if let Some(amount) = threshold_amount(view, layer, threshold) {
            all.push(series(metric, [name(), signal.as_str().into()], Value::Count(amount)));
        }
    }
}

fn triggers(layer: &LayerView<'_>, trigger: Trigger, assessment: &TriggerAssessment, all: &mut Vec<Series>) {
    let labels = || (LabelValue::from(&layer.name), LabelValue::from(trigger.as_str()));
    let metric = if trigger == Trigger::InodeEviction { Name::HeadroomInodes } else { Name::HeadroomBytes };
    if let Some(headroom) = assessment.headroom {
        let (layer, trigger) = labels();
        all.push(series(metric, [layer, trigger], Value::Signed(headroom)));
    }
    let Some(forecast) = assessment.forecast else { return };
    for (quantile, when) in assessment.action.iter().flat_map(quantiles) {
        let (layer, trigger) = labels();
        let seconds = when.map_or(f64::INFINITY, Span::as_secs_f64);
        all.push(series(Name::Forecast, [layer, trigger, quantile.into()], Value::Float(seconds)));
    }
    for horizon in Horizon::ALL {
        let (layer, trigger) = labels();
        let probability = forecast.within(horizon).get();
        all.push(series(
            Name::ForecastProbability,
            [layer, trigger, horizon.as_str().into()],
            Value::Float(probability),
        ));
    }
}

const fn quantiles(action: &Action) -> [(&'static str, Option<Span>); 3] {
    [("0.1", action.p10), ("0.5", action.p50), ("0.9", action.p90)]
}

/// The amount below which a threshold is met, where the capacity that a fraction refers to is known.
fn threshold_amount(view: &View<'_>, layer: &LayerView<'_>, threshold: &EvictionThreshold) -> Option<u64> {
    if let ThresholdValue::Quantity(amount) = threshold.value {
        return Some(amount);
    }
    let position = if threshold.signal.is_imagefs() { layer.imagefs } else { layer.nodefs };
    let space = view.filesystems.get(position?)?.space()?;
    let whole = if threshold.signal.counts_inodes() { space.files.get() } else { space.capacity.get() };
    Some(threshold.value.of(whole))
}

fn agent(health: Option<&AgentHealth>) -> Vec<Series> {
    let mut all = vec![series(Name::Build, [env!("CARGO_PKG_VERSION").into()], Value::Count(1))];
    let Some(health) = health else { return all };
    for run in &health.collectors {
        let collector = || named(Label::new(&run.collector).as_str());
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

fn scores(trigger: Trigger, tally: &Tally, all: &mut Vec<Series>) {
    let name = || LabelValue::from(trigger.as_str());
    for (outcome, count) in [("hit", tally.hit), ("missed", tally.missed), ("false_alarm", tally.false_alarm)] {
        all.push(series(Name::ForecastOutcomes, [name(), outcome.into()], Value::Count(count)));
    }
    for ((horizon, answered), error) in Horizon::ALL.into_iter().zip(tally.answered).zip(tally.squared_error) {
        let labels = || [name(), horizon.as_str().into()];
        all.push(series(Name::ForecastChecked, labels(), Value::Count(answered)));
        all.push(series(Name::ForecastSquaredError, labels(), Value::Float(error)));
    }
    all.push(series(Name::ForecastIntervalsChecked, [name()], Value::Count(tally.timed)));
    all.push(series(Name::ForecastIntervalsCovered, [name()], Value::Count(tally.covered)));
}

pub(super) fn named(text: &str) -> LabelValue {
    LabelValue::Named(Arc::from(text))
}

pub(super) fn series<const N: usize>(name: Name, labels: [LabelValue; N], value: Value) -> Series {
    debug_assert_eq!(name.metric().labels.len(), N, "{name:?}");
    Series { name, labels: Vec::from(labels), value }
}
