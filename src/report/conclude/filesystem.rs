//! What is reported of a filesystem?

use super::join::{Disk, Joined};
use crate::assess::ExpectedTrigger;
use crate::report::{
    ErrorReport, ExpectedTriggerReport, FilesystemReport, LayerUsageReport, PreemptedByReport, UsageReport,
};
use crate::sample::{DiskUsage, Reading};
use crate::time::Timestamp;
use crate::untrusted::Label;

pub(super) fn report(joined: &Joined<'_>, disk: &Disk<'_>) -> FilesystemReport {
    let sample = disk.sample;
    let space = sample.space.value();
    let assessment = disk.assessment;
    FilesystemReport {
        device: disk.device.clone(),
        mountpoint: disk.mountpoint.clone(),
        device_number: Label::from(format!("{}:{}", sample.id.major(), sample.id.minor())),
        measured_at: read_at(&sample.space),
        size_bytes: space.map(|space| space.capacity),
        free_bytes: space.map(|space| space.free),
        avail_bytes: space.map(|space| space.available),
        used_bytes: space.map(crate::sample::Space::used),
        files: space.map(|space| space.files),
        files_free: space.map(|space| space.files_free),
        kubelet_percent: assessment.and_then(|found| found.kubelet_percent),
        df_percent: assessment.and_then(|found| found.df_percent),
        fill_bytes_per_second: assessment.and_then(|found| found.fill_rate),
        stuck: sample.stuck,
        error: sample.space.absence().map(ErrorReport::from),
        usage: sample.usage.value().map(|usage| self::usage(usage, read_at(&sample.usage))),
        usage_error: sample.usage.absence().map(ErrorReport::from),
        expected_triggers: expected_triggers(joined, disk),
        timeline: assessment.map(|found| found.timeline.clone()).unwrap_or_default(),
    }
}

fn usage(usage: &DiskUsage, measured_at: Option<Timestamp>) -> UsageReport {
    let layers = usage.layers.iter().map(|held| LayerUsageReport {
        layer: held.layer.as_str().into(),
        bytes: held.total(),
        components: held.components.iter().map(|(part, bytes)| ((*part).into(), *bytes)).collect(),
    });
    UsageReport {
        measured_at,
        took: usage.took,
        used_bytes: usage.used,
        unreadable_directories: usage.unreadable,
        layers: layers.collect(),
    }
}

fn expected_triggers(joined: &Joined<'_>, disk: &Disk<'_>) -> Vec<ExpectedTriggerReport> {
    let entry = |expected: &ExpectedTrigger| ExpectedTriggerReport {
        layer: joined.name(&expected.layer),
        trigger: expected.trigger.into(),
        threshold: expected.threshold,
        acts_in: expected.acts_in,
        within_an_hour: expected.within_an_hour,
        preempted_by: expected.preempted_by.as_ref().map(|by| PreemptedByReport {
            layer: joined.name(&by.layer),
            trigger: by.trigger.into(),
            is_certain: by.is_certain,
        }),
    };
    disk.assessment.iter().flat_map(|found| &found.expected_triggers).map(entry).collect()
}

pub(super) fn read_at<T>(reading: &Reading<T>) -> Option<Timestamp> {
    match reading {
        Reading::Present { at, .. } => Some(*at),
        Reading::Absent(_) => None,
    }
}
