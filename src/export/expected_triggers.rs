//! How is shown what expected_triggers first on a disk? The structures of the JSON, and the same in words.

use super::phrase;
use super::view::{FilesystemView, View};
use crate::assess::ExpectedTrigger;
use crate::forecast::Horizon;
use crate::layer::LayerId;
use crate::model::Trigger;
use crate::time::Span;
use crate::units::Ratio;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExpectedTriggerEntry {
    pub(crate) layer: String,
    pub(crate) trigger: String,
    pub(crate) threshold: u64,
    pub(crate) acts_in_seconds: Option<f64>,
    pub(crate) probability_1h: Option<f64>,
    pub(crate) preempted_by: Option<PreemptedByEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PreemptedByEntry {
    pub(crate) layer: String,
    pub(crate) trigger: String,
    pub(crate) is_certain: bool,
}

/// The expected_triggers on a disk, soonest first.
pub(super) fn expected_triggers(view: &View<'_>, disk: &FilesystemView<'_>) -> Vec<ExpectedTriggerEntry> {
    let name = |id: &LayerId| {
        let layer = view.layers.iter().find(|layer| layer.sample.id == *id);
        layer.map_or_else(|| id.to_string(), |layer| layer.name.to_string())
    };
    let entry = |strike: &ExpectedTrigger| ExpectedTriggerEntry {
        layer: name(&strike.layer),
        trigger: strike.trigger.to_string(),
        threshold: strike.threshold,
        acts_in_seconds: strike.acts_in.map(Span::as_secs_f64),
        probability_1h: strike.within_an_hour.map(Ratio::get),
        preempted_by: strike.preempted_by.as_ref().map(|spared| PreemptedByEntry {
            layer: name(&spared.layer),
            trigger: spared.trigger.to_string(),
            is_certain: spared.is_certain,
        }),
    };
    disk.assessment.iter().flat_map(|found| &found.expected_triggers).map(entry).collect()
}

/// One of them in words: `image GC of host: in 18m, 81 % within 1h; spared by image GC of host/ci/job`.
pub(super) fn line(strike: &ExpectedTriggerEntry) -> String {
    let words = |name: &str| {
        let trigger = Trigger::ALL.into_iter().find(|trigger| trigger.as_str() == name);
        trigger.map_or("unknown trigger", phrase::trigger)
    };
    // The full disk is everybody's.
    let of = if strike.trigger == Trigger::DiskFull.as_str() { String::new() } else { format!(" of {}", strike.layer) };
    let hour = Horizon::Hour.as_str();
    let when = match (strike.acts_in_seconds, strike.probability_1h.map(|chance| phrase::chance(Ratio::new(chance)))) {
        (_, None) => "unknown yet".to_owned(),
        (None, Some(chance)) => format!("not foreseen, {chance} within {hour}"),
        (Some(seconds), Some(chance)) => {
            format!("in {}, {chance} within {hour}", phrase::about(Span::from_secs_f64(seconds)))
        }
    };
    let spared = strike.preempted_by.as_ref().map_or_else(String::new, |spared| {
        let verb = if spared.is_certain { "spared by" } else { "perhaps spared by" };
        format!("; {verb} {} of {}", words(&spared.trigger), spared.layer)
    });
    format!("{}{of}: {when}{spared}", words(&strike.trigger))
}
