//! What did the level do over the last day? One block a minute, in millionths of the capacity, so that a day fits into a few KiB.
//!
//! Holes stay holes: nothing is invented for minutes without a sample.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A day of minutes: patterns of a CI node repeat daily at most, and a day fits the budget of 64 KiB twice.
pub(super) const MOST_BLOCKS: usize = 1_440;
/// Length of a block.
pub(super) const BLOCK_SECONDS: f64 = 60.0;
const PARTS: f64 = 1_000_000.0;

/// Newest and lowest level within a minute, in millionths of the capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Block(i32, i32);

/// The blocks, oldest first; the newest may still be open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Minutes {
    /// Number of the newest block on the history's own clock.
    newest: u64,
    blocks: VecDeque<Option<Block>>,
}

/// A block as fractions of the capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Minute {
    /// The newest level.
    pub(super) level: f64,
    /// The lowest level.
    pub(super) low: f64,
}

impl Minutes {
    /// Adds a level, a fraction of the capacity, seen in block number `number`. Numbers never fall.
    pub(super) fn push(&mut self, number: u64, level: f64) {
        let parts = to_parts(level);
        if let (true, Some(Some(block))) = (number == self.newest, self.blocks.back_mut()) {
            *block = Block(parts, parts.min(block.1));
            return;
        }
        let missing = usize::try_from(number.saturating_sub(self.newest).saturating_sub(1)).unwrap_or(usize::MAX);
        if missing >= MOST_BLOCKS {
            self.blocks.clear();
        } else if let Some(Some(before)) = self.blocks.back().copied() {
            // A single block that a sample just missed is no hole.
            let filler = (missing == 1).then_some(Block(before.0, before.0));
            self.blocks.extend(std::iter::repeat_n(filler, missing));
        }
        self.newest = number;
        if self.blocks.len() >= MOST_BLOCKS {
            self.blocks.drain(..=self.blocks.len() - MOST_BLOCKS);
            self.blocks.shrink_to(MOST_BLOCKS);
        }
        self.blocks.push_back(Some(Block(parts, parts)));
    }

    /// Bytes of memory behind it.
    pub(super) fn heap_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Option<Block>>()
    }

    /// Rewrites the past after a resize: every level becomes `level * scale + shift`.
    pub(super) fn rescale(&mut self, scale: f64, shift: f64) {
        for block in self.blocks.iter_mut().flatten() {
            let moved = |parts: i32| to_parts(f64::from(parts) / PARTS * scale + shift);
            *block = Block(moved(block.0), moved(block.1));
        }
    }

    /// Number of the newest block on the history's own clock.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Every block, oldest first; `None` for a hole.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Option<Minute>> + '_ {
        self.blocks.iter().map(|block| {
            block.map(|Block(level, low)| Minute { level: f64::from(level) / PARTS, low: f64::from(low) / PARTS })
        })
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "float-to-int `as` saturates, which is right for a level far outside the capacity"
)]
fn to_parts(level: f64) -> i32 {
    (level * PARTS).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(minutes: &Minutes) -> Vec<Option<f64>> {
        minutes.iter().map(|minute| minute.map(|m| m.level)).collect()
    }

    #[test]
    fn a_block_keeps_its_newest_and_lowest_level() {
        let mut minutes = Minutes::default();
        for level in [0.5, 0.2, 0.4] {
            minutes.push(0, level);
        }
        assert_eq!(minutes.iter().collect::<Vec<_>>(), [Some(Minute { level: 0.4, low: 0.2 })]);
    }

    #[test]
    fn holes_stay_holes_but_a_single_missed_block_does_not() {
        let mut minutes = Minutes::default();
        for number in [1, 3, 7] {
            minutes.push(number, 0.5);
        }
        let hole = None;
        assert_eq!(levels(&minutes), [Some(0.5), Some(0.5), Some(0.5), hole, hole, hole, Some(0.5)]);
    }

    #[test]
    fn a_day_without_samples_forgets_the_past() {
        let mut minutes = Minutes::default();
        minutes.push(0, 0.5);
        minutes.push(1_441, 0.25);
        assert_eq!(levels(&minutes), [Some(0.25)]);
    }

    #[test]
    fn only_a_day_is_kept() {
        let mut minutes = Minutes::default();
        for number in 0..2_000 {
            minutes.push(number, 0.5);
        }
        assert_eq!(minutes.blocks.len(), 1_440);
    }
}
