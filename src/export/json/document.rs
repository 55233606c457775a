//! Which fields does the JSON of a snapshot have? The schema as structures, for whoever writes it and whoever reads it.
//!
//! Each field is described in docs/json.md. Text read from another machine has to be made harmless before it is shown.

use crate::export::expected_triggers::ExpectedTriggerEntry;
use crate::sample::Source;
use crate::time::Span;
use crate::verdict::{Verdict, Windows};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) schema_version: u32,
    pub(crate) sampled_at: String,
    pub(crate) age_seconds: f64,
    pub(crate) stale: bool,
    pub(crate) filesystems: Vec<FilesystemEntry>,
    pub(crate) layers: Vec<LayerEntry>,
    pub(crate) forecast_scores: Vec<ScoreEntry>,
    pub(crate) agent: AgentEntry,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FilesystemEntry {
    pub(crate) device: String,
    pub(crate) mountpoint: String,
    pub(crate) device_number: String,
    pub(crate) measured_at: Option<String>,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) free_bytes: Option<u64>,
    pub(crate) avail_bytes: Option<u64>,
    pub(crate) used_bytes: Option<u64>,
    pub(crate) files: Option<u64>,
    pub(crate) files_free: Option<u64>,
    pub(crate) kubelet_percent: Option<i64>,
    pub(crate) df_percent: Option<i64>,
    pub(crate) fill_bytes_per_second: Option<f64>,
    pub(crate) stuck: bool,
    pub(crate) error: Option<ErrorEntry>,
    pub(crate) usage: Option<UsageEntry>,
    pub(crate) usage_error: Option<ErrorEntry>,
    pub(crate) expected_triggers: Vec<ExpectedTriggerEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct UsageEntry {
    pub(crate) measured_at: Option<String>,
    pub(crate) took_seconds: f64,
    pub(crate) used_bytes: u64,
    pub(crate) unreadable_directories: u64,
    pub(crate) layers: Vec<UsageLayerEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct UsageLayerEntry {
    pub(crate) layer: String,
    pub(crate) bytes: u64,
    pub(crate) components: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LayerEntry {
    pub(crate) layer: String,
    pub(crate) kind: String,
    pub(crate) parent: Option<String>,
    pub(crate) device: Option<String>,
    pub(crate) mountpoint: Option<String>,
    pub(crate) image_store: String,
    pub(crate) docker_root: Option<String>,
    pub(crate) runtime: Option<RuntimeEntry>,
    pub(crate) kubelet: Option<KubeletEntry>,
    pub(crate) pod_namespace: Option<String>,
    pub(crate) pod: Option<String>,
    pub(crate) prow_job: Option<String>,
    pub(crate) prow_build_id: Option<String>,
    pub(crate) test_cluster: Option<String>,
    pub(crate) node_role: Option<String>,
    pub(crate) container: Option<String>,
    pub(crate) exclusive_bytes: Option<u64>,
    pub(crate) exclusive_bytes_by_component: Option<BTreeMap<String, u64>>,
    pub(crate) runtime_used_bytes: Option<u64>,
    pub(crate) policy: Option<PolicyEntry>,
    pub(crate) next_image_gc_at: Option<String>,
    pub(crate) triggers: Vec<TriggerEntry>,
    pub(crate) images: Option<ImagesEntry>,
    pub(crate) images_error: Option<ErrorEntry>,
    /// Missing in the answers of older agents.
    #[serde(default)]
    pub(crate) best_remedy: Option<String>,
    pub(crate) sources: Vec<SourceEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RuntimeEntry {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) pid: u32,
    pub(crate) started_at: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KubeletEntry {
    pub(crate) version: Option<String>,
    /// Absent in the answers of older agents.
    #[serde(default)]
    pub(crate) version_origin: Option<String>,
    pub(crate) pid: u32,
    pub(crate) started_at: String,
    /// Likewise.
    #[serde(default)]
    pub(crate) serving_since: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PolicyEntry {
    pub(crate) image_gc_enabled: bool,
    pub(crate) image_gc_high_threshold_percent: SettingEntry<i64>,
    pub(crate) image_gc_low_threshold_percent: SettingEntry<i64>,
    pub(crate) image_minimum_gc_age_seconds: SettingEntry<f64>,
    pub(crate) image_maximum_gc_age_seconds: Option<SettingEntry<f64>>,
    pub(crate) eviction_hard: Vec<ThresholdEntry>,
    pub(crate) eviction_soft: Vec<ThresholdEntry>,
    pub(crate) pressure_transition_period_seconds: SettingEntry<f64>,
    pub(crate) problems: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SettingEntry<T> {
    pub(crate) value: T,
    pub(crate) origin: String,
    pub(crate) path: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ThresholdEntry {
    pub(crate) signal: String,
    pub(crate) quantity: Option<u64>,
    pub(crate) fraction: Option<f32>,
    pub(crate) origin: String,
    pub(crate) path: Option<String>,
    pub(crate) grace_period_seconds: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TriggerEntry {
    pub(crate) trigger: String,
    pub(crate) signal: Option<String>,
    pub(crate) unit: String,
    pub(crate) device: Option<String>,
    pub(crate) mountpoint: Option<String>,
    pub(crate) threshold: u64,
    pub(crate) headroom: Option<i64>,
    pub(crate) forecast: Option<ForecastEntry>,
    pub(crate) acts_in: Option<ActionEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "a field of the schema ends in its unit")]
pub(crate) struct ActionEntry {
    pub(crate) p10_seconds: Option<f64>,
    pub(crate) p50_seconds: Option<f64>,
    pub(crate) p90_seconds: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ImagesEntry {
    pub(crate) listed_at: String,
    pub(crate) complete: bool,
    pub(crate) by_state: BTreeMap<String, CountEntry>,
    pub(crate) victims: Vec<VictimsEntry>,
    pub(crate) deleted_observed: BTreeMap<String, DeletedEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CountEntry {
    pub(crate) count: usize,
    pub(crate) bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct VictimsEntry {
    pub(crate) trigger: String,
    pub(crate) crossed: bool,
    pub(crate) certain: CountEntry,
    pub(crate) possible: CountEntry,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeletedEntry {
    pub(crate) runs: u64,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ForecastEntry {
    pub(crate) p10_seconds: Option<f64>,
    pub(crate) p50_seconds: Option<f64>,
    pub(crate) p90_seconds: Option<f64>,
    pub(crate) probability: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScoreEntry {
    pub(crate) trigger: String,
    pub(crate) hit: u64,
    pub(crate) missed: u64,
    pub(crate) false_alarm: u64,
    pub(crate) by_horizon: BTreeMap<String, BrierEntry>,
    pub(crate) intervals_checked: u64,
    pub(crate) coverage: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BrierEntry {
    pub(crate) checked: u64,
    pub(crate) brier: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SourceEntry {
    pub(crate) source: String,
    pub(crate) up: bool,
    pub(crate) read_at: Option<String>,
    pub(crate) error: Option<ErrorEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ErrorEntry {
    pub(crate) reason: String,
    pub(crate) detail: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AgentEntry {
    pub(crate) version: String,
    pub(crate) boot_id: Option<String>,
    pub(crate) sample_interval_seconds: f64,
    pub(crate) collectors: Vec<CollectorEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CollectorEntry {
    pub(crate) collector: String,
    pub(crate) success: bool,
    pub(crate) duration_seconds: f64,
}

impl Document {
    /// The worst of all layers and triggers; unknown where the agent has stopped sampling, so that nobody knows.
    pub(crate) fn verdict(&self, windows: Windows) -> Verdict {
        if self.stale {
            return Verdict::Unknown;
        }
        let of_trigger = |trigger: &TriggerEntry| {
            let median = trigger.forecast.as_ref().and_then(|forecast| forecast.p50_seconds);
            Verdict::of_line(trigger.headroom, median.map(Span::from_secs_f64), windows)
        };
        let triggers = self.layers.iter().flat_map(|layer| &layer.triggers).map(of_trigger);
        let mut sources = self.layers.iter().flat_map(|layer| &layer.sources);
        let decisive = [Source::Statfs.as_str(), Source::KubeletConfig.as_str()];
        Verdict::worst(triggers, sources.any(|source| !source.up && decisive.contains(&source.source.as_str())))
    }
}

/// `denied: open /proc/1/root: EACCES`.
impl fmt::Display for ErrorEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}
