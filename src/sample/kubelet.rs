//! What does a kubelet's configuration say, and where does it say it? As written: nothing is merged or defaulted here.
//!
//! Which setting wins is decided in `model/policy.rs`.

use super::Reading;
use super::form::{go_duration, is_default, seconds};
use crate::time::{Span, Timestamp};
use crate::untrusted::Label;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A running kubelet and what it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletSample {
    /// Its process id as this machine's /proc counts it.
    #[serde(default)]
    pub pid: u32,
    /// When the process started, to about 10 ms.
    #[serde(with = "seconds")]
    pub started_at: Timestamp,
    /// Since when it serves pod resources: when their socket below `--root-dir` was made; `None` where that is not seen. Its first
    /// pass comes at that time.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds")]
    pub serving_since: Option<Timestamp>,
    /// Its release, where something tells it.
    #[serde(flatten, deserialize_with = "version")]
    pub version: Option<KubeletVersion>,
    /// Arguments and files. A recording has a line of their own for them.
    #[serde(skip, default = "Reading::not_recorded")]
    pub config: Reading<KubeletConfig>,
}

/// An `Option` of flattened fields would be `None` where they are malformed.
fn version<'de, D: Deserializer<'de>>(from: D) -> Result<Option<KubeletVersion>, D::Error> {
    let fields = serde_json::Map::deserialize(from)?;
    if fields.get("version").is_none_or(serde_json::Value::is_null) {
        return Ok(None);
    }
    KubeletVersion::deserialize(serde_json::Value::Object(fields)).map(Some).map_err(D::Error::custom)
}

impl KubeletSample {
    /// Its release, as `v1.37.2`, where something tells it.
    pub fn release(&self) -> Option<&Label> {
        self.version.as_ref().map(|version| &version.release)
    }
}

/// The release of a kubelet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletVersion {
    /// As `v1.37.2`, with what a distribution adds, as `v1.31.2+k3s1`.
    #[serde(rename = "version")]
    pub release: Label,
    /// What tells it; `None` where that was not recorded.
    #[serde(rename = "version_origin", default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<VersionOrigin>,
}

/// What tells the release of a kubelet, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionOrigin {
    /// The build information in the file that runs.
    BuildInfo,
    /// The path of the file that runs.
    Path,
    /// The package database, which knows the file that runs.
    Package,
    /// The file in which node images of kind name their release.
    NodeImage,
}

impl VersionOrigin {
    /// One word for JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuildInfo => "build_info",
            Self::Path => "path",
            Self::Package => "package",
            Self::NodeImage => "node_image",
        }
    }
}

/// The settings of one kubelet, one part for each place they were written in, in no order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KubeletConfig {
    /// From the command line.
    #[serde(skip_serializing_if = "is_default")]
    pub flags: KubeletSettings,
    /// The file named by `--config`; `None` where the kubelet has no such file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<SettingsFile>,
    /// The `.conf` files below `--config-dir`, in the order in which they are merged.
    #[serde(skip_serializing_if = "is_default")]
    pub drop_ins: Vec<SettingsFile>,
    /// The directory of the kubelet, `--root-dir`; it names nodefs.
    #[serde(skip_serializing_if = "is_default_root")]
    pub root_dir: Label,
    /// Images that a static pod uses with a pull policy of Never, as its manifest names them.
    #[serde(skip_serializing_if = "is_default")]
    pub never_pulled: Vec<Label>,
    /// When the file or a drop-in was last changed; a kubelet does not notice changes after its start.
    #[serde(skip_serializing_if = "Option::is_none", with = "seconds")]
    pub modified_at: Option<Timestamp>,
    /// What could not be understood, and where; each cost only itself. The texts repeat nothing that a file contains.
    #[serde(skip_serializing_if = "is_default")]
    pub problems: Vec<Label>,
}

/// A file with settings of a kubelet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsFile {
    /// Its path as the kubelet sees it.
    pub path: Label,
    /// What it says.
    #[serde(default)]
    pub settings: KubeletSettings,
}

fn is_default_root(dir: &Label) -> bool {
    dir.as_str() == KubeletConfig::DEFAULT_ROOT_DIR
}

/// A kubelet that was told nothing.
impl Default for KubeletConfig {
    fn default() -> Self {
        Self {
            flags: KubeletSettings::default(),
            file: None,
            drop_ins: Vec::new(),
            root_dir: Label::new(Self::DEFAULT_ROOT_DIR),
            never_pulled: Vec::new(),
            modified_at: None,
            problems: Vec::new(),
        }
    }
}

impl KubeletConfig {
    /// `--root-dir` where nothing else is said.
    pub const DEFAULT_ROOT_DIR: &'static str = "/var/lib/kubelet";

    /// Where static pods come from: a flag wins over drop-ins, the last of these over the file. `None`: from nowhere.
    pub fn static_pod_path(&self) -> Option<&str> {
        const FIELD: &str = "staticPodPath";
        let files = self.file.iter().chain(&self.drop_ins).map(|file| &file.settings);
        let in_files = files.fold(None, |path, settings| {
            if settings.nulls.contains(FIELD) { None } else { settings.static_pod_path.as_deref().or(path) }
        });
        self.flags.static_pod_path.as_deref().or(in_files).filter(|path| !path.is_empty())
    }
}

/// What one place says. `None`: it says nothing. Percentages as written; they may be out of range.
///
/// A recording names them as a KubeletConfiguration does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KubeletSettings {
    /// imageGCHighThresholdPercent, `--image-gc-high-threshold`.
    #[serde(rename = "imageGCHighThresholdPercent", skip_serializing_if = "Option::is_none")]
    pub image_gc_high_threshold_percent: Option<i64>,
    /// imageGCLowThresholdPercent, `--image-gc-low-threshold`.
    #[serde(rename = "imageGCLowThresholdPercent", skip_serializing_if = "Option::is_none")]
    pub image_gc_low_threshold_percent: Option<i64>,
    /// imageMinimumGCAge, `--minimum-image-ttl-duration`.
    #[serde(rename = "imageMinimumGCAge", skip_serializing_if = "Option::is_none", with = "go_duration")]
    pub image_minimum_gc_age: Option<Span>,
    /// imageMaximumGCAge.
    #[serde(rename = "imageMaximumGCAge", skip_serializing_if = "Option::is_none", with = "go_duration")]
    pub image_maximum_gc_age: Option<Span>,
    /// evictionHard, `--eviction-hard`: signal to value as written; a `None` value is a JSON null that removes the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eviction_hard: Option<BTreeMap<String, Option<String>>>,
    /// evictionSoft, `--eviction-soft`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eviction_soft: Option<BTreeMap<String, Option<String>>>,
    /// evictionSoftGracePeriod, `--eviction-soft-grace-period`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eviction_soft_grace_period: Option<BTreeMap<String, Option<String>>>,
    /// evictionMinimumReclaim, `--eviction-minimum-reclaim`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eviction_minimum_reclaim: Option<BTreeMap<String, Option<String>>>,
    /// evictionPressureTransitionPeriod.
    #[serde(skip_serializing_if = "Option::is_none", with = "go_duration")]
    pub eviction_pressure_transition_period: Option<Span>,
    /// mergeDefaultEvictionSettings (from 1.33).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_default_eviction_settings: Option<bool>,
    /// containerRuntimeEndpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_runtime_endpoint: Option<String>,
    /// imageServiceEndpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_service_endpoint: Option<String>,
    /// podLogsDir.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_logs_dir: Option<String>,
    /// staticPodPath, `--pod-manifest-path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub static_pod_path: Option<String>,
    /// `--pod-infra-container-image`: the image of sandboxes. No file can say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_infra_container_image: Option<String>,
    /// featureGates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_gates: Option<BTreeMap<String, bool>>,
    /// Names of the fields above, as a file writes them, that are an explicit null. In a drop-in a null takes back what
    /// earlier files said; elsewhere it says nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub nulls: BTreeSet<String>,
}
