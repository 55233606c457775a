//! How is said what helps, and at what price?

use super::phrase;
use crate::layer::LayerKind;
use crate::report::{Edit, RemedyKind, RemedyReport, RunIn, SettingsOf, Word};
use crate::units::Bytes;
use crate::untrusted::Label;
use std::fmt::Display;

const RESTART: &str = "The kubelet is restarted and forgets which image was used when.";

/// In a few words: `pin 2 images`.
pub(super) fn in_short(remedy: &RemedyReport) -> String {
    match remedy.remedy.known() {
        Some(RemedyKind::Pin) => format!("pin {}", phrase::count(remedy.images.len(), "image")),
        Some(RemedyKind::MakeRoom) => format!("end the pod {}", pod(remedy)),
        Some(RemedyKind::RaiseThresholds) => format!("raise the thresholds of {}", settings_of(remedy)),
        Some(RemedyKind::SwitchOff) => format!("switch {} off", settings_of(remedy)),
        None => unknown(remedy),
    }
}

/// What to do, in sentences.
pub(super) fn what(remedy: &RemedyReport) -> String {
    let bytes = remedy.bytes.unwrap_or(Bytes::ZERO);
    match remedy.remedy.known() {
        Some(RemedyKind::Pin) => {
            let unknown = if remedy.is_certain == Some(false) {
                " Whether pins are honoured by this kubelet and runtime is not known."
            } else {
                ""
            };
            format!(
                "Pin what exists nowhere else or the node needs, {} of {bytes} as the kubelet reports it. From its next image GC \
                 run on the kubelet never deletes pinned images, without a restart.{unknown}",
                phrase::count(remedy.images.len(), "image")
            )
        }
        Some(RemedyKind::MakeRoom) => format!(
            "End the pod {}, which holds most beside this layer's own, {bytes}: every layer on the disk gains by it.",
            pod(remedy)
        ),
        Some(RemedyKind::RaiseThresholds) => {
            let enough = match remedy.suffices {
                Some(true) => "more than that stays available for 6h with a probability of 90 %",
                Some(false) => "that only puts it off, since less may be available within 6h",
                None => "whether that is enough is not known yet",
            };
            format!(
                "Raise the thresholds of {}: no image is deleted to free disk space before less than {} is available; {enough}.",
                settings_of(remedy),
                remedy.available_bytes.unwrap_or(Bytes::ZERO)
            )
        }
        Some(RemedyKind::SwitchOff) => {
            "Switch image GC and disk eviction off: a node that lives for one test need not give anything back."
                .to_owned()
        }
        None => unknown(remedy),
    }
}

/// What it costs.
pub(super) fn trade_off(remedy: &RemedyReport) -> String {
    match remedy.remedy.known() {
        // The list of CRI-O is a file.
        Some(RemedyKind::Pin) if !remedy.edits.is_empty() => {
            "Pinned images are never deleted; other images or pods go first. The list takes the place of one in crio.conf or in a \
             file before this one: what stands there has to stand here, too."
                .to_owned()
        }
        Some(RemedyKind::Pin) => {
            "Pinned images are never deleted; other images or pods go first. Deleted and loaded or pulled anew, an image has lost \
             its pin."
                .to_owned()
        }
        Some(RemedyKind::MakeRoom) => "What runs in it is lost.".to_owned(),
        Some(RemedyKind::RaiseThresholds) => {
            let by_age = if remedy.collects_by_age {
                " Images that are unused for too long are deleted all the same."
            } else {
                ""
            };
            format!(
                "{RESTART} Less time between the warning and a full disk. Other kubelets on the disk keep their thresholds.{by_age}"
            )
        }
        Some(RemedyKind::SwitchOff) => {
            let full = remedy.disk_full_in.filter(|full| full.p50.is_some());
            let full = full.map_or_else(String::new, |full| format!(", {}", phrase::when(full)));
            format!(
                "{RESTART} Nothing in this layer frees space any more: instead the disk runs full{full}, and everything on it fails \
                 at once."
            )
        }
        None => "Not known to this release of highwater.".to_owned(),
    }
}

/// Where the commands are typed, in a layer of this kind.
pub(super) fn place(remedy: &RemedyReport, kind: &Word<LayerKind>) -> &'static str {
    if remedy.run_in.is(RunIn::Cluster) {
        "Where kubectl reaches the node"
    } else if kind.is(LayerKind::Host) {
        "On the node"
    } else {
        "In a shell in this layer"
    }
}

/// Why there are fewer commands than one expects.
pub(super) fn withheld(remedy: &RemedyReport) -> String {
    format!(
        "{} withheld: a name is cut, or has characters that cannot be written down safely.",
        phrase::count(remedy.withheld, "command")
    )
}

/// Where lines are written, and what becomes of what else is there; the path as the surface shows it.
pub(super) fn place_of<'a, D: Display>(edit: &'a Edit, shown: impl FnOnce(&'a str) -> D) -> String {
    match &edit.path {
        Some(path) => format!("In {}, keeping what else stands there", shown(path.as_str())),
        None => "As flags of the kubelet, keeping the others".to_owned(),
    }
}

/// The word of a newer agent.
fn unknown(remedy: &RemedyReport) -> String {
    remedy.remedy.text(|_| "").to_owned()
}

fn pod(remedy: &RemedyReport) -> String {
    let name = |label: &Option<Label>| label.as_ref().map_or_else(String::new, ToString::to_string);
    format!("{}/{}", name(&remedy.pod_namespace), name(&remedy.pod))
}

fn settings_of(remedy: &RemedyReport) -> &str {
    let words = |settings| match settings {
        SettingsOf::ImageGc => "image GC",
        SettingsOf::Eviction => "disk eviction",
        SettingsOf::ImageGcAndEviction => "image GC and disk eviction",
    };
    remedy.settings.as_ref().map_or("the kubelet", |settings| settings.text(words))
}
