//! What does a sample mean? The one place where what was seen, the kubelet's rules and the forecast meet; pure.

use crate::forecast::{Forecast, History, Observation, Outlook};
use crate::layer::LayerId;
use crate::model::{GcPolicy, Release, Signal, Trigger, schedule, triggers, usage};
use crate::sample::{FilesystemId, LayerSample, Reading, Sample};
use crate::time::Timestamp;
use crate::units::{ByteRate, Bytes, Inodes, Percent};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one sample means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// One for each filesystem of the sample, in its order.
    pub filesystems: Vec<FilesystemAssessment>,
    /// One for each layer of the sample, in its order.
    pub layers: Vec<LayerAssessment>,
}

/// What is known of one filesystem beyond its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilesystemAssessment {
    /// Which.
    pub id: FilesystemId,
    /// The kubelet's integer percentage; `None` where the filesystem could not be measured.
    pub kubelet_percent: Option<Percent>,
    /// df's Use%.
    pub df_percent: Option<Percent>,
    /// Net rate at which it fills; negative when emptying; `None` before there are enough samples.
    pub fill_rate: Option<ByteRate>,
}

/// What is known of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerAssessment {
    /// Which.
    pub id: LayerId,
    /// The settings in force: `None` while a kubelet runs whose settings cannot be read, and in an inner layer without a kubelet,
    /// where nobody collects. A machine without any kubelet of its own is given the defaults that one would have.
    pub policy: Option<GcPolicy>,
    /// When the kubelet looks next whether images must go; `None` without a kubelet or where its loop is off.
    pub next_gc_check: Option<Timestamp>,
    /// Every trigger that is armed in this layer. What is not in the list cannot strike.
    pub triggers: Vec<TriggerAssessment>,
}

/// How near one trigger is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerAssessment {
    /// Which.
    pub trigger: Trigger,
    /// The eviction signal with the highest threshold, where an eviction signal is behind it.
    pub signal: Option<Signal>,
    /// The filesystem it watches.
    pub filesystem: FilesystemId,
    /// Bytes (or inodes, for inode_eviction) available below which it strikes.
    pub strikes_below: u64,
    /// Bytes (or inodes) that can still be used up before that; negative once crossed; `None` where the filesystem
    /// could not be measured.
    pub headroom: Option<i64>,
    /// When the line is crossed; `None` while too little has been seen. The kubelet acts at its next check after that.
    pub forecast: Option<Forecast>,
}

/// What is kept from one sample to the next: the history of each filesystem.
#[derive(Debug, Clone, Default)]
pub struct State {
    histories: BTreeMap<FilesystemId, History>,
}

/// What `sample` means, given what was seen before. Filesystems that are not in the sample any more are forgotten.
pub fn assess(sample: &Sample, state: State) -> (Assessment, State) {
    let mut before = state.histories;
    let mut histories = BTreeMap::new();
    let mut outlooks = BTreeMap::new();
    let mut filesystems = Vec::with_capacity(sample.filesystems.len());
    for filesystem in &sample.filesystems {
        let mut history = before.remove(&filesystem.id).unwrap_or_default();
        if let Reading::Present { value, at } = &filesystem.space {
            history.observe(Observation {
                at: *at,
                capacity: value.capacity,
                available: value.available,
                files: value.files,
                files_free: value.files_free,
            });
        }
        let space = filesystem.space.value();
        filesystems.push(FilesystemAssessment {
            id: filesystem.id,
            kubelet_percent: space.and_then(|space| usage::kubelet_percent(space.capacity, space.available)),
            df_percent: space.and_then(usage::df_percent),
            // A rate that is older than the last failed measurement would be an invented one.
            fill_rate: space.and_then(|_| history.fill_rate()),
        });
        if space.is_some() {
            outlooks.insert(filesystem.id, history.outlook());
        }
        histories.insert(filesystem.id, history);
    }
    let layers = sample.layers.iter().map(|layer| assess_layer(layer, sample, &outlooks)).collect();
    (Assessment { filesystems, layers }, State { histories })
}

fn assess_layer(layer: &LayerSample, sample: &Sample, outlooks: &BTreeMap<FilesystemId, Outlook>) -> LayerAssessment {
    let kubelet = layer.kubelet.as_ref();
    let release = kubelet
        .and_then(|kubelet| kubelet.version.as_ref())
        .map_or(Release::Unknown, |version| Release::parse(version.as_str()));
    let config = kubelet.and_then(|kubelet| kubelet.config.value());
    let outermost = || sample.layers.iter().filter(|layer| layer.parent.is_none());
    let assumed = layer.parent.is_none() && outermost().all(|layer| layer.kubelet.is_none());
    let policy = (config.is_some() || assumed).then(|| GcPolicy::effective(config, release));
    let measured = |id: &Reading<FilesystemId>| {
        let id = *id.value()?;
        let filesystem = sample.filesystems.iter().find(|filesystem| filesystem.id == id)?;
        Some((id, filesystem.space.value()?))
    };
    let (imagefs, nodefs) = (measured(&layer.imagefs), measured(&layer.nodefs));
    let levels = match &policy {
        Some(policy) => triggers::levels(policy, imagefs, nodefs),
        None => triggers::disk_full(imagefs.or(nodefs)).into_iter().collect(),
    };
    let triggers = levels
        .into_iter()
        .map(|level| {
            let outlook = outlooks.get(&level.filesystem);
            let forecast = match level.trigger {
                Trigger::InodeEviction => outlook.and_then(|o| o.forecast_inodes(Inodes::new(level.strikes_below))),
                _ => outlook.and_then(|o| o.forecast(Bytes::new(level.strikes_below))),
            };
            TriggerAssessment {
                trigger: level.trigger,
                signal: level.signal,
                filesystem: level.filesystem,
                strikes_below: level.strikes_below,
                headroom: level.headroom,
                forecast,
            }
        })
        .collect();
    let loop_runs = policy.as_ref().is_some_and(|policy| policy.image_gc.enabled);
    let next_gc_check =
        kubelet.filter(|_| loop_runs).map(|kubelet| schedule::next_check(kubelet.started_at, sample.at, release).at);
    LayerAssessment { id: layer.id.clone(), policy, next_gc_check, triggers }
}
