//! What helps a layer, and what is typed for it? What helps is concluded in `assess/remedies`.
//!
//! Whoever runs a container chooses the names in these commands: each goes through [`word`], and a command whose names cannot be
//! trusted to be what they were is withheld and counted.

mod edits;
mod exec_command;
mod shell;

use super::join::{Joined, Layer};
use crate::assess::remedies::{Case, Change, Field, Pin, PodToEnd, Raise, Remedies, Remedy, remedies};
use crate::model::Trigger;
use crate::model::pins::Pinning;
use crate::model::prediction::Prediction;
use crate::report::{RemedyKind, RemedyReport, RunIn, SettingsOf, Text};
use crate::sample::{Image, KubeletSample, RuntimeKind};
use crate::units::Bytes;
use crate::untrusted::Label;
use shell::word;
use std::collections::BTreeSet;

/// What helps a layer.
#[derive(Debug, Default)]
pub(super) struct Help {
    /// Opens a shell in the layer; `None` on the node itself, or where it is not known.
    pub(super) exec_command: Option<Text>,
    /// `kubelet`, `runtime`; `None`: pins are honoured, or it is not known.
    pub(super) pins_ignored_by: Option<Label>,
    pub(super) remedies: Vec<RemedyReport>,
}

/// The best remedy of a layer as it is; `None` where nothing has to help.
pub(super) fn best(joined: &Joined<'_>, layer: &Layer<'_>) -> Option<RemedyReport> {
    let images = layer.assessment?.images.as_ref()?;
    let remedies = conclude(joined, layer, &images.predictions, Bytes::ZERO)?;
    remedies.best_first.first().map(|best| report(joined, layer, best).in_short())
}

/// What helps a layer of which this is predicted after so many bytes are written.
pub(super) fn help(joined: &Joined<'_>, layer: &Layer<'_>, predictions: &[Prediction], written: Bytes) -> Help {
    let found = conclude(joined, layer, predictions, written);
    let Some(Remedies { best_first, pinning }) = found else { return Help::default() };
    let ignored_by = match pinning {
        Pinning::IgnoredByKubelet => Some("kubelet"),
        Pinning::IgnoredByRuntime => Some("runtime"),
        Pinning::Honoured | Pinning::Unknown => None,
    };
    Help {
        exec_command: exec_command::exec_command(joined, layer),
        pins_ignored_by: ignored_by.map(Label::new),
        remedies: best_first.iter().map(|remedy| report(joined, layer, remedy)).collect(),
    }
}

fn conclude(joined: &Joined<'_>, layer: &Layer<'_>, predictions: &[Prediction], written: Bytes) -> Option<Remedies> {
    let assessment = layer.assessment?;
    let disk = joined.disk(&layer.sample.imagefs);
    let timeline = disk.and_then(|disk| disk.assessment).map(|disk| &disk.timeline);
    remedies(Case { sample: joined.sample, layer: layer.sample, assessment, timeline, predictions, written })
}

fn report(joined: &Joined<'_>, layer: &Layer<'_>, remedy: &Remedy) -> RemedyReport {
    match remedy {
        Remedy::Pin(found) => pin(layer, found),
        Remedy::MakeRoom(holder) => make_room(joined, holder),
        Remedy::RaiseThresholds(found) => raise(layer, found),
        Remedy::SwitchOff(changes) => switch_off(layer, changes),
    }
}

fn pin(layer: &Layer<'_>, pin: &Pin) -> RemedyReport {
    let wanted: BTreeSet<_> = pin.images.iter().collect();
    let mut images: Vec<&Image> =
        super::images::zipped(layer).map(|(image, _)| image).filter(|image| wanted.contains(&image.id)).collect();
    // A runtime lists them in another order each time.
    images.sort_by_key(|image| (image.display_name(), image.id.as_str()));
    let size = images.iter().fold(Bytes::ZERO, |sum, image| sum.saturating_add(image.size.unwrap_or(Bytes::ZERO)));
    let in_a_file = layer.sample.runtime.as_ref().is_some_and(|runtime| runtime.kind == RuntimeKind::Crio);
    // What has to be quoted for a shell is no reference, and TOML might read it otherwise.
    let is_fit = |name: &String| !in_a_file || !name.starts_with('\'');
    // CRI-O compares with the names of an image, and an id is none.
    let has_name = |image: &&&Image| !(in_a_file && image.tags.is_empty() && image.digests.is_empty());
    let names: Vec<String> =
        images.iter().filter(has_name).filter_map(|image| reference(image)).filter(is_fit).collect();
    let (edits, commands) = if names.is_empty() {
        (Vec::new(), Vec::new())
    } else if in_a_file {
        (vec![edits::pinned_images(&names)], vec!["systemctl restart crio".into()])
    } else {
        let label = |name| format!("ctr --namespace k8s.io images label {name} io.cri-containerd.pinned=pinned").into();
        (Vec::new(), names.iter().map(label).collect())
    };
    RemedyReport {
        images: images.iter().map(|image| Label::new(image.id.as_str())).collect(),
        bytes: Some(size),
        is_certain: Some(pin.is_certain),
        edits,
        commands,
        withheld: images.len().saturating_sub(names.len()),
        ..RemedyReport::new(RemedyKind::Pin)
    }
}

/// A name by which the runtime knows an image, as a word of a shell; any one will do.
fn reference(image: &Image) -> Option<String> {
    let names = || image.tags.iter().chain(&image.digests).map(Label::as_str);
    let nameless = names().next().is_none().then_some(image.id.as_str());
    names().chain(nameless).find_map(word)
}

fn make_room(joined: &Joined<'_>, holder: &PodToEnd) -> RemedyReport {
    let origin = joined.layer(&holder.layer).map(|layer| &layer.sample.origin);
    let pod_namespace = origin.and_then(|origin| origin.pod_namespace.clone());
    let pod = origin.and_then(|origin| origin.pod.clone());
    let written = |label: &Option<Label>| word(label.as_ref().map_or("", Label::as_str));
    let command = written(&pod_namespace)
        .zip(written(&pod))
        .map(|(namespace, pod)| format!("kubectl --namespace {namespace} delete pod {pod}").into());
    RemedyReport {
        bytes: Some(holder.held),
        pod_namespace,
        pod,
        run_in: RunIn::Cluster.into(),
        withheld: usize::from(command.is_none()),
        commands: command.into_iter().collect(),
        ..RemedyReport::new(RemedyKind::MakeRoom)
    }
}

fn raise(layer: &Layer<'_>, raise: &Raise) -> RemedyReport {
    let policy = layer.assessment.and_then(|assessment| assessment.policy.as_ref());
    RemedyReport {
        available_bytes: Some(raise.threshold),
        suffices: raise.suffices,
        collects_by_age: policy.is_some_and(|policy| policy.image_gc.maximum_age.is_some()),
        ..by_settings(RemedyKind::RaiseThresholds, layer, &raise.changes)
    }
}

fn switch_off(layer: &Layer<'_>, changes: &[Change]) -> RemedyReport {
    let triggers = layer.assessment.iter().flat_map(|assessment| &assessment.triggers);
    let full = triggers.filter(|found| found.trigger == Trigger::DiskFull).find_map(|full| full.action);
    RemedyReport { disk_full_in: full, ..by_settings(RemedyKind::SwitchOff, layer, changes) }
}

/// What the settings are of.
fn settings_of(changes: &[Change]) -> SettingsOf {
    let is_eviction = |change: &Change| {
        matches!(change.field, Field::EvictionHard(_) | Field::EvictionHardMemory | Field::EvictionSoft(_))
    };
    match (changes.iter().all(is_eviction), changes.iter().any(is_eviction)) {
        (true, _) => SettingsOf::Eviction,
        (false, true) => SettingsOf::ImageGcAndEviction,
        (false, false) => SettingsOf::ImageGc,
    }
}

/// A remedy that consists of settings of the kubelet.
fn by_settings(kind: RemedyKind, layer: &Layer<'_>, changes: &[Change]) -> RemedyReport {
    let version = layer.sample.kubelet.as_ref().and_then(KubeletSample::release).map_or("", Label::as_str);
    // Part of another program there, whose unit has several names.
    let is_embedded = version.contains("+k3s") || version.contains("+rke2");
    let restart = (!is_embedded).then(|| "systemctl restart kubelet".into());
    RemedyReport {
        settings: Some(settings_of(changes).into()),
        edits: edits::edits(changes),
        commands: restart.into_iter().collect(),
        ..RemedyReport::new(kind)
    }
}
