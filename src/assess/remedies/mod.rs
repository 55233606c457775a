//! What keeps the images of a layer that would be lost for good, and what is best first? Pin them, make room, raise the
//! thresholds, or switch image GC off.
//!
//! Concludes only; words and commands are in `export/remedy.rs`. Of a layer that loses nothing but what can be pulled again
//! there is nothing to conclude: there image GC does what it is for.

mod case;
mod settings;

pub use case::Case;
pub use settings::{Change, Field, Raise};

use super::ImagesAssessment;
use super::holders::Nesting;
use crate::layer::{LayerId, LayerKind};
use crate::model::Release;
use crate::model::pins::{Pinning, pinning};
use crate::model::prediction::Prediction;
use crate::model::victims::{Outcome, SafeReason};
use crate::sample::{FilesystemSample, ImageId, LayerSample, Sample};
use crate::units::Bytes;
use case::Known;

/// What helps a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Remedies {
    /// The remedies, the best one first.
    pub best_first: Vec<Remedy>,
    /// Whether pins are honoured. If they are ignored, pinning is no remedy.
    pub pinning: Pinning,
}

/// Something that keeps images.
#[derive(Debug, Clone, PartialEq)]
pub enum Remedy {
    /// Pin images.
    Pin(Pin),
    /// End the pod that holds most.
    MakeRoom(PodToEnd),
    /// Raise the thresholds of image GC and eviction.
    RaiseThresholds(Raise),
    /// Switch image GC and disk eviction off by these settings.
    SwitchOff(Vec<Change>),
}

/// Images to be pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The fatal ones that would be deleted, and those that would be next if these stayed; in the order of the runtime's list.
    pub images: Vec<ImageId>,
    /// Whether it is known that pins are honoured here.
    pub is_certain: bool,
}

/// The pod, other than the layer's own, that holds most on the disk of its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodToEnd {
    /// A layer directly in that pod.
    pub layer: LayerId,
    /// What all layers in the pod hold on that disk.
    pub held: Bytes,
}

/// What helps; `None` where nothing would be lost for good, or where it is not known what would.
///
/// - Pinning works from the next image GC run on, needs no restart and keeps just what matters: it comes first where it is
///   known to work, and last where that is not known.
/// - Switching off is for nodes that live for one test, and needs a restart of their kubelet only.
/// - Making room costs somebody else's work, and helps every layer of the disk.
/// - Raising the thresholds is of use only as far as the disk is not expected to fill beyond them.
pub fn remedies(case: Case<'_>) -> Option<Remedies> {
    let known = Known::of(case)?;
    let images = fatal(case.predictions, known.images)?;
    let release = Release::of(known.kubelet);
    let pinning = pinning(release, case.layer.runtime.as_ref());
    let pin = |when| (pinning == when).then(|| Pin { images: images.clone(), is_certain: when == Pinning::Honoured });
    let lives_for_one_test = matches!(case.layer.kind, LayerKind::CapdNode | LayerKind::KindNode);
    let off = lives_for_one_test.then(|| settings::switch_off(&known)).flatten();
    let best_first = [
        pin(Pinning::Honoured).map(Remedy::Pin),
        off.map(Remedy::SwitchOff),
        greatest_holder(case.sample, case.layer, known.disk).map(Remedy::MakeRoom),
        settings::raise(case, &known).map(Remedy::RaiseThresholds),
        pin(Pinning::Unknown).map(Remedy::Pin),
    ];
    Some(Remedies { best_first: best_first.into_iter().flatten().collect(), pinning })
}

/// The fatal images that some trigger deletes or will once they are old enough, with those that are kept only since others
/// suffice; `None`: no fatal one is deleted.
fn fatal(predictions: &[Prediction], images: &ImagesAssessment) -> Option<Vec<ImageId>> {
    let mut lost = false;
    let mut found = Vec::new();
    for (position, note) in images.images.iter().enumerate().filter(|(_, note)| note.is_fatal()) {
        let outcomes =
            || predictions.iter().filter_map(|found| found.verdicts.get(position)).map(|verdict| verdict.outcome);
        let is_deleted = outcomes().any(|outcome| {
            matches!(outcome, Outcome::Certain(_) | Outcome::Possible(_) | Outcome::Safe(SafeReason::TooYoung))
        });
        lost |= is_deleted;
        if is_deleted || outcomes().any(|outcome| outcome == Outcome::Safe(SafeReason::NotNeeded)) {
            found.push(note.id.clone());
        }
    }
    lost.then_some(found)
}

/// The pod of the node itself that holds most of a disk, as far as a walk has told, the layer's own aside.
fn greatest_holder(sample: &Sample, layer: &LayerSample, disk: &FilesystemSample) -> Option<PodToEnd> {
    let nesting = Nesting::of(sample);
    let own = nesting.outermost_in_pod(layer).and_then(|layer| layer.origin.pod());
    let held = disk.usage.value()?.layers.iter().map(|usage| (&usage.layer, &usage.components));
    let (holders, _) = nesting.holders(held);
    let may_end = |of: &LayerSample| nesting.is_direct(of) && of.origin.pod_namespace.is_some();
    let other = holders.iter().find(|holder| holder.pod.is_some() && holder.pod != own && may_end(holder.layer))?;
    let held = other.total();
    (held > Bytes::ZERO).then(|| PodToEnd { layer: other.layer.id.clone(), held })
}
