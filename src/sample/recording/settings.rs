//! A kubelet's settings as a recording writes them: named as in a KubeletConfiguration, durations as Go writes them.

use super::wire::Time;
use crate::sample::{KubeletConfig, KubeletSettings, parse_go_duration};
use crate::time::Span;
use crate::untrusted::Label;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::{BTreeMap, BTreeSet};

/// The settings of one kubelet, part of a `config` line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ConfigForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flags: Option<SettingsForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<FileForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    drop_ins: Vec<FileForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_dir: Option<Label>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    never_pulled: Vec<Label>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modified_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Label>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct FileForm {
    path: Label,
    #[serde(default)]
    settings: SettingsForm,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SettingsForm {
    #[serde(rename = "imageGCHighThresholdPercent", skip_serializing_if = "Option::is_none")]
    image_gc_high_threshold_percent: Option<i64>,
    #[serde(rename = "imageGCLowThresholdPercent", skip_serializing_if = "Option::is_none")]
    image_gc_low_threshold_percent: Option<i64>,
    #[serde(rename = "imageMinimumGCAge", skip_serializing_if = "Option::is_none")]
    image_minimum_gc_age: Option<GoDuration>,
    #[serde(rename = "imageMaximumGCAge", skip_serializing_if = "Option::is_none")]
    image_maximum_gc_age: Option<GoDuration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eviction_hard: Option<BTreeMap<String, Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eviction_soft: Option<BTreeMap<String, Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eviction_soft_grace_period: Option<BTreeMap<String, Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eviction_minimum_reclaim: Option<BTreeMap<String, Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eviction_pressure_transition_period: Option<GoDuration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merge_default_eviction_settings: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_runtime_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_service_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_logs_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    static_pod_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature_gates: Option<BTreeMap<String, bool>>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    nulls: BTreeSet<String>,
}

/// A duration as Go writes it: whole seconds as `120s`, else microseconds as `1500000us`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct GoDuration(Span);

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Go has no longer ones than its 2^63 nanoseconds.
        let micros = self.0.micros().clamp(-i64::MAX / 1_000, i64::MAX / 1_000);
        let text = if micros % 1_000_000 == 0 { format!("{}s", micros / 1_000_000) } else { format!("{micros}us") };
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Label::from(String::deserialize(deserializer)?);
        let span = parse_go_duration(text.as_str());
        span.map(Self).ok_or_else(|| de::Error::custom(format!("\"{text}\" is no duration such as 2m0s")))
    }
}

impl ConfigForm {
    /// The form of a configuration.
    pub(super) fn of(config: &KubeletConfig) -> Self {
        let file = |(path, settings): &(Label, KubeletSettings)| FileForm {
            path: path.clone(),
            settings: SettingsForm::of(settings),
        };
        Self {
            flags: Some(SettingsForm::of(&config.flags)).filter(|flags| *flags != SettingsForm::default()),
            file: config.file.as_ref().map(file),
            drop_ins: config.drop_ins.iter().map(file).collect(),
            root_dir: Some(config.root_dir.clone()).filter(|dir| dir.as_str() != KubeletConfig::DEFAULT_ROOT_DIR),
            never_pulled: config.never_pulled.clone(),
            modified_at: config.modified_at.map(Time::of),
            problems: config.problems.clone(),
        }
    }

    /// The configuration of this form.
    pub(super) fn config(&self) -> KubeletConfig {
        let file = |form: &FileForm| (form.path.clone(), form.settings.settings());
        KubeletConfig {
            flags: self.flags.as_ref().map(SettingsForm::settings).unwrap_or_default(),
            file: self.file.as_ref().map(file),
            drop_ins: self.drop_ins.iter().map(file).collect(),
            root_dir: self.root_dir.clone().unwrap_or_else(|| Label::new(KubeletConfig::DEFAULT_ROOT_DIR)),
            never_pulled: self.never_pulled.clone(),
            modified_at: self.modified_at.map(Time::timestamp),
            problems: self.problems.clone(),
        }
    }
}

impl SettingsForm {
    fn of(settings: &KubeletSettings) -> Self {
        let settings = settings.clone();
        Self {
            image_gc_high_threshold_percent: settings.image_gc_high_threshold_percent,
            image_gc_low_threshold_percent: settings.image_gc_low_threshold_percent,
            image_minimum_gc_age: settings.image_minimum_gc_age.map(GoDuration),
            image_maximum_gc_age: settings.image_maximum_gc_age.map(GoDuration),
            eviction_hard: settings.eviction_hard,
            eviction_soft: settings.eviction_soft,
            eviction_soft_grace_period: settings.eviction_soft_grace_period,
            eviction_minimum_reclaim: settings.eviction_minimum_reclaim,
            eviction_pressure_transition_period: settings.eviction_pressure_transition_period.map(GoDuration),
            merge_default_eviction_settings: settings.merge_default_eviction_settings,
            container_runtime_endpoint: settings.container_runtime_endpoint,
            image_service_endpoint: settings.image_service_endpoint,
            pod_logs_dir: settings.pod_logs_dir,
            static_pod_path: settings.static_pod_path,
            feature_gates: settings.feature_gates,
            nulls: settings.nulls,
        }
    }

    fn settings(&self) -> KubeletSettings {
        let form = self.clone();
        let span = |duration: GoDuration| duration.0;
        KubeletSettings {
            image_gc_high_threshold_percent: form.image_gc_high_threshold_percent,
            image_gc_low_threshold_percent: form.image_gc_low_threshold_percent,
            image_minimum_gc_age: form.image_minimum_gc_age.map(span),
            image_maximum_gc_age: form.image_maximum_gc_age.map(span),
            eviction_hard: form.eviction_hard,
            eviction_soft: form.eviction_soft,
            eviction_soft_grace_period: form.eviction_soft_grace_period,
            eviction_minimum_reclaim: form.eviction_minimum_reclaim,
            eviction_pressure_transition_period: form.eviction_pressure_transition_period.map(span),
            merge_default_eviction_settings: form.merge_default_eviction_settings,
            container_runtime_endpoint: form.container_runtime_endpoint,
            image_service_endpoint: form.image_service_endpoint,
            pod_logs_dir: form.pod_logs_dir,
            static_pod_path: form.static_pod_path,
            feature_gates: form.feature_gates,
            nulls: form.nulls,
        }
    }
}
