//! What keeps the images of a layer that would be lost for good? As data; the words are the renderers'.

use super::{Text, Word};
use crate::assess::Quantiles;
use crate::units::Bytes;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};

/// Something that keeps images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemedyReport {
    /// What kind of remedy.
    pub remedy: Word<RemedyKind>,
    /// The ids of the images to be pinned.
    pub images: Vec<Label>,
    /// How large these are, or what the pod to be ended holds.
    pub bytes: Option<Bytes>,
    /// Whether it is known that pins are honoured here.
    pub is_certain: Option<bool>,
    /// Namespace of the pod to be ended.
    pub pod_namespace: Option<Label>,
    /// Its name.
    pub pod: Option<Label>,
    /// What the settings to be changed are of.
    pub settings: Option<Word<SettingsOf>>,
    /// Below so many bytes available images are deleted with the raised thresholds.
    pub available_bytes: Option<Bytes>,
    /// Whether more than that stays available for six hours with a probability of 90 %; `None`: not known.
    pub suffices: Option<bool>,
    /// Whether images that are unused for too long are deleted all the same.
    pub collects_by_age: bool,
    /// When the disk is full, where nothing frees space any more.
    pub disk_full_in: Option<Quantiles>,
    /// What is written into files or given as flags; only in the explanation.
    pub edits: Vec<Edit>,
    /// Where the commands are typed.
    pub run_in: Word<RunIn>,
    /// For a POSIX shell; only in the explanation.
    pub commands: Vec<Text>,
    /// Commands that would need a name that cannot be written down safely.
    pub withheld: usize,
}

/// The kinds of remedies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemedyKind {
    /// Pin images.
    Pin,
    /// End the pod that holds most.
    MakeRoom,
    /// Raise the thresholds.
    RaiseThresholds,
    /// Switch image GC and disk eviction off.
    SwitchOff,
}

/// What settings are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingsOf {
    /// Image GC.
    ImageGc,
    /// Disk eviction.
    Eviction,
    /// Both.
    ImageGcAndEviction,
}

/// Where commands are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunIn {
    /// In a shell in the layer.
    Layer,
    /// Where kubectl reaches the cluster of the node.
    Cluster,
}

/// Lines for a file, or flags; what else stands there is to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// `file`, `drop-in`, `flag`.
    pub origin: Label,
    /// The file; `None`: flags of the kubelet.
    pub path: Option<Label>,
    /// The lines.
    pub lines: Vec<Text>,
}

impl RemedyReport {
    /// A remedy of which nothing more is known.
    pub(super) fn new(kind: RemedyKind) -> Self {
        Self {
            remedy: kind.into(),
            images: Vec::new(),
            bytes: None,
            is_certain: None,
            pod_namespace: None,
            pod: None,
            settings: None,
            available_bytes: None,
            suffices: None,
            collects_by_age: false,
            disk_full_in: None,
            edits: Vec::new(),
            run_in: RunIn::Layer.into(),
            commands: Vec::new(),
            withheld: 0,
        }
    }

    /// The same without what is typed.
    #[must_use]
    pub(super) fn in_short(self) -> Self {
        Self { edits: Vec::new(), commands: Vec::new(), ..self }
    }
}
