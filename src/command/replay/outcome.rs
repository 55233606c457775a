//! When were the images deleted, and what was available afterwards? Narrows a burst of deletions down by the level of the disk, which is
//! measured more often than the images are listed. Pure.

use crate::model::image_gc::Available;
use crate::model::schedule::Expected;
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, Ratio};
use serde::Serialize;

/// The levels of a disk from sample to sample, oldest first; as many as are needed between two lists.
#[derive(Debug, Clone, Default)]
pub(super) struct Levels(Vec<(Timestamp, Bytes)>);

/// What the samples tell of one burst of deletions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AvailableAfter {
    /// It came after this.
    pub(super) earliest: Timestamp,
    /// It came before this.
    pub(super) latest: Timestamp,
    /// What was available then.
    pub(super) available: Bytes,
    /// Whether a rise of the level tells it; otherwise only the lists do.
    pub(super) rose: bool,
}

/// The predicted level and the one that came; all in bytes available.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct LevelScore {
    pub(super) predicted_least: u64,
    pub(super) predicted_most: u64,
    pub(super) seen: u64,
    /// How far it lies outside of what was predicted, as a share of the capacity; 0 within.
    pub(super) off_ratio: f64,
}

/// Samples every second for the longest time between two lists that says anything.
const MOST: usize = 1_024;

impl Levels {
    /// Takes note of a level; of too many the oldest is forgotten.
    pub(super) fn note(&mut self, at: Timestamp, available: Bytes) {
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push((at, available));
    }

    /// Forgets what came before `at`, but for the last one: the next rise may begin there.
    pub(super) fn forget_before(&mut self, at: Timestamp) {
        let before = self.0.partition_point(|(seen, _)| *seen <= at);
        self.0.drain(..before.saturating_sub(1));
    }

    /// The outcome of a burst between two lists, in which images of so many bytes were deleted. Told by the first rise that is as much as
    /// half of these; without one any time in between is possible. `None` where no level is known.
    pub(super) fn outcome(&self, after: Timestamp, before: Timestamp, gone: Bytes) -> Option<AvailableAfter> {
        let enough = Bytes::new((gone.get() / 2).max(1));
        let risen = |from: Bytes, to: Bytes| to.saturating_sub(from);
        let mut steps = self.0.iter().zip(self.0.iter().skip(1)).zip(self.0.iter().skip(2).map(Some).chain([None]));
        let found = steps.find(|(((_, low), (to, high)), _)| *to > after && risen(*low, *high) >= enough);
        let Some((((from, low), (to, high)), next)) = found else {
            return Some(AvailableAfter { earliest: after, latest: before, available: self.0.last()?.1, rose: false });
        };
        // The sample may have come in the midst of it; what frees even more at once is something else.
        let rest = next.filter(|(_, next)| risen(*high, *next) <= risen(*low, *high)).map(|(_, next)| *next);
        let available = rest.map_or(*high, |rest| rest.max(*high));
        Some(AvailableAfter { earliest: *from.max(&after), latest: *to.min(&before), available, rose: true })
    }
}

impl AvailableAfter {
    /// How much later it came than predicted, negative where it came sooner; zero where both may be the same moment.
    pub(super) fn late(&self, expected: Expected) -> Span {
        if self.earliest > expected.latest {
            self.earliest.since(expected.latest)
        } else if self.latest < expected.earliest {
            self.latest.since(expected.earliest)
        } else {
            Span::ZERO
        }
    }

    /// The level against the predicted one.
    pub(super) fn level(&self, predicted: Available, capacity: Bytes) -> LevelScore {
        let below = predicted.least.saturating_sub(self.available);
        let above = self.available.saturating_sub(predicted.most);
        let off = below.saturating_add(above).as_f64() / capacity.as_f64().max(1.0);
        LevelScore {
            predicted_least: predicted.least.get(),
            predicted_most: predicted.most.get(),
            seen: self.available.get(),
            off_ratio: Ratio::new(off).get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn levels(available: &[(i64, u64)]) -> Levels {
        let mut levels = Levels::default();
        for (seconds, bytes) in available {
            levels.note(at(*seconds), Bytes::new(*bytes));
        }
        levels
    }

    #[test]
    fn the_first_rise_that_is_enough_tells_when() {
        // Somebody gives back even more later.
        let levels = levels(&[(0, 100), (5, 90), (10, 190), (15, 170), (20, 925)]);
        let outcome = levels.outcome(at(0), at(30), Bytes::new(200)).unwrap();
        assert_eq!(outcome, AvailableAfter { earliest: at(5), latest: at(10), available: Bytes::new(190), rose: true });
        // Or the rest of it comes then.
        let two = self::levels(&[(5, 90), (10, 190), (15, 240)]).outcome(at(0), at(30), Bytes::new(150)).unwrap();
        assert_eq!(two, AvailableAfter { earliest: at(5), latest: at(10), available: Bytes::new(240), rose: true });
        let outcome = levels.outcome(at(12), at(30), Bytes::new(200)).unwrap();
        assert_eq!(
            outcome,
            AvailableAfter { earliest: at(15), latest: at(20), available: Bytes::new(925), rose: true }
        );
        // Too little for what went: anything else may have been removed then.
        let outcome = levels.outcome(at(0), at(30), Bytes::new(3_000)).unwrap();
        assert_eq!(
            outcome,
            AvailableAfter { earliest: at(0), latest: at(30), available: Bytes::new(925), rose: false }
        );
        assert_eq!(Levels::default().outcome(at(0), at(30), Bytes::new(1)), None);
    }

    #[test]
    fn what_was_is_forgotten_but_for_where_it_ended() {
        let mut levels = levels(&[(0, 100), (5, 500), (10, 200)]);
        levels.forget_before(at(12));
        levels.note(at(15), Bytes::new(260));
        let outcome = levels.outcome(at(8), at(20), Bytes::new(50)).unwrap();
        assert_eq!((outcome.earliest, outcome.latest, outcome.available), (at(10), at(15), Bytes::new(260)));
        for seconds in 20..5_000 {
            levels.note(at(seconds), Bytes::ZERO);
        }
        assert_eq!(levels.0.len(), MOST);
    }

    #[test]
    fn only_what_lies_outside_of_the_bounds_is_off() {
        let outcome = AvailableAfter { earliest: at(100), latest: at(105), available: Bytes::new(300), rose: true };
        let expected = |earliest, latest| Expected { earliest: at(earliest), at: at(earliest), latest: at(latest) };
        assert_eq!(outcome.late(expected(104, 110)), Span::ZERO);
        assert_eq!(outcome.late(expected(90, 97)), Span::from_secs(3));
        assert_eq!(outcome.late(expected(109, 110)), Span::from_secs(-4));
        let off = |least, most| {
            let predicted = Available { least: Bytes::new(least), most: Bytes::new(most) };
            outcome.level(predicted, Bytes::new(1_000)).off_ratio
        };
        assert!(off(250, 300).abs() < 1e-9);
        assert!((off(310, 400) - 0.01).abs() < 1e-9);
        assert!((off(100, 280) - 0.02).abs() < 1e-9);
    }
}
