//! `/api/v1/snapshot` and `check -o json`, read by field as docs/json.md describes them.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::SystemTime;

#[derive(Debug, Deserialize)]
pub(crate) struct Snapshot {
    sampled_at: String,
    pub(crate) stale: bool,
    pub(crate) filesystems: Vec<Filesystem>,
    pub(crate) layers: Vec<Layer>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Filesystem {
    pub(crate) device: String,
    pub(crate) mountpoint: String,
    pub(crate) device_number: String,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) free_bytes: Option<u64>,
    pub(crate) avail_bytes: Option<u64>,
    pub(crate) used_bytes: Option<u64>,
    pub(crate) files: Option<u64>,
    pub(crate) files_free: Option<u64>,
    pub(crate) kubelet_percent: Option<u64>,
    pub(crate) df_percent: Option<u64>,
    pub(crate) stuck: bool,
    pub(crate) usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Usage {
    measured_at: String,
    took_seconds: f64,
    pub(crate) used_bytes: u64,
    pub(crate) unreadable_directories: u64,
    pub(crate) layers: Vec<UsageOfLayer>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct UsageOfLayer {
    #[serde(rename = "layer")]
    pub(crate) id: String,
    pub(crate) bytes: u64,
    pub(crate) components: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Layer {
    #[serde(rename = "layer")]
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) parent: Option<String>,
    pub(crate) device: Option<String>,
    pub(crate) mountpoint: Option<String>,
    pub(crate) image_store: String,
    pub(crate) docker_root: Option<String>,
    pub(crate) runtime: Option<Process>,
    pub(crate) kubelet: Option<Process>,
    pub(crate) pod_namespace: Option<String>,
    pub(crate) pod: Option<String>,
    pub(crate) prow_job: Option<String>,
    pub(crate) prow_build_id: Option<String>,
    pub(crate) test_cluster: Option<String>,
    pub(crate) node_role: Option<String>,
    pub(crate) container: Option<String>,
    pub(crate) exclusive_bytes: Option<u64>,
    pub(crate) runtime_used_bytes: Option<u64>,
    pub(crate) policy: Option<Policy>,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) sources: Vec<Source>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Process {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) pid: u32,
    started_at: String,
    serving_since: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    pub(crate) image_gc_enabled: bool,
    pub(crate) image_gc_high_threshold_percent: Setting,
    pub(crate) image_gc_low_threshold_percent: Setting,
    pub(crate) eviction_hard: Vec<Threshold>,
    pub(crate) problems: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Setting {
    pub(crate) value: i64,
    pub(crate) origin: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Threshold {
    pub(crate) signal: String,
    pub(crate) fraction: Option<f32>,
    pub(crate) origin: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Trigger {
    #[serde(rename = "trigger")]
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) threshold: u64,
    pub(crate) headroom: Option<i64>,
    pub(crate) forecast: Option<Forecast>,
}

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "as the JSON has them")]
pub(crate) struct Forecast {
    pub(crate) p10_seconds: Option<f64>,
    pub(crate) p50_seconds: Option<f64>,
    pub(crate) p90_seconds: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "printed where a test fails, which the compiler does not count")]
pub(crate) struct Error {
    reason: String,
    detail: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Source {
    #[serde(rename = "source")]
    pub(crate) name: String,
    pub(crate) up: bool,
    pub(crate) error: Option<Error>,
}

impl Snapshot {
    pub(crate) fn parse(text: &str) -> Self {
        serde_json::from_str(text).expect("the JSON of docs/json.md")
    }

    /// When the round began, in seconds since the epoch; up to a second too early.
    pub(crate) fn sampled_at(&self) -> f64 {
        seconds(&self.sampled_at)
    }

    pub(crate) fn layer(&self, id: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.id == id)
    }

    /// The only filesystem.
    pub(crate) fn disk(&self) -> Result<&Filesystem, String> {
        match &self.filesystems[..] {
            [disk] => Ok(disk),
            others => Err(format!("{} filesystems: {others:?}", others.len())),
        }
    }
}

impl Usage {
    /// When the walk began, in seconds since the epoch; up to a second too early.
    pub(crate) fn began_at(&self) -> f64 {
        seconds(&self.measured_at) - self.took_seconds
    }
}

impl Process {
    /// In seconds since the epoch; up to a second too early.
    pub(crate) fn started_at(&self) -> f64 {
        seconds(&self.started_at)
    }

    /// Likewise; of a kubelet.
    pub(crate) fn serving_since(&self) -> Option<f64> {
        self.serving_since.as_deref().map(seconds)
    }
}

impl Layer {
    /// The trigger of that name.
    pub(crate) fn trigger(&self, name: &str) -> &Trigger {
        self.triggers.iter().find(|trigger| trigger.name == name).expect("the trigger is armed")
    }
}

fn seconds(text: &str) -> f64 {
    let moment = humantime::parse_rfc3339(text).expect("RFC 3339");
    moment.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64()
}
