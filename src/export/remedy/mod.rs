//! How is said what helps, and what is typed for it? The structures of the JSON, which the table and the page show as well.
//!
//! Whoever runs a container chooses the names in these commands: each goes through [`word`], and a command whose names cannot be
//! trusted to be what they were is withheld and counted.

mod edits;
mod exec_command;

use super::explain::{known, predictions};
use super::phrase;
use super::shell::word;
use super::view::{LayerView, View};
use crate::assess::remedies::{Case, Change, Field, Pin, PodToEnd, Raise, Remedies, Remedy, remedies};
use crate::model::Trigger;
use crate::model::pins::Pinning;
use crate::model::prediction::Prediction;
use crate::sample::{Image, KubeletSample, RuntimeKind};
use crate::units::Bytes;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

pub(crate) use edits::EditEntry;

/// What helps a layer.
#[derive(Debug, Default)]
pub(super) struct Help {
    /// Opens a shell in the layer; `None` on the node itself, or where it is not known.
    pub(super) exec_command: Option<String>,
    /// `kubelet`, `runtime`; `None`: pins are honoured, or it is not known.
    pub(super) pins_ignored_by: Option<String>,
    pub(super) remedies: Vec<RemedyEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RemedyEntry {
    pub(crate) remedy: String,
    pub(crate) what: String,
    pub(crate) price: String,
    /// The ids of the images that are pinned.
    pub(crate) images: Vec<String>,
    pub(crate) edits: Vec<EditEntry>,
    /// `layer`: in a shell there; `cluster`: where kubectl reaches the node's cluster.
    pub(crate) run_in: String,
    pub(crate) commands: Vec<String>,
    /// Commands that would need a name that cannot be written down safely.
    pub(crate) withheld: usize,
}

impl RemedyEntry {
    /// Where the commands are typed, in a layer of this kind.
    pub(super) fn place(&self, kind: &str) -> &'static str {
        match (self.run_in.as_str(), kind) {
            ("cluster", _) => "Where kubectl reaches the node",
            (_, "host") => "On the node",
            _ => "In a shell in this layer",
        }
    }

    /// Why there are fewer commands than one expects.
    pub(super) fn withheld_in_words(&self) -> String {
        format!(
            "{} withheld: a name is cut, or has characters that cannot be written down safely.",
            phrase::count(self.withheld, "command")
        )
    }
}

/// The best remedy of a layer as it is, in a few words: `pin 2 images`; `None` where nothing has to help.
pub(super) fn best(view: &View<'_>, layer: &LayerView<'_>) -> Option<String> {
    let remedies = conclude(view, layer, predictions(layer), Bytes::ZERO)?;
    Some(match remedies.best_first.first()? {
        Remedy::Pin(pin) => format!("pin {}", phrase::count(pin.images.len(), "image")),
        Remedy::MakeRoom(holder) => format!("end the pod {}", pod_of(view, holder).join("/")),
        Remedy::RaiseThresholds(raise) => format!("raise the thresholds of {}", subject(&raise.changes)),
        Remedy::SwitchOff(changes) => format!("switch {} off", subject(changes)),
    })
}

/// What helps a layer of which this is predicted after so many bytes are written.
pub(super) fn help(view: &View<'_>, layer: &LayerView<'_>, predictions: &[Prediction], written: Bytes) -> Help {
    let found = conclude(view, layer, predictions, written);
    let Some(Remedies { best_first, pinning }) = found else { return Help::default() };
    let ignored_by = match pinning {
        Pinning::IgnoredByKubelet => Some("kubelet"),
        Pinning::IgnoredByRuntime => Some("runtime"),
        Pinning::Honoured | Pinning::Unknown => None,
    };
    let entry = |remedy: &Remedy| match remedy {
        Remedy::Pin(found) => pin(layer, found),
        Remedy::MakeRoom(holder) => make_room(view, holder),
        Remedy::RaiseThresholds(found) => raise(layer, found),
        Remedy::SwitchOff(changes) => switch_off(layer, changes),
    };
    Help {
        exec_command: exec_command::exec_command(view, layer),
        pins_ignored_by: ignored_by.map(str::to_owned),
        remedies: best_first.iter().map(entry).collect(),
    }
}

fn conclude(view: &View<'_>, layer: &LayerView<'_>, predictions: &[Prediction], written: Bytes) -> Option<Remedies> {
    let assessment = layer.assessment?;
    let timeline = view.imagefs(layer).and_then(|disk| disk.assessment).map(|disk| &disk.timeline);
    remedies(Case { sample: view.sample, layer: layer.sample, assessment, timeline, predictions, written })
}

fn pin(layer: &LayerView<'_>, pin: &Pin) -> RemedyEntry {
    let wanted: BTreeSet<_> = pin.images.iter().collect();
    let mut images: Vec<&Image> =
        known(layer).into_iter().map(|known| known.image).filter(|image| wanted.contains(&image.id)).collect();
    // A runtime lists them in another order each time.
    images.sort_by_key(|image| (image.display_name(), image.id.as_str()));
    let size = images.iter().fold(Bytes::ZERO, |sum, image| sum.saturating_add(image.size.unwrap_or(Bytes::ZERO)));
    let mut what = format!(
        "Pin what exists nowhere else or the node needs, {} of {size} as the kubelet counts. From its next look on the kubelet \
         leaves pinned images alone, without a restart.",
        phrase::count(images.len(), "image")
    );
    if !pin.is_certain {
        what.push_str(" Whether pins are honoured by this kubelet and runtime is not known.");
    }
    let in_a_file = layer.sample.runtime.as_ref().is_some_and(|runtime| runtime.kind == RuntimeKind::Crio);
    // What has to be quoted for a shell is no reference, and TOML might read it otherwise.
    let is_fit = |name: &String| !in_a_file || !name.starts_with('\'');
    // CRI-O compares with the names of an image, and an id is none.
    let has_name = |image: &&&Image| !(in_a_file && image.tags.is_empty() && image.digests.is_empty());
    let names: Vec<String> =
        images.iter().filter(has_name).filter_map(|image| reference(image)).filter(is_fit).collect();
    let withheld = images.len().saturating_sub(names.len());
    let (edits, commands) = if names.is_empty() {
        (Vec::new(), Vec::new())
    } else if in_a_file {
        (vec![edits::pinned_images(&names)], vec!["systemctl restart crio".to_owned()])
    } else {
        let label = |name| format!("ctr --namespace k8s.io images label {name} io.cri-containerd.pinned=pinned");
        (Vec::new(), names.iter().map(label).collect())
    };
    let price = if in_a_file {
        "Their space is never given back: other images or pods go instead. The list takes the place of one in crio.conf or in a file \
         before this one: what stands there has to stand here, too."
    } else {
        "Their space is never given back: other images or pods go instead. Deleted and loaded or pulled anew, an image has lost its \
         pin."
    };
    RemedyEntry {
        remedy: "pin".to_owned(),
        what,
        price: price.to_owned(),
        images: images.iter().map(|image| image.id.as_str().to_owned()).collect(),
        edits,
        run_in: "layer".to_owned(),
        commands,
        withheld,
    }
}

/// A name by which the runtime knows an image, as a word of a shell; any one will do.
fn reference(image: &Image) -> Option<String> {
    let names = || image.tags.iter().chain(&image.digests).map(Label::as_str);
    let nameless = names().next().is_none().then_some(image.id.as_str());
    names().chain(nameless).find_map(word)
}

/// Its namespace and name.
fn pod_of(view: &View<'_>, holder: &PodToEnd) -> [String; 2] {
    let layer = view.layers.iter().find(|layer| layer.sample.id == holder.layer);
    let origin = layer.map(|layer| &layer.sample.origin);
    let name = |part: Option<&Label>| part.map_or_else(String::new, ToString::to_string);
    [name(origin.and_then(|origin| origin.pod_namespace.as_ref())), name(origin.and_then(|origin| origin.pod.as_ref()))]
}

fn make_room(view: &View<'_>, holder: &PodToEnd) -> RemedyEntry {
    let [namespace, pod] = pod_of(view, holder);
    let command = word(&namespace)
        .zip(word(&pod))
        .map(|(namespace, pod)| format!("kubectl --namespace {namespace} delete pod {pod}"));
    RemedyEntry {
        remedy: "make_room".to_owned(),
        what: format!(
            "End the pod {namespace}/{pod}, which holds most beside this layer's own, {}: every layer on the disk gains by it.",
            holder.held
        ),
        price: "What runs in it is lost.".to_owned(),
        images: Vec::new(),
        edits: Vec::new(),
        run_in: "cluster".to_owned(),
        withheld: usize::from(command.is_none()),
        commands: command.into_iter().collect(),
    }
}

fn raise(layer: &LayerView<'_>, raise: &Raise) -> RemedyEntry {
    let enough = match raise.suffices {
        Some(true) => "more than that stays available for 6h with a probability of 90 %",
        Some(false) => "that only puts it off, since less may be available within 6h",
        None => "whether that is enough is not known yet",
    };
    let mut price = RESTART.to_owned();
    price.push_str(" Less time between the warning and a full disk. Other kubelets on the disk keep their lines.");
    if layer.policy().is_some_and(|policy| policy.image_gc.maximum_age.is_some()) {
        price.push_str(" Images that are unused for too long go all the same.");
    }
    RemedyEntry {
        remedy: "raise_thresholds".to_owned(),
        what: format!(
            "Raise the thresholds of {}: no image goes for want of space before less than {} is available; {enough}.",
            subject(&raise.changes),
            raise.threshold
        ),
        price,
        ..by_settings(layer, &raise.changes)
    }
}

fn switch_off(layer: &LayerView<'_>, changes: &[Change]) -> RemedyEntry {
    let full = layer.triggers().remove(&Trigger::DiskFull).and_then(|full| full.action);
    let full =
        full.filter(|full| full.p50.is_some()).map_or_else(String::new, |full| format!(", {}", phrase::when(full)));
    RemedyEntry {
        remedy: "switch_off".to_owned(),
        what: "Switch image GC and disk eviction off: a node that lives for one test need not give anything back."
            .to_owned(),
        price: format!(
            "{RESTART} Nothing in this layer frees space any more: instead the disk runs full{full}, and everything on it fails \
             at once."
        ),
        ..by_settings(layer, changes)
    }
}

/// What the settings are of.
fn subject(changes: &[Change]) -> &'static str {
    let is_eviction = |change: &Change| {
        matches!(change.field, Field::EvictionHard(_) | Field::EvictionHardMemory | Field::EvictionSoft(_))
    };
    match (changes.iter().all(is_eviction), changes.iter().any(is_eviction)) {
        (true, _) => "disk eviction",
        (false, true) => "image GC and disk eviction",
        (false, false) => "image GC",
    }
}

const RESTART: &str = "The kubelet is restarted and forgets which image was used when.";

/// A remedy that consists of settings of the kubelet.
fn by_settings(layer: &LayerView<'_>, changes: &[Change]) -> RemedyEntry {
    let version = layer.sample.kubelet.as_ref().and_then(KubeletSample::release).map_or("", Label::as_str);
    // Part of another program there, whose unit has several names.
    let is_embedded = version.contains("+k3s") || version.contains("+rke2");
    let restart = (!is_embedded).then(|| "systemctl restart kubelet".to_owned());
    RemedyEntry {
        remedy: String::new(),
        what: String::new(),
        price: String::new(),
        images: Vec::new(),
        edits: edits::edits(changes),
        run_in: "layer".to_owned(),
        commands: restart.into_iter().collect(),
        withheld: 0,
    }
}
