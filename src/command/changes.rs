//! Which events are worth a line in the log? Changes from one snapshot to the next, each logged once.

use crate::assess::{LayerAssessment, Observed};
use crate::model::{GcPolicy, ThresholdValue, Trigger};
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
    /// The settings of each layer in words; `None` while they cannot be read.
    policies: BTreeMap<String, Option<String>>,
    /// Bursts of deletions, images and bytes that were seen in each layer, by what deleted them.
    deleted: BTreeMap<(String, Option<Trigger>), Observed>,
    /// Layer and trigger of everything that is expected or crossed.
    expected: BTreeSet<(String, &'static str)>,
}

impl Changes {
    /// Nothing said yet.
    pub(super) fn new(windows: Windows) -> Self {
        Self {
            windows,
            started: false,
            layers: BTreeSet::new(),
            lost: BTreeMap::new(),
            policies: BTreeMap::new(),
            deleted: BTreeMap::new(),
            expected: BTreeSet::new(),
        }
    }

    /// Logs what `snapshot` has and the one before had not, and the reverse. Layers of the first snapshot have been printed.
    pub(super) fn log(&mut self, snapshot: &Snapshot) {
        self.log_layers(snapshot);
        self.log_sources(snapshot);
        self.log_policies(snapshot);
        self.log_deletions(snapshot);
        let mut expected = BTreeSet::new();
        for layer in &snapshot.assessment.layers {
            self.log_triggers(layer, &mut expected);
        }
        for (layer, trigger) in self.expected.difference(&expected) {
            tracing::info!(layer, trigger, "no longer expected");
        }
        self.expected = expected;
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

    /// A change of settings; settings that cannot be read are a lost source, which is said there.
    fn log_policies(&mut self, snapshot: &Snapshot) {
        let mut policies = BTreeMap::new();
        for layer in &snapshot.assessment.layers {
            let name = layer.id.to_string();
            let before = self.policies.get(&name).cloned().flatten();
            let now = layer.policy.as_ref().map(settings);
            if let (Some(before), Some(now)) = (&before, &now)
                && before != now
            {
                tracing::info!(layer = name, before, now, "settings changed");
            }
            policies.insert(name, now.or(before));
        }
        self.policies = policies;
    }

    fn log_deletions(&mut self, snapshot: &Snapshot) {
        let mut deleted = BTreeMap::new();
        for layer in &snapshot.assessment.layers {
            for (trigger, observed) in &layer.observed {
                let key = (layer.id.to_string(), *trigger);
                let before = self.deleted.get(&key).copied().unwrap_or_default();
                if observed.images > before.images {
                    let images = observed.images - before.images;
                    let bytes = observed.bytes.get().saturating_sub(before.bytes.get());
                    let by = trigger.map_or("unknown", Trigger::as_str);
                    tracing::warn!(layer = key.0, trigger = by, images, bytes, "images were deleted");
                }
                deleted.insert(key, *observed);
            }
        }
        self.deleted = deleted;
    }

    fn log_triggers(&self, layer: &LayerAssessment, expected: &mut BTreeSet<(String, &'static str)>) {
        for trigger in &layer.triggers {
            // A full disk is full for every layer on it: one line for the disk.
            let whose = match trigger.trigger {
                Trigger::DiskFull => format!("filesystem {}", trigger.filesystem),
                _ => layer.id.to_string(),
            };
            let key = (whose, trigger.trigger.as_str());
            let verdict = Verdict::of(trigger.headroom, trigger.action.and_then(|action| action.p50), self.windows);
            let known = self.expected.contains(&key) || expected.contains(&key);
            // What was said is taken back only when it is far off again: a forecast trembles around any threshold.
            if verdict == Verdict::Ok || (verdict == Verdict::Warning && !known) {
                continue;
            }
            if !known {
                let (whose, what) = (&key.0, key.1);
                if trigger.headroom.is_some_and(|headroom| headroom < 0) {
                    tracing::warn!(layer = whose, trigger = what, "threshold crossed");
                } else {
                    let within = trigger.forecast.and_then(|forecast| forecast.p50).map(|span| span.to_string());
                    tracing::warn!(layer = whose, trigger = what, within, "expected");
                }
            }
            expected.insert(key);
        }
    }
}

/// The settings that decide what is deleted, in few words.
fn settings(policy: &GcPolicy) -> String {
    let gc = &policy.image_gc;
    let mut words = if gc.enabled {
        format!("image GC {}/{}", gc.high.value.get(), gc.low.value.get())
    } else {
        "image GC off".to_owned()
    };
    for threshold in &policy.eviction_hard {
        let value = match threshold.value {
            ThresholdValue::Quantity(quantity) => quantity.to_string(),
            ThresholdValue::Fraction(fraction) => format!("{:.1}%", fraction * 100.0),
        };
        words = format!("{words}, {}<{value}", threshold.signal.as_str());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assess::{State, assess};
    use crate::command::log::capture::Captured;
    use crate::demo::Scenario;
    use crate::snapshot::AgentHealth;
    use crate::time::{Span, Timestamp};
    use crate::units::{Bytes, Percent};

    /// What is logged at this snapshot.
    fn logged(changes: &mut Changes, snapshot: &Snapshot) -> String {
        let captured = Captured::default();
        let written = captured.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || written.clone());
        tracing::subscriber::with_default(subscriber.finish(), || changes.log(snapshot));
        captured.text()
    }

    fn node() -> Snapshot {
        let mut scenario = Scenario::new(1, Timestamp::from_micros(0));
        let sample = scenario.advance();
        let (assessment, _) = assess(&sample, State::default());
        let agent = AgentHealth::none(Span::from_secs(5));
        Snapshot { sample, assessment, agent }
    }

    fn changes() -> Changes {
        Changes::new(Windows { critical: Span::from_secs(60), warning: Span::from_secs(120) })
    }

    #[test]
    fn settings_that_change_are_logged_once_and_not_because_they_could_not_be_read() {
        let (mut changes, mut snapshot) = (changes(), node());
        assert!(!logged(&mut changes, &snapshot).contains("settings"));
        let policy = snapshot.assessment.layers[0].policy.take();
        assert!(!logged(&mut changes, &snapshot).contains("settings"));
        snapshot.assessment.layers[0].policy = policy;
        assert!(!logged(&mut changes, &snapshot).contains("settings"));
        let gc = &mut snapshot.assessment.layers[0].policy.as_mut().unwrap().image_gc;
        gc.high.value = Percent::new(77);
        let text = logged(&mut changes, &snapshot);
        assert!(text.contains(" INFO settings changed layer=\"host\" before=\"image GC 85/80"), "{text}");
        assert!(text.contains("now=\"image GC 77/80, "), "{text}");
        assert!(!logged(&mut changes, &snapshot).contains("settings"));
    }

    #[test]
    fn deletions_that_were_seen_are_logged_with_what_is_new() {
        let (mut changes, mut snapshot) = (changes(), node());
        let seen = |images, bytes| Observed { runs: 1, images, bytes: Bytes::new(bytes) };
        for (observed, line) in [
            (seen(3, 300), "images were deleted layer=\"host\" trigger=\"image_gc\" images=3 bytes=300"),
            (seen(5, 700), "images were deleted layer=\"host\" trigger=\"image_gc\" images=2 bytes=400"),
        ] {
            snapshot.assessment.layers[0].observed.insert(Some(Trigger::ImageGc), observed);
            let text = logged(&mut changes, &snapshot);
            assert!(text.contains(line), "{text}");
            assert!(!logged(&mut changes, &snapshot).contains("deleted"));
        }
    }

    #[test]
    fn layers_that_come_and_go_are_logged() {
        let (mut changes, mut snapshot) = (changes(), node());
        assert!(!logged(&mut changes, &snapshot).contains("appeared"), "the first table has them");
        let gone = snapshot.sample.layers.pop().unwrap();
        assert!(logged(&mut changes, &snapshot).contains(&format!("layer vanished layer=\"{}\"", gone.id)));
        snapshot.sample.layers.push(gone);
        assert!(logged(&mut changes, &snapshot).contains("layer appeared"));
    }
}
