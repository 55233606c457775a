//! What outlives a restart of highwater? The state in pieces that are serialised one by one, and how it is restored from them.
//!
//! Persisted are the histories, what each kubelet remembers of its images, and the scores with the forecasts that are still open.
//! Not persisted: the last list of images, without which nothing counts as deleted across the restart, and those counts.

use super::images::LayerState;
use super::scores::{Level, Scores};
use crate::forecast::{History, Scorer, Tally};
use crate::layer::LayerId;
use crate::model::{Inventory, Trigger};
use crate::sample::FilesystemId;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is kept from one sample to the next: the history of each filesystem, what each kubelet remembers of its images, and
/// the forecasts that wait for the truth.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(super) histories: BTreeMap<FilesystemId, History>,
    pub(super) watched: BTreeMap<LayerId, LayerState>,
    pub(super) scores: Scores,
    pub(super) pending_restore: PendingRestore,
    pub(super) critical_images: Arc<[String]>,
}

impl State {
    /// Names the images whose loss is fatal to whoever runs this; `*` stands for any text. None are where nothing is said.
    #[must_use]
    pub fn with_critical_images(self, patterns: &Arc<[String]>) -> Self {
        Self { critical_images: Arc::clone(patterns), ..self }
    }
}

/// A piece of the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersistedState<'a> {
    /// What closed scorers have found out.
    Scores {
        /// For this trigger.
        trigger: Trigger,
        /// The counts.
        tally: Cow<'a, Tally>,
    },
    /// A scorer and the forecasts that it has open.
    Scorer {
        /// For this filesystem,
        filesystem: FilesystemId,
        /// this trigger,
        trigger: Trigger,
        /// and this level.
        threshold: u64,
        /// What it knows.
        scorer: Cow<'a, Scorer>,
    },
    /// The past of a filesystem.
    Filesystem {
        /// Which.
        id: FilesystemId,
        /// Its past.
        history: Cow<'a, History>,
    },
    /// What the kubelet of a layer remembers.
    Layer {
        /// Which.
        id: Cow<'a, LayerId>,
        /// Its records, which say of which kubelet they are.
        inventory: Cow<'a, Inventory>,
        /// Since when they could be followed.
        followed_since: Option<Timestamp>,
    },
}

impl PersistedState<'_> {
    /// The version of the histories in it; a file with another one is not read.
    pub const HISTORY_VERSION: u32 = History::VERSION;
}

/// What was restored and not claimed yet: the layer of a container has a name only once its runtime has answered.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingRestore {
    /// When it is dropped; `None`: nothing was assessed yet.
    until: Option<Timestamp>,
    histories: BTreeMap<FilesystemId, History>,
    layers: BTreeMap<LayerId, LayerState>,
}

/// Long enough for every runtime to be asked a few times.
const CLAIMED_WITHIN: Span = Span::from_secs(300);

impl State {
    /// The pieces to persist, the most valuable first: scores, filesystems, layers, outer ones before inner ones.
    pub fn persisted(&self) -> impl Iterator<Item = PersistedState<'_>> {
        let (open, closed) = self.scores.parts();
        let tallies = closed
            .iter()
            .map(|(trigger, tally)| PersistedState::Scores { trigger: *trigger, tally: Cow::Borrowed(tally) });
        let scorers = open.iter().map(|(level, scorer)| PersistedState::Scorer {
            filesystem: level.filesystem,
            trigger: level.trigger,
            threshold: level.threshold,
            scorer: Cow::Borrowed(scorer),
        });
        let histories = self.histories.iter().chain(&self.pending_restore.histories);
        let filesystems =
            histories.map(|(id, history)| PersistedState::Filesystem { id: *id, history: Cow::Borrowed(history) });
        let watched =
            self.watched.iter().chain(&self.pending_restore.layers).filter(|(_, watched)| watched.knows_a_kubelet());
        let mut watched: Vec<_> = watched.collect();
        watched.sort_by_key(|(id, _)| id.as_str().matches('/').count());
        let layers = watched.into_iter().map(|(id, watched)| PersistedState::Layer {
            id: Cow::Borrowed(id),
            inventory: Cow::Borrowed(watched.inventory()),
            followed_since: watched.followed_since(),
        });
        tallies.chain(scorers).chain(filesystems).chain(layers)
    }

    /// The state whose pieces these were at `at`.
    pub fn resume(pieces: impl IntoIterator<Item = PersistedState<'static>>, at: Timestamp) -> Self {
        let mut pending_restore = PendingRestore::default();
        let (mut open, mut closed) = (BTreeMap::new(), BTreeMap::new());
        for piece in pieces {
            match piece {
                PersistedState::Scores { trigger, tally } => {
                    closed.insert(trigger, tally.into_owned());
                }
                PersistedState::Scorer { filesystem, trigger, threshold, scorer } => {
                    open.insert(Level { filesystem, trigger, threshold }, scorer.into_owned());
                }
                PersistedState::Filesystem { id, history } => {
                    pending_restore.histories.insert(id, history.into_owned());
                }
                PersistedState::Layer { id, inventory, followed_since } => {
                    let watched = LayerState::resume(inventory.into_owned(), followed_since, at);
                    pending_restore.layers.insert(id.into_owned(), watched);
                }
            }
        }
        Self { scores: Scores::resume(open, closed), pending_restore, ..Self::default() }
    }

    /// What is left of it after a restart of the machine: how right the forecasts were. Filesystems may have other numbers, and
    /// no kubelet is the same.
    #[must_use]
    pub fn after_reboot(self) -> Self {
        Self { scores: self.scores.all_closed(), ..Self::default() }
    }
}

impl PendingRestore {
    /// Drops what was not claimed in time.
    pub(super) fn time_passes(&mut self, now: Timestamp) {
        let until = *self.until.get_or_insert(now + CLAIMED_WITHIN);
        if now > until {
            self.histories = BTreeMap::new();
            self.layers = BTreeMap::new();
        }
    }

    pub(super) fn history(&mut self, id: FilesystemId) -> Option<History> {
        self.histories.remove(&id)
    }

    pub(super) fn layer(&mut self, id: &LayerId) -> Option<LayerState> {
        self.layers.remove(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assess::{Assessment, assess};
    use crate::demo::Scenario;
    use crate::sample::{Reading, Sample};
    use crate::units::Bytes;

    const START: Timestamp = Timestamp::from_micros(1_795_500_000_000_000);

    /// Half an hour of the demonstration's node, twice a minute, and ten minutes more.
    fn samples() -> (Vec<Sample>, Vec<Sample>) {
        let mut seen: Vec<_> = Scenario::new(3, START).skip(12 * 30).step_by(6).take(80).collect();
        let later = seen.split_off(60);
        (seen, later)
    }

    fn persisted_of(samples: &[Sample]) -> (Vec<PersistedState<'static>>, Timestamp) {
        let state = samples.iter().fold(State::default(), |state, sample| assess(sample, state).1);
        // As with a file: written and read.
        let text = serde_json::to_string(&state.persisted().collect::<Vec<_>>()).unwrap();
        (serde_json::from_str(&text).unwrap(), samples.last().unwrap().at)
    }

    fn resumed(samples: &[Sample]) -> State {
        let (pieces, at) = persisted_of(samples);
        State::resume(pieces, at)
    }

    fn later(sample: &Sample, by: Span) -> Sample {
        let mut sample = sample.clone();
        sample.at = sample.at + by;
        for filesystem in &mut sample.filesystems {
            if let Reading::Present { at, .. } = &mut filesystem.space {
                *at = *at + by;
            }
        }
        for layer in &mut sample.layers {
            if let Reading::Present { at, .. } = &mut layer.images {
                *at = *at + by;
            }
        }
        sample
    }

    fn is_followed(assessment: &Assessment, layer: &LayerId) -> bool {
        let found = assessment.layers.iter().find(|found| found.id == *layer).unwrap();
        found.images.as_ref().unwrap().followed_since.is_some_and(|since| since < START + Span::from_secs(3_600))
    }

    fn worst(assessment: &Assessment) -> Option<f64> {
        // Thresholds that are crossed already need no forecast.
        let forecasts = assessment.layers.iter().flat_map(|layer| &layer.triggers).filter_map(|found| found.forecast);
        let open = forecasts.filter(|forecast| *forecast != crate::forecast::Forecast::REACHED);
        open.map(|forecast| forecast.within(crate::forecast::Horizon::HalfHour).get()).max_by(f64::total_cmp)
    }

    #[test]
    fn a_layer_that_gets_its_name_late_has_its_memory_all_the_same_but_not_too_late() {
        let (seen, next) = samples();
        let with_kubelet = next[0].layers.iter().rev().find(|layer| layer.kubelet.is_some()).unwrap().id.clone();
        let nameless = |sample: &Sample| {
            let mut sample = sample.clone();
            sample.layers.truncate(1);
            sample
        };
        let first = |rounds: usize| {
            let state = next[..rounds].iter().fold(resumed(&seen), |state, sample| assess(&nameless(sample), state).1);
            // What is not claimed yet is persisted all the same.
            let layers = state.persisted().filter(|piece| matches!(piece, PersistedState::Layer { .. })).count();
            (layers > 1, is_followed(&assess(&next[rounds], state).0, &with_kubelet))
        };
        assert_eq!(first(2), (true, true));
        assert_eq!(first(10), (true, true));
        assert_eq!(first(12), (false, false));
    }

    #[test]
    fn a_long_gap_is_not_bridged_and_raises_no_alarm() {
        let (mut seen, mut next) = samples();
        // Small jobs come and go, far from any threshold.
        for (index, sample) in (0..).zip(seen.iter_mut().chain(&mut next)) {
            if let Reading::Present { value, .. } = &mut sample.filesystems[0].space {
                value.available = Bytes::from_mib(120 * 1_024 - 512 * (index % 10));
            }
        }
        for gap in [Span::from_secs(1_200), Span::from_secs(86_400), Span::from_secs(30 * 86_400)] {
            let mut state = resumed(&seen);
            for (round, sample) in next.iter().enumerate() {
                let (assessment, after) = assess(&later(sample, gap), state);
                assert_eq!(assessment.filesystems[0].fill_rate.is_some(), round >= 2, "{round} after {gap}");
                assert_eq!(worst(&assessment).is_some(), round >= 2, "{round} after {gap}");
                assert!(worst(&assessment).unwrap_or(0.0) < 0.3, "{:?} at {round} after {gap}", worst(&assessment));
                let tallies: Vec<_> = assessment.scores.values().collect();
                assert!(tallies.iter().all(|tally| tally.hit + tally.missed + tally.false_alarm == 0));
                state = after;
            }
        }
    }

    #[test]
    fn a_short_gap_is_bridged() {
        let (seen, next) = samples();
        let (assessment, _) = assess(&later(&next[0], Span::from_secs(20)), resumed(&seen));
        assert!(assessment.filesystems[0].fill_rate.is_some());
        assert!(worst(&assessment).is_some());
    }

    #[test]
    fn a_filesystem_of_another_size_and_a_kubelet_that_restarted_begin_anew() {
        let (seen, next) = samples();
        let (pieces, at) = persisted_of(&seen);
        let pieces = pieces.into_iter().map(|piece| match piece {
            PersistedState::Filesystem { id, history } => {
                let capacity = id.capacity.saturating_add(Bytes::new(4_096));
                PersistedState::Filesystem { id: FilesystemId { capacity, ..id }, history }
            }
            other => other,
        });
        let mut restarted = next[0].clone();
        let layer = restarted.layers.iter_mut().rev().find(|layer| layer.kubelet.is_some()).unwrap();
        layer.kubelet.as_mut().unwrap().started_at = at;
        let id = layer.id.clone();
        let (assessment, _) = assess(&restarted, State::resume(pieces, at));
        assert_eq!(assessment.filesystems[0].fill_rate, None);
        let followed_anew = |assessment: &Assessment| {
            let images = assessment.layers.iter().find(|layer| layer.id == id).unwrap().images.as_ref().unwrap();
            images.followed_since == Some(images.listed_at)
        };
        assert!(followed_anew(&assessment));
        assert!(!followed_anew(&assess(&next[0], resumed(&seen)).0));
    }
}
