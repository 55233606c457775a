//! The lines of a recording, field by field. These structures are the format: docs/recording.md says what they mean.

use super::settings::ConfigForm;
use crate::layer::{LayerId, LayerKind};
use crate::sample::{
    Absence, AbsenceReason, Component, Container, Image, LayerOrigin, Pod, Reading, RuntimeKind, Source, VersionOrigin,
};
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, Inodes};
use crate::untrusted::Label;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one line lives at a time")]
pub(super) enum Line {
    Header(HeaderLine),
    Filesystem(FilesystemLine),
    Space(SpaceLine),
    Usage(UsageLine),
    Layer(LayerLine),
    Sources(SourcesLine),
    Kubelet(KubeletLine),
    Config(ConfigLine),
    Images(ImagesLine),
    Image(ItemLine<Image>),
    Container(ItemLine<Container>),
    Pod(ItemLine<Pod>),
    Gone(GoneLine),
    Order(OrderLine),
    Sample(SampleLine),
}

/// The fields of each type of line, for counting those that are not known.
pub(super) fn fields(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "header" => &["format", "version", "writer", "note"],
        "filesystem" => &["filesystem", "dev", "capacity", "files", "device", "mountpoint"],
        "space" => {
            &["filesystem", "at", "capacity", "free", "available", "files", "files_free", "stuck", "absent", "detail"]
        }
        "usage" => &["filesystem", "at", "used", "took", "unreadable", "layers", "absent", "detail"],
        "layer" => &["layer", "kind", "parent", "origin", "runtime", "image_store", "docker_root", "imagefs", "nodefs"],
        "sources" => &["layer", "sources", "runtime_used"],
        "kubelet" => &["layer", "pid", "started_at", "serving_since", "version", "version_origin"],
        "config" => &[
            "layer",
            "at",
            "unchanged",
            "flags",
            "file",
            "drop_ins",
            "root_dir",
            "never_pulled",
            "modified_at",
            "problems",
            "absent",
            "detail",
        ],
        "images" => &["layer", "at", "complete", "hidden_volumes", "sandbox_image", "absent", "detail"],
        "image" => &["layer", "id", "tags", "digests", "size", "pinned", "layers"],
        "container" => &["layer", "id", "pod", "name", "state", "image_id", "image_ref", "image_volumes"],
        "pod" => &["layer", "id", "uid", "namespace", "name", "ready", "is_static"],
        "gone" => &["filesystem", "layer", "kubelet", "image", "container", "pod"],
        "order" => &["filesystems", "layers"],
        "sample" => &["at"],
        _ => return None,
    })
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct HeaderLine {
    pub(super) format: String,
    pub(super) version: u32,
    #[serde(default = "nothing")]
    pub(super) writer: Label,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FilesystemLine {
    pub(super) filesystem: String,
    #[serde(default)]
    pub(super) dev: u64,
    pub(super) capacity: Bytes,
    #[serde(default)]
    pub(super) files: Inodes,
    pub(super) device: Label,
    #[serde(default = "slash")]
    pub(super) mountpoint: Label,
}

fn slash() -> Label {
    Label::new("/")
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SpaceLine {
    pub(super) filesystem: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) capacity: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) free: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) available: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) files: Option<Inodes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) files_free: Option<Inodes>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) stuck: bool,
    #[serde(flatten)]
    pub(super) absence: AbsenceForm,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct UsageLine {
    pub(super) filesystem: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) used: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) took: Option<Seconds>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) unreadable: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) layers: Vec<UsageEntry>,
    #[serde(flatten)]
    pub(super) absence: AbsenceForm,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct UsageEntry {
    pub(super) layer: LayerId,
    pub(super) components: BTreeMap<Component, Bytes>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LayerLine {
    pub(super) layer: LayerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<LayerKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<LayerId>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) origin: LayerOrigin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) runtime: Option<RuntimeForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) image_store: Option<Label>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) docker_root: Option<Label>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) imagefs: Option<Read<String>>,
    /// The same as `imagefs` where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nodefs: Option<Read<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RuntimeForm {
    pub(super) kind: RuntimeKind,
    #[serde(default)]
    pub(super) pid: u32,
    pub(super) started_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<Label>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stats_period: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SourcesLine {
    pub(super) layer: LayerKey,
    #[serde(default)]
    pub(super) sources: Vec<SourceEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) runtime_used: Option<Read<Bytes>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SourceEntry {
    pub(super) source: Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Time>,
    #[serde(flatten)]
    pub(super) absence: AbsenceForm,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct KubeletLine {
    pub(super) layer: LayerKey,
    #[serde(default)]
    pub(super) pid: u32,
    pub(super) started_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) serving_since: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<Label>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version_origin: Option<VersionOrigin>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ConfigLine {
    pub(super) layer: LayerKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Time>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) unchanged: bool,
    /// Whether there was such a line at all.
    #[serde(skip)]
    pub(super) known: bool,
    #[serde(flatten)]
    pub(super) config: ConfigForm,
    #[serde(flatten)]
    pub(super) absence: AbsenceForm,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ImagesLine {
    pub(super) layer: LayerKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) complete: Option<bool>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) hidden_volumes: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sandbox_image: Option<Label>,
    #[serde(flatten)]
    pub(super) absence: AbsenceForm,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ItemLine<T> {
    pub(super) layer: LayerKey,
    #[serde(flatten)]
    pub(super) item: T,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct GoneLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) filesystem: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) layer: Option<LayerKey>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) kubelet: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<Label>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) container: Option<Label>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pod: Option<Label>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct OrderLine {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) filesystems: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) layers: Vec<LayerId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SampleLine {
    pub(super) at: Time,
}

/// The name of the layer that a line is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct LayerKey(pub(super) LayerId);

impl Default for LayerKey {
    fn default() -> Self {
        Self(LayerId::host())
    }
}

/// Why there is nothing; two fields of the line or object they are in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct AbsenceForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    absent: Option<AbsenceReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<Label>,
}

impl AbsenceForm {
    pub(super) fn absence(&self) -> Option<Absence> {
        self.absent.map(|reason| Absence::new(reason, self.detail.clone().unwrap_or_else(|| Label::new(""))))
    }
}

impl From<&Absence> for AbsenceForm {
    fn from(absence: &Absence) -> Self {
        Self { absent: Some(absence.reason), detail: Some(absence.detail.clone()) }
    }
}

/// A reading in a field of its own: the plain value, if it was read for the sample; else an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Read<T> {
    Absent(AbsentForm),
    Dated { value: T, at: Time },
    Plain(T),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct AbsentForm {
    absent: AbsenceReason,
    #[serde(default = "nothing")]
    detail: Label,
}

fn nothing() -> Label {
    Label::new("")
}

impl<T> Read<T> {
    /// The form of a reading in a sample taken at `sampled`.
    pub(super) fn of(reading: Reading<T>, sampled: Timestamp) -> Self {
        match reading {
            Reading::Present { value, at } => match Time::unless(at, sampled) {
                Some(at) => Self::Dated { value, at },
                None => Self::Plain(value),
            },
            Reading::Absent(absence) => Self::Absent(AbsentForm { absent: absence.reason, detail: absence.detail }),
        }
    }

    /// The reading as a sample taken at `sampled` has it.
    pub(super) fn reading(self, sampled: Timestamp) -> Reading<T> {
        match self {
            Self::Plain(value) => Reading::present(value, sampled),
            Self::Dated { value, at } => Reading::present(value, at.timestamp()),
            Self::Absent(form) => Reading::absent(form.absent, form.detail),
        }
    }
}

/// A point in time: seconds since 1970 as a number that is exact to the microsecond, or an RFC 3339 string on input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(i64);

/// 2^32 seconds, in 2106: up to there a microsecond survives the way through a double.
const LATEST: i64 = 4_294_967_296_000_000;

impl Time {
    /// A time before 1970 or after 2106 is none that a machine has; it becomes the nearest of these.
    pub(super) fn of(time: Timestamp) -> Self {
        Self(time.micros().clamp(0, LATEST))
    }

    /// The time of a reading; `None` where it is that of its sample.
    pub(super) fn unless(time: Timestamp, sampled: Timestamp) -> Option<Self> {
        (time != sampled).then(|| Self::of(time))
    }

    pub(super) const fn timestamp(self) -> Timestamp {
        Timestamp::from_micros(self.0)
    }

    fn from_seconds(seconds: f64) -> Option<Self> {
        // Whole seconds and the rest apart: each is exact, their product with a million would not be.
        let whole = Timestamp::from_secs_f64(seconds.trunc());
        let time = whole + Span::from_secs_f64(seconds.fract());
        (0..=LATEST).contains(&time.micros()).then_some(Self(time.micros()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.timestamp().as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds since 1970, or a time as 2026-11-24T07:45:54.25Z, not after 2106")
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Time, E> {
        Time::from_seconds(seconds).ok_or_else(|| E::invalid_value(de::Unexpected::Float(seconds), &self))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Time, E> {
        let time = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1_000_000)).map(Time);
        let time = time.filter(|time| time.0 <= LATEST);
        time.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(seconds), &self))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Time, E> {
        match u64::try_from(seconds) {
            Ok(seconds) => self.visit_u64(seconds),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(seconds), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
        let since_epoch = humantime::parse_rfc3339(text).ok().and_then(|time| {
            let span = time.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(span.as_micros()).ok()
        });
        let time = since_epoch.filter(|micros| *micros <= LATEST).map(Time);
        time.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// A length of time: seconds, exact to the microsecond up to 136 years; what is longer or negative becomes the nearest of these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seconds(pub(super) Span);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Time::of(Timestamp::from_micros(self.0.micros())).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        let time =
            Time::from_seconds(seconds).ok_or_else(|| de::Error::custom("a length of time is 0 or more seconds"))?;
        Ok(Self(Span::from_micros(time.0)))
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
