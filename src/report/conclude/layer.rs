//! What is reported of a layer?

use super::filesystem::read_at;
use super::join::{Joined, Layer};
use super::{images, policy, remedies};
use crate::assess::TriggerAssessment;
use crate::model::Trigger;
use crate::report::{ErrorReport, KubeletReport, LayerReport, RuntimeReport, SourceReport, TriggerReport, Unit, Word};
use crate::sample::{Component, KubeletSample, Reading, Source};
use crate::time::Timestamp;
use crate::units::Bytes;
use crate::untrusted::Label;
use std::collections::BTreeMap;

pub(super) fn report(joined: &Joined<'_>, layer: &Layer<'_>) -> LayerReport {
    let sample = layer.sample;
    let disk = joined.disk(&sample.imagefs);
    let triggers = triggers(joined, layer);
    let first = triggers.values().min_by_key(|trigger| trigger.urgency());
    LayerReport {
        layer: layer.name.clone(),
        kind: sample.kind.into(),
        parent: sample.parent.as_ref().map(|parent| parent.as_str().into()),
        depth: layer.depth,
        device: disk.map(|disk| disk.device.clone()),
        mountpoint: disk.map(|disk| disk.mountpoint.clone()),
        image_store: sample.image_store.clone(),
        docker_root: sample.docker_root.clone(),
        runtime: sample.runtime.as_ref().map(|runtime| RuntimeReport {
            name: Label::new(runtime.kind.as_str()),
            version: runtime.version.clone(),
            pid: runtime.pid,
            started_at: runtime.started_at,
        }),
        kubelet: sample.kubelet.as_ref().map(kubelet),
        origin: sample.origin.clone(),
        exclusive_bytes: layer.exclusive.as_ref().map(own),
        exclusive_bytes_by_component: layer
            .exclusive
            .as_ref()
            .map(|held| held.iter().map(|(part, bytes)| ((*part).into(), *bytes)).collect()),
        runtime_used_bytes: sample.runtime_used.value().copied(),
        policy: policy::report(joined, layer),
        next_image_gc_at: next_image_gc_at(layer),
        first_trigger: first.map(|first| first.trigger.clone()),
        triggers: triggers.into_values().collect(),
        images: images::report(layer),
        images_error: sample.images.absence().map(ErrorReport::from),
        best_remedy: remedies::best(joined, layer),
        sources: sources(layer)
            .into_iter()
            .map(|(source, state)| SourceReport {
                source: source.into(),
                up: state.value().is_some(),
                read_at: read_at(state),
                error: state.absence().map(ErrorReport::from),
            })
            .collect(),
    }
}

pub(super) fn kubelet(kubelet: &KubeletSample) -> KubeletReport {
    let origin = kubelet.version.as_ref().and_then(|version| version.origin);
    KubeletReport {
        version: kubelet.release().cloned(),
        version_origin: origin.map(|origin| Label::new(origin.as_str())),
        pid: kubelet.pid,
        started_at: kubelet.started_at,
        serving_since: kubelet.serving_since,
    }
}

/// When the next image GC run is due, where that is known and would delete any.
pub(super) fn next_image_gc_at(layer: &Layer<'_>) -> Option<Timestamp> {
    let assessment = layer.assessment?;
    assessment.policy.as_ref().filter(|policy| policy.image_gc.enabled)?;
    assessment.next_image_gc_at
}

/// What no layer claims is counted for the outermost one but is not its own.
fn own(held: &BTreeMap<Component, Bytes>) -> Bytes {
    let own = held.iter().filter(|(component, _)| **component != Component::Other);
    own.fold(Bytes::ZERO, |sum, (_, bytes)| sum.saturating_add(*bytes))
}

/// The armed triggers, each once, the more urgent where one is named twice.
fn triggers(joined: &Joined<'_>, layer: &Layer<'_>) -> BTreeMap<Trigger, TriggerReport> {
    let mut nearest: BTreeMap<Trigger, TriggerReport> = BTreeMap::new();
    for found in layer.assessment.iter().flat_map(|assessment| &assessment.triggers) {
        let report = trigger(joined, found);
        let is_nearer = nearest.get(&found.trigger).is_none_or(|known| report.urgency() < known.urgency());
        if is_nearer {
            nearest.insert(found.trigger, report);
        }
    }
    nearest
}

fn trigger(joined: &Joined<'_>, found: &TriggerAssessment) -> TriggerReport {
    let disk = joined.disk_of(found.filesystem);
    let unit = if found.trigger == Trigger::InodeEviction { Unit::Inodes } else { Unit::Bytes };
    TriggerReport {
        trigger: found.trigger.into(),
        signal: found.signal.map(Word::from),
        unit: unit.into(),
        device: disk.map(|disk| disk.device.clone()),
        mountpoint: disk.map(|disk| disk.mountpoint.clone()),
        threshold: found.threshold,
        headroom: found.headroom,
        forecast: found.forecast.as_ref().map(Into::into),
        acts_in: found.action,
    }
}

/// What could be read, each source once; the failure where one is named twice.
pub(super) fn sources<'a>(layer: &Layer<'a>) -> BTreeMap<Source, &'a Reading<()>> {
    let mut sources: BTreeMap<Source, &Reading<()>> = BTreeMap::new();
    for status in &layer.sample.sources {
        let entry = sources.entry(status.source).or_insert(&status.state);
        if status.state.value().is_none() {
            *entry = &status.state;
        }
    }
    sources
}
