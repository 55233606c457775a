//! How right were the forecasts that were given earlier? One scorer for each level of each filesystem, however many layers
//! share it; what they found out is kept by trigger.

use super::assessment::TriggerAssessment;
use crate::forecast::{Scorer, Tally};
use crate::model::Trigger;
use crate::sample::FilesystemId;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// The scorers of the levels that are watched, and the sums of those that were.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Scores {
    open: BTreeMap<Level, Scorer>,
    /// What scorers that are no more have found out, so that no sum ever falls.
    closed: BTreeMap<Trigger, Tally>,
}

/// One line on one filesystem. Layers of the same settings share it; a resize or another setting makes it another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Level {
    pub(super) filesystem: FilesystemId,
    pub(super) trigger: Trigger,
    pub(super) threshold: u64,
}

/// So many levels are scored at a time, 8 KiB each: five triggers with a handful of settings. Whoever may run a kubelet with
/// settings of his own in a container makes levels, so that those of the outer layers come first.
const MOST: usize = 64;

impl Scores {
    /// Takes the forecasts given at `now`; `triggers` outermost layers first. A level that could not be forecast for
    /// [`Scorer::SILENCE`] is closed.
    pub(super) fn record<'a>(&mut self, now: Timestamp, triggers: impl Iterator<Item = &'a TriggerAssessment>) {
        let mut seen = BTreeMap::new();
        for trigger in triggers {
            let level =
                Level { filesystem: trigger.filesystem, trigger: trigger.trigger, threshold: trigger.threshold };
            if seen.len() < MOST {
                seen.entry(level).or_insert(trigger.forecast);
            }
        }
        // Those that are not seen any more wait for their time as long as they are few.
        let room = MOST.saturating_sub(seen.len());
        let mut waiting = 0;
        let closed = self.open.extract_if(.., |level, scorer| {
            if seen.contains_key(level) {
                return false;
            }
            waiting += 1;
            waiting > room || scorer.last().is_none_or(|last| now.since(last) > Scorer::SILENCE)
        });
        for (level, scorer) in closed {
            self.closed.entry(level.trigger).or_default().add(scorer.tally());
        }
        for (level, forecast) in seen {
            self.open.entry(level).or_default().record(now, forecast.as_ref());
        }
    }

    /// The open scorers, and the sums of those that are no more.
    pub(super) const fn parts(&self) -> (&BTreeMap<Level, Scorer>, &BTreeMap<Trigger, Tally>) {
        (&self.open, &self.closed)
    }

    /// What was in [`Self::parts`].
    pub(super) const fn resume(open: BTreeMap<Level, Scorer>, closed: BTreeMap<Trigger, Tally>) -> Self {
        Self { open, closed }
    }

    /// The sums alone, with nothing open.
    pub(super) fn all_closed(self) -> Self {
        Self { closed: self.by_trigger(), open: BTreeMap::new() }
    }

    /// What was found out, by trigger.
    pub(super) fn by_trigger(&self) -> BTreeMap<Trigger, Tally> {
        let mut sums = self.closed.clone();
        for (level, scorer) in &self.open {
            sums.entry(level.trigger).or_default().add(scorer.tally());
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Forecast;
    use crate::time::Span;
    use crate::units::{Bytes, Inodes, Ratio};

    fn filesystem(dev: u64) -> FilesystemId {
        FilesystemId { dev, capacity: Bytes::from_gib(100), files: Inodes::new(1_000) }
    }

    /// A trigger at `threshold` whose line will surely be crossed soon, or has been.
    fn trigger(dev: u64, threshold: u64, crossed: bool) -> TriggerAssessment {
        let soon = Forecast { probability: [Ratio::new(0.9); 4], ..Forecast::REACHED };
        TriggerAssessment {
            trigger: Trigger::ImageGc,
            signal: None,
            filesystem: filesystem(dev),
            threshold,
            headroom: None,
            forecast: Some(if crossed { Forecast::REACHED } else { soon }),
            action: None,
        }
    }

    fn minute(number: i64) -> Timestamp {
        Timestamp::from_micros(0) + Span::from_secs(60 * number)
    }

    fn hits(scores: &Scores) -> u64 {
        scores.by_trigger().get(&Trigger::ImageGc).map_or(0, |tally| tally.hit)
    }

    #[test]
    fn layers_that_share_a_line_are_one_crossing_and_another_line_another() {
        let mut scores = Scores::default();
        for number in 0..=30 {
            let shared = trigger(1, 15, number == 30);
            let other_line = trigger(1, 10, number == 30);
            let other_disk = trigger(2, 15, false);
            scores.record(minute(number), [&shared, &shared, &other_line, &other_disk].into_iter());
        }
        assert_eq!(hits(&scores), 2);
        assert_eq!(scores.open.len(), 3);
    }

    #[test]
    fn what_a_vanished_level_has_found_out_stays_counted() {
        let mut scores = Scores::default();
        for number in 0..=30 {
            scores.record(minute(number), [&trigger(1, 15, number == 30)].into_iter());
        }
        // Gone for a while it may come back, gone for longer it is let go.
        scores.record(minute(34), std::iter::empty());
        assert_eq!((scores.open.len(), hits(&scores)), (1, 1));
        scores.record(minute(36), std::iter::empty());
        assert_eq!((scores.open.len(), hits(&scores)), (0, 1));
    }

    #[test]
    fn a_filesystem_that_cannot_be_measured_for_a_moment_is_scored_on() {
        let mut scores = Scores::default();
        for number in 0..=30 {
            let mut seen = trigger(1, 15, number == 30);
            seen.forecast = seen.forecast.filter(|_| number % 7 != 3);
            scores.record(minute(number), [&seen].into_iter().filter(|_| number % 7 != 5));
        }
        assert_eq!(hits(&scores), 1);
    }

    #[test]
    fn whoever_makes_many_levels_takes_no_more_room_than_the_limit() {
        let mut scores = Scores::default();
        let host = trigger(1, 7, false);
        for number in 0..40u64 {
            let many: Vec<_> = (0..500).map(|line| trigger(1, 1_000 * number + line + 8, false)).collect();
            let now = minute(i64::try_from(number).expect("small"));
            scores.record(now, std::iter::once(&host).chain(&many));
            assert!(scores.open.len() <= MOST, "{}", scores.open.len());
        }
        scores.record(minute(40), [&trigger(1, 7, true)].into_iter());
        assert_eq!(hits(&scores), 1, "the host's own line was watched all the time");
    }
}
