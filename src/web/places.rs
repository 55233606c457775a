//! Who must go when every place is taken, or answers that nobody takes fill the memory? Of the source with the most connections,
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

/// The places for connections.
#[derive(Debug)]
pub(super) struct Places {
    permits: Arc<Semaphore>,
    order: Arc<Mutex<Order>>,
    /// Bytes of answers that all connections hold.
    held: Sum,
    /// How many these may be.
    most: usize,
}

/// One place; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    order: Arc<Mutex<Order>>,
    key: u64,
    seat: Seat,
    _permit: OwnedSemaphorePermit,
}

/// What others see of a taken place.
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
    /// By the time of the last progress; the first is the one that goes.
    taken: BTreeMap<u64, Seat>,
}

impl Places {
    /// So many places, and so many bytes for the answers of all.
    pub(super) fn new(count: usize, most: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(count)), order: Arc::default(), held: Sum::default(), most }
    }

    /// A free place. Where there is none, a connection is told to leave.
    pub(super) async fn take(&self) -> Option<Place> {
        let permit = if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            permit
        } else {
            lock(&self.order).send_away(|_| true);
            Arc::clone(&self.permits).acquire_owned().await.ok()?
        };
        Some(Place {
            order: Arc::clone(&self.order),
            key: 0,
            seat: Seat { source: Source::Local, leave: Arc::default(), held: Sum::default() },
            _permit: permit,
        })
    }

    /// Returns when no place is taken.
    pub(super) async fn all_free(&self, count: usize) {
        let all = u32::try_from(count).unwrap_or(u32::MAX);
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
            lock(&self.order).send_away(|seat| seat.held.load(Ordering::Relaxed) > 0);
        }
    }
}

impl Order {
    fn send_away(&mut self, which: impl Fn(&Seat) -> bool) {
        let candidates = || self.taken.iter().filter(|(_, seat)| which(seat));
        let mut counts = HashMap::<Source, usize>::new();
        for (_, seat) in candidates() {
            *counts.entry(seat.source).or_default() += 1;
        }
        let most = counts.values().max();
        let oldest = candidates().find(|(_, seat)| counts.get(&seat.source) == most).map(|(key, _)| *key);
        if let Some(seat) = oldest.and_then(|key| self.taken.remove(&key)) {
            seat.leave.notify_one();
        }
    }
}

impl Place {
    /// A connection from this source has come, and may be told to leave from now on.
    pub(super) fn sit(&mut self, source: Source) {
        self.seat.source = source;
        self.progress();
    }

    /// The client has taken something.
    pub(super) fn progress(&mut self) {
        let mut order = lock(&self.order);
        order.taken.remove(&self.key);
        order.next += 1;
        self.key = order.next;
        order.taken.insert(self.key, self.seat.clone());
    }

    /// What is notified when this connection must go.
    pub(super) fn leave(&self) -> Arc<Notify> {
        Arc::clone(&self.seat.leave)
    }

    /// Where the bytes of this connection's answers are counted.
    pub(super) fn held(&self) -> Sum {
        Arc::clone(&self.seat.held)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.order).taken.remove(&self.key);
    }
}

fn lock(order: &Mutex<Order>) -> MutexGuard<'_, Order> {
    order.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seated(places: &Places) -> Place {
        seated_from(places, 1).await
    }

    async fn seated_from(places: &Places, host: u8) -> Place {
        let mut place = places.take().await.unwrap();
        place.sit(Source::of([10, 0, 0, host].into()));
        place
    }

    fn told(places: &Places, place: &Place) -> bool {
        !lock(&places.order).taken.contains_key(&place.key)
    }

    #[tokio::test]
    async fn the_one_without_progress_for_the_longest_time_goes() {
        let places = Places::new(2, 0);
        let mut first = seated(&places).await;
        let second = seated(&places).await;
        first.progress();
        let told = second.leave();
        let third = tokio::join!(places.take(), async move {
            told.notified().await;
            drop(second);
        });
        assert!(third.0.is_some());
        assert_eq!(lock(&places.order).taken.len(), 1);
    }

    #[tokio::test]
    async fn a_place_that_is_left_is_free() {
        let places = Places::new(1, 0);
        drop(places.take().await.unwrap());
        places.all_free(1).await;
        assert!(lock(&places.order).taken.is_empty());
    }

    #[tokio::test]
    async fn for_memory_one_that_holds_an_answer_goes() {
        let places = Places::new(3, 10);
        let idle = seated(&places).await;
        let holder = seated(&places).await;
        let newer = seated(&places).await;
        let hold = |place: &Place, bytes: usize| {
            place.held().fetch_add(bytes, Ordering::Relaxed);
            places.held().fetch_add(bytes, Ordering::Relaxed);
        };
        hold(&holder, 6);
        hold(&newer, 4);
        places.make_room();
        assert!(!told(&places, &holder), "ten bytes are allowed");
        hold(&newer, 1);
        places.make_room();
        assert!(told(&places, &holder) && !told(&places, &newer) && !told(&places, &idle));
    }

    #[tokio::test]
    async fn an_address_pushes_out_its_own_connections_only() {
        let places = Places::new(4, 0);
        let other = seated_from(&places, 2).await;
        let first = seated_from(&places, 1).await;
        let second = seated_from(&places, 1).await;
        let _third = seated_from(&places, 1).await;
        let told_first = first.leave();
        tokio::join!(places.take(), async move {
            told_first.notified().await;
            drop(first);
        });
        assert!(!told(&places, &other) && !told(&places, &second));
    }
}
