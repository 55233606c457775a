//! What would each trigger do to every image of a layer, and what helps? The answer of `explain`, made here or read from another
//! agent; its serde form is the JSON.

use super::{ExpectedTriggerReport, KubeletReport, Named, PolicyReport, RemedyReport, Text, Word};
use crate::assess::ImageState;
use crate::layer::LayerKind;
use crate::model::prediction::Total;
use crate::model::recovery::{Critical, Recoverable};
use crate::model::{Signal, Trigger};
use crate::time::{Span, Timestamp};
use crate::units::Bytes;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rises when a field changes its meaning or is removed; new fields leave it as it is.
pub const SCHEMA_VERSION: u32 = 1;

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// When the node was sampled.
    #[serde(with = "crate::form")]
    pub sampled_at: Timestamp,
    /// How long ago that was.
    #[serde(rename = "age_seconds", with = "crate::form")]
    pub age: Span,
    /// Whether the agent has stopped sampling.
    pub stale: bool,
    /// Bytes that are assumed to be written first.
    pub if_written_bytes: Option<Bytes>,
    /// What is expected on each filesystem, where every layer is asked for as it is.
    pub disks: Vec<DiskExplanation>,
    /// The layers that were asked for.
    pub layers: Vec<LayerExplanation>,
}

/// What is expected on a filesystem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskExplanation {
    /// The device.
    pub device: Text,
    /// The mountpoint.
    pub mountpoint: Text,
    /// Soonest first.
    pub expected_triggers: Vec<ExpectedTriggerReport>,
}

/// One layer with its images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerExplanation {
    /// Its name.
    pub layer: Text,
    /// What it is.
    pub kind: Word<LayerKind>,
    /// Its kubelet.
    pub kubelet: Option<KubeletReport>,
    /// The settings in force.
    pub policy: Option<PolicyReport>,
    /// Available on the filesystem of its images.
    pub avail_bytes: Option<Bytes>,
    /// When the next image GC run is due.
    #[serde(with = "crate::form")]
    pub next_image_gc_at: Option<Timestamp>,
    /// When an image that is loaded now and never used can be deleted at the earliest.
    #[serde(with = "crate::form")]
    pub new_image_gc_eligible_at: Option<Timestamp>,
    /// When the runtime listed its images.
    #[serde(with = "crate::form")]
    pub listed_at: Option<Timestamp>,
    /// Whether the lists were whole.
    pub complete: Option<bool>,
    /// Whether it is known which images are mounted as volumes.
    pub image_volumes_known: Option<bool>,
    /// Since when the kubelet's records could be followed.
    #[serde(with = "crate::form")]
    pub followed_since: Option<Timestamp>,
    /// Why there are no images.
    pub error: Option<Text>,
    /// Every image.
    pub images: Vec<ImageExplanation>,
    /// What each trigger that deletes images would do.
    pub triggers: Vec<PredictionReport>,
    /// What helps, best first.
    #[serde(default)]
    pub remedies: Vec<RemedyReport>,
    /// Why pinning is not among these: `kubelet`, `runtime`.
    #[serde(default)]
    pub pins_ignored_by: Option<Label>,
    /// Opens a shell in the layer; `None` on the node itself, or where it is not known.
    #[serde(default)]
    pub exec_command: Option<Text>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageExplanation {
    /// Its id.
    pub image: Label,
    /// What people call it.
    pub name: Label,
    /// What the kubelet counts for it.
    pub size_bytes: Option<Bytes>,
    /// What it is to the kubelet.
    pub state: Word<ImageState>,
    /// Whether it can be pulled again.
    pub recoverable: Word<Recoverable>,
    /// Why the node needs it.
    pub critical: Option<Word<Critical>>,
    /// Whether its last use is known.
    pub last_use: Word<LastUse>,
    /// Its last use.
    #[serde(with = "crate::form")]
    pub last_used_at: Option<Timestamp>,
    /// Whether a run of the kubelet has certainly seen it.
    pub seen_by_kubelet: bool,
}

/// What is known of the last use of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastUse {
    /// Nothing: highwater has not watched for long enough.
    Unknown,
    /// There was none since the kubelet started.
    Never,
    /// When it was.
    Known,
}

/// What one trigger would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictionReport {
    /// Which.
    pub trigger: Word<Trigger>,
    /// The eviction signal behind it.
    pub signal: Option<Word<Signal>>,
    /// Whether its threshold is crossed; if not, the rest holds as if it just were.
    pub crossed: bool,
    /// It triggers while less than this is available.
    pub threshold: u64,
    /// What can be used up before that.
    pub headroom: Option<i64>,
    /// How long a soft threshold must be met.
    #[serde(rename = "grace_period_seconds", with = "crate::form")]
    pub grace_period: Span,
    /// The next run of the kubelet, for which the rest holds.
    pub acts_at: ActsAt,
    /// What image GC must free, in sizes as the kubelet counts; `None`: eviction, which takes everything.
    pub wanted_bytes: Option<Range<i64>>,
    /// Whether the images are enough for that.
    pub suffices: Option<bool>,
    /// What is deleted whatever the order.
    pub certain: Total,
    /// What may be deleted besides.
    pub possible: Total,
    /// What becomes free on the disk.
    pub freed_bytes: Option<Range<u64>>,
    /// What is available afterwards.
    pub available_after_bytes: Option<Range<u64>>,
    /// The outcome of every image.
    pub verdicts: Vec<OutcomeReport>,
}

/// When a run of the kubelet comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActsAt {
    /// Not before.
    #[serde(with = "crate::form")]
    pub earliest: Timestamp,
    /// Most likely.
    #[serde(with = "crate::form")]
    pub likely: Timestamp,
    /// Not after.
    #[serde(with = "crate::form")]
    pub latest: Timestamp,
}

/// Bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range<T> {
    /// At least; `None`: not known.
    pub least: Option<T>,
    /// At most.
    pub most: T,
}

/// What happens to one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeReport {
    /// Its id.
    pub image: Label,
    /// Whether it is deleted.
    pub outcome: Word<Certainty>,
    /// Why.
    pub reason: Word<OutcomeReason>,
}

/// Whether an image is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Deleted whatever the order.
    Certain,
    /// Deleted under some order.
    Possible,
    /// Not deleted.
    Safe,
}

/// Why an image is deleted or kept, the reasons to delete it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeReason {
    /// To free disk space.
    Space,
    /// Unused for longer than imageMaximumGCAge.
    Age,
    /// A container uses it.
    InUse,
    /// It is pinned.
    Pinned,
    /// Younger than the minimum age.
    TooYoung,
    /// Image GC is off.
    GcDisabled,
    /// Others suffice.
    NotNeeded,
}

impl Explanation {
    /// When it is shown.
    pub fn now(&self) -> Timestamp {
        self.sampled_at + self.age
    }
}

impl LayerExplanation {
    /// The images with what a trigger does to them.
    pub fn outcomes<'e>(&'e self, prediction: &'e PredictionReport) -> Vec<(&'e ImageExplanation, &'e OutcomeReport)> {
        let by_id: BTreeMap<&Label, &ImageExplanation> =
            self.images.iter().map(|image| (&image.image, image)).collect();
        prediction.verdicts.iter().filter_map(|verdict| Some((*by_id.get(&verdict.image)?, verdict))).collect()
    }
}

impl ImageExplanation {
    /// Whether its loss is more than a pull: it cannot come back, or the node needs it.
    pub fn is_fatal(&self) -> bool {
        self.recoverable.is(Recoverable::No) || self.critical.is_some()
    }
}

impl OutcomeReport {
    /// Whether the image stays.
    pub fn stays(&self) -> bool {
        self.outcome.is(Certainty::Safe)
    }
}

impl Named for Certainty {
    fn name(&self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Possible => "possible",
            Self::Safe => "safe",
        }
    }
}
