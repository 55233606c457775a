//! What came of earlier checks? Bounded, so that a stream of wrong passwords can push out neither memory nor the right ones.

use super::Key;
use std::collections::{HashSet, VecDeque};

/// Right and wrong credentials, each in a memory of its own.
#[derive(Debug)]
pub(super) struct Remembered {
    right: Recent<Key>,
    wrong: Recent<Key>,
}

/// More users than anybody has in such a file.
const RIGHT: usize = 256;
const WRONG: usize = 1_024;

impl Default for Remembered {
    fn default() -> Self {
        Self { right: Recent::new(RIGHT), wrong: Recent::new(WRONG) }
    }
}

impl Remembered {
    pub(super) fn answer(&self, key: &Key) -> Option<bool> {
        if self.right.contains(key) {
            Some(true)
        } else if self.wrong.contains(key) {
            Some(false)
        } else {
            None
        }
    }

    pub(super) fn keep(&mut self, key: Key, granted: bool) {
        if granted { &mut self.right } else { &mut self.wrong }.insert(key);
    }
}

/// The newest so many of some values. The values are keyed hashes: nobody outside can make two that collide.
#[derive(Debug)]
pub(super) struct Recent<T> {
    most: usize,
    order: VecDeque<T>,
    known: HashSet<T>,
}

impl<T: Copy + Eq + std::hash::Hash> Recent<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, order: VecDeque::new(), known: HashSet::new() }
    }

    pub(super) fn contains(&self, value: &T) -> bool {
        self.known.contains(value)
    }

    pub(super) fn insert(&mut self, value: T) {
        if self.known.contains(&value) {
            return;
        }
        // Before the new one is added: neither has to grow for one too many.
        if self.order.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(value);
        self.order.push_back(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::users::queue::REFUSED;

    #[test]
    fn who_was_pushed_out_is_known_after_a_minute_of_a_thousand_others_a_second() {
        let mut refused = Recent::new(REFUSED);
        (0..=60_000_u64).for_each(|number| refused.insert(number));
        assert!(refused.contains(&0));
        (60_001..200_000).for_each(|number| refused.insert(number));
        assert!(!refused.contains(&0) && refused.known.len() == REFUSED && refused.order.len() == REFUSED);
    }

    #[test]
    fn wrong_ones_push_out_wrong_ones_only() {
        let mut remembered = Remembered::default();
        let key = |number: u32| {
            let mut key = Key::default();
            key[..4].copy_from_slice(&number.to_be_bytes());
            key
        };
        remembered.keep(key(0), true);
        for number in 1..=5_000 {
            remembered.keep(key(number), false);
        }
        assert_eq!(remembered.answer(&key(0)), Some(true));
        assert_eq!(remembered.answer(&key(1)), None);
        assert_eq!(remembered.answer(&key(5_000)), Some(false));
        assert_eq!(remembered.wrong.known.len(), WRONG);
        assert_eq!(remembered.wrong.order.len(), WRONG);
    }
}
