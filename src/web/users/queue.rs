//! Which check is next, when more ask than can be checked? First who was not served lately, then whose address asks for least, then
//! who was not denied on this connection, then who asks the second time, then the newest: the oldest have often given up already.
//!
//! Guessing takes ever new passwords, over few addresses or few connections; a scraper comes again with the same one.

use crate::config::web::PasswordHash;
use crate::web::stream::Source;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use tokio::sync::oneshot;

/// The hash under which a pair of user and password is remembered.
pub(super) type Key = [u8; 32];

/// Credentials to check.
pub(super) struct Attempt {
    pub(super) key: Key,
    pub(super) password: Vec<u8>,
    pub(super) hash: PasswordHash,
    /// Whether there is such a user.
    pub(super) exists: bool,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("exists", &self.exists).finish_non_exhaustive()
    }
}

/// Attempts that wait.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Vec<Waiting>,
    /// The one that is being checked, and who wants to know.
    checking: Option<(Key, Vec<oneshot::Sender<bool>>)>,
    /// Counts pushes and pops.
    turn: u64,
    /// When each source was last served.
    served: HashMap<Source, u64>,
    /// Attempts that were pushed out, by a part of their keys: one that is taken for another is only checked early.
    refused: Recent<u64>,
}

#[derive(Debug)]
struct Waiting {
    attempt: Attempt,
    source: Source,
    failures: u32,
    again: bool,
    since: u64,
    clients: Vec<oneshot::Sender<bool>>,
}

/// Three seconds of checks at 50 ms each.
const MOST: usize = 64;
/// Of so many addresses it is known when they were served; 64 KiB.
const SOURCES: usize = 1_024;
/// A scraper that comes each minute is known again among 1,000 others a second; less than 2 MiB at worst.
const REFUSED: usize = 65_536;

fn part(key: &Key) -> u64 {
    key.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

impl Default for Queue {
    fn default() -> Self {
        Self { waiting: Vec::new(), checking: None, turn: 0, served: HashMap::new(), refused: Recent::new(REFUSED) }
    }
}

impl Queue {
    /// Adds an attempt; the same one that waits or is checked already is checked once for both. The receiver fails when it is
    /// pushed out.
    pub(super) fn push(&mut self, attempt: Attempt, source: Source, failures: u32) -> oneshot::Receiver<bool> {
        let (client, answer) = oneshot::channel();
        if let Some((_, clients)) = self.checking.as_mut().filter(|(key, _)| *key == attempt.key) {
            clients.push(client);
            return answer;
        }
        if let Some(same) = self.waiting.iter_mut().find(|waiting| waiting.attempt.key == attempt.key) {
            same.clients.push(client);
            return answer;
        }
        self.forget_the_gone();
        self.turn += 1;
        let again = self.refused.contains(&part(&attempt.key));
        self.waiting.push(Waiting { attempt, source, failures, again, since: self.turn, clients: vec![client] });
        if self.waiting.len() > MOST
            && let Some(last) = self.position(|queue, waiting| Reverse(queue.rank(waiting)))
        {
            let out = self.waiting.swap_remove(last);
            self.refused.insert(part(&out.attempt.key));
        }
        answer
    }

    /// The attempt to check now.
    pub(super) fn pop(&mut self) -> Option<Attempt> {
        self.forget_the_gone();
        let first = self.position(Self::rank)?;
        let next = self.waiting.swap_remove(first);
        self.turn += 1;
        if self.served.len() >= SOURCES && !self.served.contains_key(&next.source) {
            self.served.clear();
        }
        self.served.insert(next.source, self.turn);
        self.checking = Some((next.attempt.key, next.clients));
        Some(next.attempt)
    }

    /// Who wants to know what came of the check.
    pub(super) fn checked(&mut self) -> Vec<oneshot::Sender<bool>> {
        self.checking.take().map(|(_, clients)| clients).unwrap_or_default()
    }

    /// Nobody waits for what came over a connection that was closed.
    fn forget_the_gone(&mut self) {
        self.waiting.retain(|waiting| waiting.clients.iter().any(|client| !client.is_closed()));
    }

    /// The smallest is next, the greatest is pushed out.
    fn rank(&self, waiting: &Waiting) -> (u64, usize, u32, Reverse<bool>, Reverse<u64>) {
        let served = self.served.get(&waiting.source).copied().unwrap_or(0);
        let of_the_source = self.waiting.iter().filter(|other| other.source == waiting.source).count();
        (served, of_the_source, waiting.failures, Reverse(waiting.again), Reverse(waiting.since))
    }

    fn position<R: Ord>(&self, rank: impl Fn(&Self, &Waiting) -> R) -> Option<usize> {
        let ranked = self.waiting.iter().enumerate().min_by_key(|(_, waiting)| rank(self, waiting));
        ranked.map(|(position, _)| position)
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
    use std::net::Ipv4Addr;

    const ATTACKER: Source = Source::Net(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    const OTHER: Source = Source::Net(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));

    fn attempt(number: u64) -> Attempt {
        let mut key = Key::default();
        key[..8].copy_from_slice(&number.to_be_bytes());
        Attempt { key, password: Vec::new(), hash: PasswordHash::of_nobody(4), exists: true }
    }

    /// A queue with clients that wait.
    #[derive(Default)]
    struct Crowd {
        queue: Queue,
        clients: Vec<oneshot::Receiver<bool>>,
    }

    impl Crowd {
        /// A queue that an attacker keeps full, with some attempts served.
        fn flooded(failures: u32) -> Self {
            let mut crowd = Self::default();
            for number in 1_000..2_000 {
                crowd.push(number, ATTACKER, failures);
                if number % 100 == 0 {
                    crowd.queue.pop();
                }
            }
            crowd
        }

        fn push(&mut self, number: u64, source: Source, failures: u32) {
            self.clients.push(self.queue.push(attempt(number), source, failures));
        }

        fn next(&mut self) -> u64 {
            u64::from_be_bytes(self.queue.pop().unwrap().key[..8].try_into().unwrap())
        }
    }

    #[test]
    fn another_address_is_next() {
        let mut crowd = Crowd::flooded(0);
        crowd.push(1, OTHER, 0);
        (2_000..3_000).for_each(|number| crowd.push(number, ATTACKER, 0));
        assert_eq!(crowd.next(), 1);
    }

    #[test]
    fn a_flood_pushes_nobody_else_out_before_anything_was_checked() {
        let mut crowd = Crowd::default();
        crowd.push(1, OTHER, 0);
        (2_000..3_000).for_each(|number| crowd.push(number, ATTACKER, 0));
        assert_eq!(crowd.next(), 1);
    }

    #[test]
    fn who_asks_again_while_the_check_is_under_way_waits_for_the_same() {
        let mut crowd = Crowd::flooded(0);
        crowd.push(1, OTHER, 0);
        assert_eq!(crowd.next(), 1);
        let again = crowd.queue.push(attempt(1), OTHER, 0);
        (2_000..3_000).for_each(|number| crowd.push(number, ATTACKER, 0));
        for client in crowd.queue.checked() {
            client.send(true).unwrap();
        }
        assert_eq!(again.blocking_recv(), Ok(true));
    }

    #[test]
    fn of_one_address_a_connection_that_was_not_denied_is_next() {
        let mut crowd = Crowd::flooded(1);
        crowd.push(1, ATTACKER, 0);
        (2_000..3_000).for_each(|number| crowd.push(number, ATTACKER, 1));
        assert_eq!(crowd.next(), 1);
    }

    #[test]
    fn who_was_pushed_out_and_comes_again_is_next() {
        let mut crowd = Crowd::flooded(0);
        let pushed_out = crowd.queue.push(attempt(1), ATTACKER, 0);
        (2_000..12_000).for_each(|number| crowd.push(number, ATTACKER, 0));
        assert!(pushed_out.blocking_recv().is_err());
        crowd.push(1, ATTACKER, 0);
        crowd.push(12_000, ATTACKER, 0);
        assert_eq!(crowd.next(), 1);
        assert_eq!(crowd.next(), 12_000, "then the newest");
    }

    #[test]
    fn who_has_gone_is_not_checked() {
        let mut crowd = Crowd::default();
        crowd.push(1, OTHER, 0);
        drop(crowd.queue.push(attempt(2), ATTACKER, 0));
        assert_eq!(crowd.next(), 1);
        assert!(crowd.queue.pop().is_none());
    }

    #[test]
    fn a_flood_is_bounded_and_the_same_attempt_is_checked_once() {
        let mut crowd = Crowd::flooded(0);
        assert_eq!(crowd.queue.waiting.len(), MOST);
        for number in 0..3_000_u32 {
            let source = Source::Net(std::net::IpAddr::from(u128::from(number).to_be_bytes()));
            crowd.push(u64::from(number), source, 0);
            crowd.queue.pop();
        }
        assert!(crowd.queue.served.len() <= SOURCES);
        let mut queue = Queue::default();
        let answers = [queue.push(attempt(7), ATTACKER, 0), queue.push(attempt(7), OTHER, 0)];
        queue.pop().unwrap();
        let clients = queue.checked();
        assert!(queue.pop().is_none());
        for client in clients {
            client.send(true).unwrap();
        }
        assert!(answers.into_iter().all(|answer| answer.blocking_recv().unwrap()));
    }

    #[test]
    fn who_was_pushed_out_is_known_after_a_minute_of_a_thousand_others_a_second() {
        let mut refused = Recent::new(REFUSED);
        (0..=60_000_u64).for_each(|number| refused.insert(number));
        assert!(refused.contains(&0));
        (60_001..200_000).for_each(|number| refused.insert(number));
        assert!(!refused.contains(&0) && refused.known.len() == REFUSED && refused.order.len() == REFUSED);
    }
}
