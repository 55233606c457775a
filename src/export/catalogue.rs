//! Which metrics exist? Every one once, as data: name, type, unit, meaning, labels.
//!
//! Values are filled in by `metrics.rs`; docs/metrics.md is made from this table.

/// Makes the enum of names and the table from one list, so that no metric can be in one and not in the other.
macro_rules! catalogue {
    ($($name:ident = $kind:ident $base:literal $(+ $unit:literal)? [$($label:literal),*] $scope:ident $help:literal;)*) => {
        /// The metrics, in the order in which they are written.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Name { $(#[doc = $help] $name,)* }

        impl Name {
            /// Every metric.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What is known of it.
            pub const fn metric(self) -> &'static Metric {
                match self {
                    $(Self::$name => &Metric {
                        base: $base,
                        unit: catalogue!(@unit $($unit)?),
                        kind: Kind::$kind,
                        labels: &[$($label),*],
                        scope: Scope::$scope,
                        help: $help,
                    },)*
                }
            }
        }
    };
    (@unit) => { None };
    (@unit $unit:literal) => { Some($unit) };
}

/// One metric, without its values.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name without unit and type suffix.
    pub base: &'static str,
    /// The unit, which ends the name.
    pub unit: Option<&'static str>,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// Of what there is one series, and so which budget it counts against.
    pub scope: Scope,
    /// Meaning and unit, without a full stop at the end.
    pub help: &'static str,
}

/// Types of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that may go up and down.
    Gauge,
    /// A sum that only grows; its samples end in `_total`.
    Counter,
    /// Always 1, for the sake of its labels; its samples end in `_info`.
    Info,
    /// Values at quantiles. Declared as `unknown` (text 0.0.4: `untyped`): a gauge must not carry the label `quantile`,
    /// and a summary would claim to be of observations.
    Quantiles,
}

/// Of what there is one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each filesystem.
    Filesystem,
    /// Each layer.
    Layer,
    /// Each test pod.
    Pod,
    /// The agent.
    Agent,
}

catalogue! {
    FilesystemSize = Gauge "highwater_filesystem_size" + "bytes" ["device", "mountpoint"] Filesystem
        "Capacity of the filesystem in bytes as statfs gives it, which is what the kubelet calls capacity";
    FilesystemAvail = Gauge "highwater_filesystem_avail" + "bytes" ["device", "mountpoint"] Filesystem
        "Bytes available to unprivileged writers (f_bavail), which is what the kubelet calls available";
    FilesystemFiles = Gauge "highwater_filesystem_files" ["device", "mountpoint"] Filesystem
        "Number of inodes the filesystem has; 0 where it has no fixed number";
    FilesystemFilesFree = Gauge "highwater_filesystem_files_free" ["device", "mountpoint"] Filesystem
        "Number of inodes that are free";
    FilesystemUsage = Gauge "highwater_filesystem_usage" + "ratio" ["device", "mountpoint"] Filesystem
        "The kubelet's own integer usage percentage divided by 100; df prints another figure";
    FilesystemFill = Gauge "highwater_filesystem_fill" + "bytes_per_second" ["device", "mountpoint"] Filesystem
        "Current net rate in bytes per second at which the filesystem fills; negative while it empties";
    FilesystemLastSample = Gauge "highwater_filesystem_last_sample_timestamp" + "seconds" ["device", "mountpoint"] Filesystem
        "When the filesystem was last measured, in seconds since the Unix epoch";
    FilesystemStuck = Gauge "highwater_filesystem_stuck" ["device", "mountpoint"] Filesystem
        "1 while a statfs call that was begun has not come back, else 0";
    UsageAge = Gauge "highwater_usage_age" + "seconds" ["device", "mountpoint"] Filesystem
        "Seconds since the last walk of the filesystem that highwater_layer_exclusive_bytes comes from";
    Layer = Info "highwater_layer" ["layer", "kind", "parent", "device", "mountpoint", "runtime", "runtime_version",
            "kubelet_version", "pod_namespace", "pod", "prow_job", "prow_build_id", "test_cluster", "node_role"] Layer
        "A place where images live and may be deleted, and what it belongs to; the value is 1";
    SourceUp = Gauge "highwater_source_up" ["layer", "source"] Layer
        "1 if the source of this layer could be read, 0 if not; what depends on it is then absent";
    SourceAge = Gauge "highwater_source_age" + "seconds" ["layer", "source"] Layer
        "Seconds since the source of this layer was last read";
    ImageGcEnabled = Gauge "highwater_image_gc_enabled" ["layer"] Layer
        "1 if the kubelet of this layer deletes images to free disk space, 0 if that is switched off";
    ImageGcHigh = Gauge "highwater_image_gc_high_threshold" + "ratio" ["layer"] Layer
        "Effective imageGCHighThresholdPercent divided by 100: from here on images are deleted";
    ImageGcLow = Gauge "highwater_image_gc_low_threshold" + "ratio" ["layer"] Layer
        "Effective imageGCLowThresholdPercent divided by 100: down to here images are deleted";
    EvictionThresholdBytes = Gauge "highwater_eviction_threshold" + "bytes" ["layer", "signal"] Layer
        "Effective hard eviction threshold in available bytes; below it the kubelet evicts";
    EvictionThresholdInodes = Gauge "highwater_eviction_threshold" + "inodes" ["layer", "signal"] Layer
        "Effective hard eviction threshold in free inodes; below it the kubelet evicts";
    HeadroomBytes = Gauge "highwater_headroom" + "bytes" ["layer", "trigger"] Layer
        "Bytes that can still be written before the trigger; negative once it is crossed";
    HeadroomInodes = Gauge "highwater_headroom" + "inodes" ["layer", "trigger"] Layer
        "Inodes that can still be used up before the trigger; negative once it is crossed";
    NextImageGc = Gauge "highwater_next_image_gc_timestamp" + "seconds" ["layer"] Layer
        "When the kubelet is expected to look next whether images must go, in seconds since the Unix epoch";
    Forecast = Quantiles "highwater_forecast" + "seconds" ["layer", "trigger", "quantile"] Layer
        "Seconds until the trigger acts, at this quantile of the forecast: its threshold is crossed and the kubelet acts; +Inf: not expected; absent: too little seen yet";
    ForecastProbability = Gauge "highwater_forecast_probability" + "ratio" ["layer", "trigger", "horizon"] Layer
        "Probability from 0 to 1 that the line of the trigger is crossed within the horizon; image GC acts up to five minutes after that";
    Images = Gauge "highwater_images" ["layer", "state"] Layer
        "Number of images, by what they are to the next image GC run: in_use, pinned, too_young, evictable";
    ImageBytes = Gauge "highwater_image" + "bytes" ["layer", "state"] Layer
        "Sizes of the images in bytes as the runtime lists them, which is what the kubelet counts and not what they occupy";
    Victims = Gauge "highwater_victims" ["layer", "trigger", "certainty"] Layer
        "Number of images that the trigger would delete if its threshold were crossed at the next image GC run or eviction manager sync; possible does not include certain";
    VictimBytes = Gauge "highwater_victim" + "bytes" ["layer", "trigger", "certainty"] Layer
        "Sizes of these images in bytes as the runtime lists them";
    ReclaimableBytes = Gauge "highwater_reclaimable" + "bytes" ["layer", "trigger", "certainty"] Layer
        "Bytes that become free on the disk at least (certain), and at most beyond that (possible); absent where it is not known what the images keep";
    ObservedRuns = Counter "highwater_image_gc_runs_observed" ["layer", "trigger"] Layer
        "Number of bursts of deletions seen since the agent started, by what did it as far as that can be told: image_gc, image_eviction, unknown";
    ObservedDeletions = Counter "highwater_images_deleted_observed" ["layer", "trigger"] Layer
        "Number of images seen to be deleted since the agent started";
    ObservedBytes = Counter "highwater_gc_reclaimed_bytes_observed" ["layer", "trigger"] Layer
        "Sizes in bytes of the images seen to be deleted since the agent started, as the runtime listed them";
    ImageAtRisk = Gauge "highwater_image_at_risk" ["layer", "image", "certainty", "recoverable"] Layer
        "1 for an image that the first trigger that deletes images here would delete, whether that is near or not; at most 10 for each layer, the worst first";
    LayerExclusive = Gauge "highwater_layer_exclusive" + "bytes" ["layer", "component"] Layer
        "Bytes on disk that belong to this layer alone, nested layers taken out; all layers sum to the used bytes of the disk";
    JobUsed = Gauge "highwater_job_used" + "bytes" ["prow_job", "prow_build_id", "pod_namespace", "pod"] Pod
        "Bytes on disk that belong to the layers of this test pod, all together and as of the last walk; without prow_job and prow_build_id where Prow did not start it";
    LayerImageFsUsed = Gauge "highwater_layer_image_fs_used" + "bytes" ["layer"] Layer
        "Bytes that the runtime itself says its images use (CRI ImageFsInfo); the kubelet does not act on them";
    ForecastOutcomes = Counter "highwater_forecast_outcomes" ["trigger", "outcome"] Agent
        "Number of forecasts of the agent that time has judged, all disks together: hit (a line was crossed and the probability within half an hour had risen to 0.5 in the hour before), missed (it had not), false_alarm (it had, and no crossing followed within the hour)";
    ForecastChecked = Counter "highwater_forecast_checked" ["trigger", "horizon"] Agent
        "Number of forecast probabilities, one each five minutes, of which it is known by now whether the line was crossed within the horizon";
    ForecastSquaredError = Counter "highwater_forecast_squared_error" ["trigger", "horizon"] Agent
        "Sum of the squared errors of these probabilities; divided by highwater_forecast_checked_total it is the Brier score, 0 (best) to 1";
    ForecastIntervalsChecked = Counter "highwater_forecast_intervals_checked" ["trigger"] Agent
        "Number of forecasts, one each five minutes, of which the time of the crossing is known by now, or that there was none for six hours";
    ForecastIntervalsCovered = Counter "highwater_forecast_intervals_covered" ["trigger"] Agent
        "Number of those with the truth between the quantiles 0.1 and 0.9 of the crossing; at least 0.8 of all is wanted";
    SeriesDropped = Gauge "highwater_series_dropped" [] Agent
        "Number of series left out of this scrape because of the series budget, least urgent layers first";
    CollectorSuccess = Gauge "highwater_collector_success" ["collector"] Agent
        "1 if the step of the last round gave what it should, else 0";
    CollectorDuration = Gauge "highwater_collector_duration" + "seconds" ["collector"] Agent
        "Seconds that the step of the last round took";
    Build = Info "highwater_build" ["version"] Agent
        "The release of highwater that answers; the value is 1";
    ProcessCpu = Counter "process_cpu" + "seconds" [] Agent
        "Seconds of user and system CPU time spent by the agent";
    ProcessResident = Gauge "process_resident_memory" + "bytes" [] Agent
        "Resident memory of the agent in bytes";
    ProcessVirtual = Gauge "process_virtual_memory" + "bytes" [] Agent
        "Virtual memory of the agent in bytes";
    ProcessStart = Gauge "process_start_time" + "seconds" [] Agent
        "When the agent started, in seconds since the Unix epoch";
    ProcessOpenFds = Gauge "process_open_fds" [] Agent
        "Number of file descriptors the agent has open";
    ProcessMaxFds = Gauge "process_max_fds" [] Agent
        "Number of file descriptors the agent may open";
}

impl Metric {
    /// The name as its samples carry it: `highwater_layer_info`, `process_cpu_seconds_total`.
    pub fn sample_name(&self) -> String {
        let mut name = self.base.to_owned();
        if let Some(unit) = self.unit {
            name.push('_');
            name.push_str(unit);
        }
        name.push_str(self.kind.suffix());
        name
    }
}

impl Kind {
    /// What OpenMetrics appends to the name in samples.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Gauge | Self::Quantiles => "",
            Self::Counter => "_total",
            Self::Info => "_info",
        }
    }

    /// The type as OpenMetrics writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Info => "info",
            Self::Quantiles => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_occurs_once() {
        let names: BTreeSet<String> = Name::ALL.iter().map(|name| name.metric().sample_name()).collect();
        assert_eq!(names.len(), Name::ALL.len());
    }

    #[test]
    fn no_label_is_one_that_a_scrape_target_owns() {
        for name in Name::ALL {
            for label in name.metric().labels {
                assert!(
                    !["instance", "job", "node", "cluster", "type", "env", "zone"].contains(label),
                    "{name:?} {label}"
                );
            }
        }
    }

    #[test]
    fn names_are_those_of_the_documentation() {
        assert_eq!(Name::FilesystemFill.metric().sample_name(), "highwater_filesystem_fill_bytes_per_second");
        assert_eq!(Name::Layer.metric().sample_name(), "highwater_layer_info");
        assert_eq!(Name::ProcessCpu.metric().sample_name(), "process_cpu_seconds_total");
    }

    #[test]
    fn help_texts_are_one_line_without_a_full_stop() {
        for name in Name::ALL {
            let help = name.metric().help;
            assert!(!help.contains(['\n', '\\', '"']) && !help.ends_with('.'), "{help}");
        }
    }
}
