//! Which events are worth a line in the log? Changes from one snapshot to the next, each logged once.

use crate::assess::LayerAssessment;
use crate::model::Trigger;
use crate::sample::AbsenceReason;
use crate::snapshot::Snapshot;
use crate::verdict::{Verdict, Windows};
use std::collections::{BTreeMap, BTreeSet};

/// What was said last.
#[derive(Debug)]
pub(super) struct Changes {
    windows: Windows,
    started: bool,
    layers: BTreeSet<String>,
    /// Layer and source of everything that could not be read.
    lost: BTreeMap<(String, &'static str), String>,
    /// Layer and trigger of everything that is foreseen or crossed.
    foreseen: BTreeSet<(String, &'static str)>,
}

impl Changes {
    /// Nothing said yet.
    pub(super) fn new(windows: Windows) -> Self {
        Self { windows, started: false, layers: BTreeSet::new(), lost: BTreeMap::new(), foreseen: BTreeSet::new() }
    }

    /// Logs what `snapshot` has and the one before had not, and the reverse. Layers of the first snapshot have been printed.
    pub(super) fn log(&mut self, snapshot: &Snapshot) {
        self.log_layers(snapshot);
        self.log_sources(snapshot);
        let mut foreseen = BTreeSet::new();
        for layer in &snapshot.assessment.layers {
            self.log_triggers(layer, &mut foreseen);
        }
        for (layer, trigger) in self.foreseen.difference(&foreseen) {
            tracing::info!(layer, trigger, "no longer foreseen");
        }
        self.foreseen = foreseen;
        self.started = true;
    }

    fn log_layers(&mut self, snapshot: &Snapshot) {
        let now: BTreeSet<String> = snapshot.sample.layers.iter().map(|layer| layer.id.to_string()).collect();
        if self.started {
            for layer in now.difference(&self.layers) {
                tracing::info!(layer, "layer appeared");
            }
            for layer in self.layers.difference(&now) {
                tracing::info!(layer, "layer vanished");
            }
        }
        self.layers = now;
    }

    fn log_sources(&mut self, snapshot: &Snapshot) {
        let mut lost = BTreeMap::new();
        for layer in &snapshot.sample.layers {
            for source in &layer.sources {
                // Not asked yet is no loss.
                let absence = source.state.absence().filter(|absence| absence.reason != AbsenceReason::NotRead);
                if let Some(absence) = absence {
                    lost.insert((layer.id.to_string(), source.source.as_str()), absence.to_string());
                }
            }
        }
        for ((layer, source), reason) in lost.iter().filter(|(key, _)| !self.lost.contains_key(key)) {
            tracing::warn!(layer, source, reason, "source cannot be read");
        }
        for (layer, source) in self.lost.keys().filter(|key| !lost.contains_key(key)) {
            if self.layers.contains(layer) {
                tracing::info!(layer, source, "source is back");
            }
        }
        self.lost = lost;
    }

    fn log_triggers(&self, layer: &LayerAssessment, foreseen: &mut BTreeSet<(String, &'static str)>) {
        for trigger in &layer.triggers {
            // A full disk is full for every layer on it: one line for the disk.
            let whose = match trigger.trigger {
                Trigger::DiskFull => format!("filesystem {}", trigger.filesystem),
                _ => layer.id.to_string(),
            };
            let key = (whose, trigger.trigger.as_str());
            let verdict = Verdict::of_trigger(trigger, self.windows);
            let known = self.foreseen.contains(&key) || foreseen.contains(&key);
            // What was said is taken back only when it is far off again: a forecast trembles around any line.
            if verdict == Verdict::Ok || (verdict == Verdict::Warning && !known) {
                continue;
            }
            if !known {
                let (whose, what) = (&key.0, key.1);
                if trigger.headroom.is_some_and(|headroom| headroom < 0) {
                    tracing::warn!(layer = whose, trigger = what, "the line is crossed");
                } else {
                    let within = trigger.forecast.and_then(|forecast| forecast.p50).map(|span| span.to_string());
                    tracing::warn!(layer = whose, trigger = what, within, "foreseen");
                }
            }
            foreseen.insert(key);
        }
    }
}
