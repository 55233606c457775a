//! Who must go when every slot is taken, or answers that nobody takes fill the memory? Of the source with the most connections,
//! the one that has made no progress for the longest time.
//!
//! Progress is an answer, or a part of one, taken by the client. So a thousand clients that send a byte a second push each other
//! out, and one that asks at once and reads the answer is served between them;
//! one from another address is not even touched.

use super::held::Sum;
use super::stream::Source;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The slots for connections.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    permits: Arc<Semaphore>,
    /// How many there are, with those that are spare.
    all: usize,
    /// ConnectionSlots for connections that come before those that were told to leave have done so.
    spare: usize,
    order: Arc<Mutex<Order>>,
    /// Bytes of answers that all connections hold.
    held: Sum,
    /// How many these may be.
    most: usize,
}

/// One slot; free again when this is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    order: Arc<Mutex<Order>>,
    /// Its key in the order, once it is taken.
    key: Option<u64>,
    index: Seat,
    _permit: OwnedSemaphorePermit,
}

/// What others see of a taken slot.
#[derive(Debug, Clone)]
struct Seat {
    source: Source,
    leave: Arc<Notify>,
    /// Bytes of answers that this connection holds.
    held: Sum,
}

#[derive(Debug, Default)]
struct Order {
    next: u64,
    /// How many were told to leave and are still there.
    leaving: usize,
    /// By the time of the last progress; the first is the one that goes.
    taken: BTreeMap<u64, Seat>,
}

/// One spare slot for so many: of those that come at once several are served before all others have had a turn.
const SPARE: usize = 8;
/// How often one that had an answer lets others have a turn while connections are sent away: by then 256 new ones have had a first answer.
const TURNS: usize = 8;

impl ConnectionSlots {
    /// So many slots, for so many who take them, and so many bytes for the answers of all.
    pub(super) fn new(count: usize, takers: usize, most: usize) -> Self {
        let spare = (count / SPARE).max(takers);
        let all = count + spare;
        Self { permits: Arc::new(Semaphore::new(all)), all, spare, order: Arc::default(), held: Sum::default(), most }
    }

    /// A free slot. Where there is none but the spare ones, a connection is told to leave.
    pub(super) async fn take(&self) -> Option<ConnectionSlot> {
        lock(&self.order).keep_free(self.permits.available_permits(), self.spare);
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let index = Seat { source: Source::Local, leave: Arc::default(), held: Sum::default() };
        Some(ConnectionSlot { order: Arc::clone(&self.order), key: None, index, _permit: permit })
    }

    /// For a client that had an answer on its connection: others have a turn first, however many requests it has sent at once.
    pub(super) async fn after_others(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
            if lock(&self.order).leaving == 0 {
                return;
            }
        }
    }

    /// Returns when no slot is taken.
    pub(super) async fn all_free(&self) {
        let all = u32::try_from(self.all).unwrap_or(u32::MAX);
        drop(self.permits.acquire_many(all).await);
    }

    /// Where the bytes of all answers are counted.
    pub(super) fn held(&self) -> Sum {
        Arc::clone(&self.held)
    }

    /// While answers take too much memory, a connection that holds any is told to leave. Called for each answer, so that about as
    /// much goes as comes.
    pub(super) fn make_room(&self) {
        if self.held.load(Ordering::Relaxed) > self.most {
            lock(&self.order).send_away(|index| index.held.load(Ordering::Relaxed) > 0);
        }
    }
}

impl Order {
    /// Tells one to leave where fewer would be free otherwise.
    fn keep_free(&mut self, free: usize, least: usize) {
        if free + self.leaving <= least {
            self.send_away(|_| true);
        }
    }

    fn send_away(&mut self, which: impl Fn(&Seat) -> bool) {
        let candidates = || self.taken.iter().filter(|(_, index)| which(index));
        let mut counts = HashMap::<Source, usize>::new();
        for (_, index) in candidates() {
            *counts.entry(index.source).or_default() += 1;
        }
        let most = counts.values().max();
        let oldest = candidates().find(|(_, index)| counts.get(&index.source) == most).map(|(key, _)| *key);
        if let Some(index) = oldest.and_then(|key| self.taken.remove(&key)) {
            index.leave.notify_one();
            self.leaving += 1;
        }
    }
}

impl ConnectionSlot {
    /// A connection from this source has come, and may be told to leave from now on.
    pub(super) fn sit(&mut self, source: Source) {
        self.index.source = source;
        let mut order = lock(&self.order);
        order.next += 1;
        self.key = Some(order.next);
        let next = order.next;
        order.taken.insert(next, self.index.clone());
    }

    /// The client has taken something. Too late for one that was told to leave.
    pub(super) fn progress(&mut self) {
        let mut order = lock(&self.order);
        if let Some(index) = self.key.and_then(|key| order.taken.remove(&key)) {
            order.next += 1;
            let next = order.next;
            self.key = Some(next);
            order.taken.insert(next, index);
        }
    }

    /// What is notified when this connection must go.
    pub(super) fn leave(&self) -> Arc<Notify> {
        Arc::clone(&self.index.leave)
    }

    /// Where the bytes of this connection's answers are counted.
    pub(super) fn held(&self) -> Sum {
        Arc::clone(&self.index.held)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut order = lock(&self.order);
        if self.key.is_some_and(|key| order.taken.remove(&key).is_none()) {
            order.leaving -= 1;
        }
    }
}

fn lock(order: &Mutex<Order>) -> MutexGuard<'_, Order> {
    order.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seated(slots: &ConnectionSlots) -> ConnectionSlot {
        seated_from(slots, 1).await
    }

    async fn seated_from(slots: &ConnectionSlots, host: u8) -> ConnectionSlot {
        let mut slot = slots.take().await.unwrap();
        slot.sit(Source::of([10, 0, 0, host].into()));
        slot
    }

    fn told(slots: &ConnectionSlots, slot: &ConnectionSlot) -> bool {
        !lock(&slots.order).taken.contains_key(&slot.key.unwrap())
    }

    #[tokio::test]
    async fn the_one_without_progress_for_the_longest_time_goes() {
        let slots = ConnectionSlots::new(2, 0, 0);
        let mut first = seated(&slots).await;
        let second = seated(&slots).await;
        first.progress();
        let told = second.leave();
        let third = tokio::join!(slots.take(), async move {
            told.notified().await;
            drop(second);
        });
        assert!(third.0.is_some());
        assert_eq!(lock(&slots.order).taken.len(), 1);
    }

    #[tokio::test]
    async fn a_place_that_is_left_is_free() {
        let slots = ConnectionSlots::new(1, 0, 0);
        drop(slots.take().await.unwrap());
        slots.all_free().await;
        assert!(lock(&slots.order).taken.is_empty());
    }

    #[tokio::test]
    async fn the_next_one_need_not_wait_until_who_must_go_has_gone() {
        let slots = ConnectionSlots::new(2, 1, 0);
        let first = seated(&slots).await;
        let mut second = seated(&slots).await;
        let third = seated(&slots).await;
        assert!(told(&slots, &first) && !told(&slots, &second));
        // Asked again and again while all are taken, it tells one more, not all.
        for _ in 0..3 {
            let asked = std::pin::pin!(slots.take());
            tokio::select! { biased; _ = asked => unreachable!("all are taken"), () = std::future::ready(()) => {} }
        }
        assert!(told(&slots, &second) && !told(&slots, &third));
        second.progress();
        assert!(told(&slots, &second), "too late");
        drop((first, second));
        assert_eq!(lock(&slots.order).leaving, 0);
        drop(seated(&slots).await);
        assert!(!told(&slots, &third), "one slot is free");
    }

    #[tokio::test]
    async fn for_memory_one_that_holds_an_answer_goes() {
        let slots = ConnectionSlots::new(3, 0, 10);
        let idle = seated(&slots).await;
        let holder = seated(&slots).await;
        let newer = seated(&slots).await;
        let hold = |slot: &ConnectionSlot, bytes: usize| {
            slot.held().fetch_add(bytes, Ordering::Relaxed);
            slots.held().fetch_add(bytes, Ordering::Relaxed);
        };
        hold(&holder, 6);
        hold(&newer, 4);
        slots.make_room();
        assert!(!told(&slots, &holder), "ten bytes are allowed");
        hold(&newer, 1);
        slots.make_room();
        assert!(told(&slots, &holder) && !told(&slots, &newer) && !told(&slots, &idle));
    }

    #[tokio::test]
    async fn an_address_pushes_out_its_own_connections_only() {
        let slots = ConnectionSlots::new(4, 0, 0);
        let other = seated_from(&slots, 2).await;
        let first = seated_from(&slots, 1).await;
        let second = seated_from(&slots, 1).await;
        let _third = seated_from(&slots, 1).await;
        let told_first = first.leave();
        tokio::join!(slots.take(), async move {
            told_first.notified().await;
            drop(first);
        });
        assert!(!told(&slots, &other) && !told(&slots, &second));
    }
}
