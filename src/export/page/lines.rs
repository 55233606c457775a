//! Which thresholds does the picture of a disk have? Those of its layers, each once.

use crate::assess::Quantiles;
use crate::model::Trigger;
use crate::report::{FilesystemReport, Report, Text, Unit, Word};
use crate::units::Bytes;
use std::collections::BTreeMap;

/// The kubelets' defaults give three lines; a node that says more than this in its picture is unreadable anyway.
const MOST_LINES: usize = 8;

/// A threshold that layers share.
pub(super) struct Line {
    pub(super) trigger: Word<Trigger>,
    /// It is crossed while less than this is available.
    pub(super) threshold: Bytes,
    /// Whether it is.
    pub(super) crossed: bool,
    /// When it is crossed.
    pub(super) forecast: Option<Quantiles>,
    /// Whose it is.
    pub(super) layers: Vec<Text>,
}

/// Every threshold on this disk that is counted in bytes, farthest first, with the layers that share it. A disk that is full is the
/// end of the bar and needs no line.
pub(super) fn lines(report: &Report, disk: &FilesystemReport) -> Vec<Line> {
    let mut lines: BTreeMap<(u64, &Word<Trigger>), Line> = BTreeMap::new();
    for (layer, found) in report.triggers_on(disk) {
        if !found.unit.is(Unit::Bytes) || found.trigger.is(Trigger::DiskFull) {
            continue;
        }
        let line = lines.entry((found.threshold, &found.trigger)).or_insert_with(|| Line {
            trigger: found.trigger.clone(),
            threshold: Bytes::new(found.threshold),
            crossed: found.is_crossed(),
            forecast: found.forecast.as_ref().map(|forecast| forecast.quantiles),
            layers: Vec::new(),
        });
        line.layers.push(layer.layer.clone());
    }
    lines.into_values().rev().take(MOST_LINES).collect()
}
