//! The lines of a recording: a key, and the serde form of what the sample has under it. docs/recording.md says what they mean.

use crate::layer::LayerId;
use crate::sample::form::{OF_THE_SAMPLE, is_default, seconds};
use crate::sample::{
    Absence, Container, DiskUsage, FilesystemId, FilesystemName, Image, ImageStore, KubeletConfig, KubeletSample,
    LayerSample, Pod, Reading, SourceStatus, Space,
};
use crate::time::Timestamp;
use crate::units::Bytes;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};

/// One line. What there are few of is boxed, since images and containers come in thousands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line {
    Header {
        format: String,
        version: u32,
        #[serde(default = "nothing")]
        writer: Label,
    },
    Filesystem {
        filesystem: String,
        #[serde(flatten)]
        id: FilesystemId,
        #[serde(flatten)]
        name: FilesystemName,
    },
    Space {
        filesystem: String,
        #[serde(flatten)]
        space: Reading<Space>,
        #[serde(default, skip_serializing_if = "is_default")]
        stuck: bool,
    },
    Usage {
        filesystem: String,
        #[serde(flatten)]
        usage: Reading<DiskUsage>,
    },
    Layer {
        #[serde(flatten)]
        layer: Box<LayerSample>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        imagefs: Option<Field<String>>,
        /// The same as `imagefs` where it is not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nodefs: Option<Field<String>>,
    },
    Sources {
        layer: LayerId,
        #[serde(default)]
        sources: Vec<SourceStatus>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runtime_used: Option<Field<Bytes>>,
    },
    Kubelet {
        layer: LayerId,
        #[serde(flatten)]
        kubelet: Box<KubeletSample>,
    },
    Config {
        layer: LayerId,
        #[serde(flatten)]
        config: Box<Reading<KubeletConfig>>,
        /// The value is that of the line before.
        #[serde(default, skip_serializing_if = "is_default")]
        unchanged: bool,
    },
    Image {
        layer: LayerId,
        #[serde(flatten)]
        image: Image,
    },
    Container {
        layer: LayerId,
        #[serde(flatten)]
        container: Container,
    },
    Pod {
        layer: LayerId,
        #[serde(flatten)]
        pod: Pod,
    },
    Images {
        layer: LayerId,
        /// Without its lists.
        #[serde(flatten)]
        store: Reading<ImageStore>,
    },
    Gone(Gone),
    Order {
        #[serde(default, skip_serializing_if = "is_default")]
        filesystems: Vec<String>,
        #[serde(default, skip_serializing_if = "is_default")]
        layers: Vec<LayerId>,
    },
    Sample {
        #[serde(with = "seconds")]
        at: Timestamp,
    },
}

/// What is no longer there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Gone {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) filesystem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) layer: Option<LayerId>,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) kubelet: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) container: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pod: Option<Label>,
}

/// What lines are about, by the name that other lines use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    Filesystem(String),
    Layer(LayerId),
}

/// The kinds of what is in force of one owner, in the order in which they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The filesystem or the layer itself.
    Declared,
    Space,
    Usage,
    Sources,
    Kubelet,
    Config,
    Image,
    Container,
    Pod,
    Images,
}

/// What a line is about: of two with the same key the later is in force. The text is the id of a listed item, else empty.
pub(super) type Key = (Kind, String);

impl Line {
    /// Its owner and key; `None` for a line that is not in force afterwards.
    pub(super) fn key(&self) -> Option<(Owner, Key)> {
        let of_filesystem = |name: &String, kind| Some((Owner::Filesystem(name.clone()), (kind, String::new())));
        let of_layer = |id: &LayerId, kind, item: &str| Some((Owner::Layer(id.clone()), (kind, item.to_owned())));
        match self {
            Self::Filesystem { filesystem, .. } => of_filesystem(filesystem, Kind::Declared),
            Self::Space { filesystem, .. } => of_filesystem(filesystem, Kind::Space),
            Self::Usage { filesystem, .. } => of_filesystem(filesystem, Kind::Usage),
            Self::Layer { layer, .. } => of_layer(&layer.id, Kind::Declared, ""),
            Self::Sources { layer, .. } => of_layer(layer, Kind::Sources, ""),
            Self::Kubelet { layer, .. } => of_layer(layer, Kind::Kubelet, ""),
            Self::Config { layer, .. } => of_layer(layer, Kind::Config, ""),
            Self::Image { layer, image } => of_layer(layer, Kind::Image, image.id.as_str()),
            Self::Container { layer, container } => of_layer(layer, Kind::Container, container.id.as_str()),
            Self::Pod { layer, pod } => of_layer(layer, Kind::Pod, pod.id.as_str()),
            Self::Images { layer, .. } => of_layer(layer, Kind::Images, ""),
            Self::Header { .. } | Self::Gone(_) | Self::Order { .. } | Self::Sample { .. } => None,
        }
    }
}

/// A reading of a plain value: the value itself, if it was read for the sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Field<T> {
    Absent(Absence),
    Dated {
        value: T,
        #[serde(with = "seconds")]
        at: Timestamp,
    },
    Plain(T),
}

impl<T> From<Reading<T>> for Field<T> {
    fn from(reading: Reading<T>) -> Self {
        match reading {
            Reading::Present { value, at } if at == OF_THE_SAMPLE => Self::Plain(value),
            Reading::Present { value, at } => Self::Dated { value, at },
            Reading::Absent(absence) => Self::Absent(absence),
        }
    }
}

impl<T> From<Field<T>> for Reading<T> {
    fn from(field: Field<T>) -> Self {
        match field {
            Field::Plain(value) => Self::present(value, OF_THE_SAMPLE),
            Field::Dated { value, at } => Self::present(value, at),
            Field::Absent(absence) => Self::Absent(absence),
        }
    }
}

/// The fields of each type of line, for counting those that are not known.
pub(super) fn fields(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "header" => "format version writer note",
        "filesystem" => "filesystem dev capacity files device mountpoint",
        "space" => "filesystem at capacity free available files files_free stuck absent detail",
        "usage" => "filesystem at used took unreadable layers absent detail",
        "layer" => "layer kind parent origin runtime image_store docker_root imagefs nodefs",
        "sources" => "layer sources runtime_used",
        "kubelet" => "layer pid started_at serving_since version version_origin",
        "config" => "layer at unchanged flags file drop_ins root_dir never_pulled modified_at problems absent detail",
        "images" => "layer at complete hidden_volumes sandbox_image absent detail",
        "image" => "layer id tags digests size pinned layers",
        "container" => "layer id pod name state image_id image_ref image_volumes",
        "pod" => "layer id uid namespace name ready is_static",
        "gone" => "filesystem layer kubelet image container pod",
        "order" => "filesystems layers",
        "sample" => "at",
        _ => return None,
    })
}

fn nothing() -> Label {
    Label::new("")
}
