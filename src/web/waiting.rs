//! Who is served next, of those that were accepted and have had no turn yet? Of the source that waits with fewest, so that a flood
//! holds up nobody but itself, in turn the newest and the oldest: of a flood's own address most that come late are not behind all that
//! came before, and none is behind all that come after.

use super::stream::{Source, Stream};
use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::fmt;

/// Of one source, with the count of arrivals at each; the newest is at the back.
type Arrived<S> = VecDeque<(u64, S)>;

/// Accepted connections of which nothing was read.
pub(super) struct Waiting<S = Box<dyn Stream>> {
    most: usize,
    count: usize,
    /// Counts arrivals.
    arrivals: u64,
    /// Whether the oldest is next.
    oldest: bool,
    /// None is empty.
    by_source: HashMap<Source, Arrived<S>>,
}

impl<S> fmt::Debug for Waiting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("count", &self.count).finish_non_exhaustive()
    }
}

impl<S> Waiting<S> {
    /// For so many, at least one.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), count: 0, arrivals: 0, oldest: false, by_source: HashMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.count >= self.most
    }

    /// Adds one. Where there are too many, the oldest of the source with most is closed unread.
    pub(super) fn push(&mut self, stream: S, source: Source) {
        self.arrivals += 1;
        self.count += 1;
        self.by_source.entry(source).or_default().push_back((self.arrivals, stream));
        if self.count > self.most
            && let Some(source) = self.by_source.iter().max_by_key(|(_, of)| of.len()).map(|(source, _)| *source)
        {
            drop(self.take(source, VecDeque::pop_front));
        }
    }

    /// The one to serve now.
    pub(super) fn pop(&mut self) -> Option<(S, Source)> {
        let rank = |of: &Arrived<S>| (of.len(), Reverse(of.back().map(|(arrival, _)| *arrival)));
        let source = self.by_source.iter().min_by_key(|(_, of)| rank(of)).map(|(source, _)| *source)?;
        let which = if self.oldest { VecDeque::pop_front } else { VecDeque::pop_back };
        self.oldest = !self.oldest;
        Some((self.take(source, which)?, source))
    }

    fn take(&mut self, source: Source, which: fn(&mut Arrived<S>) -> Option<(u64, S)>) -> Option<S> {
        let of = self.by_source.get_mut(&source)?;
        let (_, stream) = which(of)?;
        if of.is_empty() {
            self.by_source.remove(&source);
        }
        self.count -= 1;
        Some(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> Source {
        Source::of([10, 0, 0, number].into())
    }

    fn order(waiting: &mut Waiting<u32>) -> Vec<u32> {
        std::iter::from_fn(|| waiting.pop()).map(|(stream, _)| stream).collect()
    }

    #[test]
    fn a_source_with_few_comes_before_a_flood_and_of_each_the_newest_and_the_oldest_in_turn() {
        let mut waiting = Waiting::new(100);
        for number in 0..4 {
            waiting.push(number, host(1));
        }
        waiting.push(10, host(2));
        waiting.push(11, host(2));
        waiting.push(20, host(3));
        assert_eq!(order(&mut waiting), [20, 10, 11, 0, 3, 1, 2]);
        assert!(waiting.is_empty() && waiting.by_source.is_empty());
    }

    #[test]
    fn a_flood_pushes_out_its_own_oldest_only() {
        let mut waiting = Waiting::new(4);
        waiting.push(100, host(2));
        for number in 0..1_000 {
            waiting.push(number, host(1));
        }
        assert_eq!(order(&mut waiting), [100, 997, 999, 998]);
    }
}
