//! Who must go when every place is taken? The connection that has made no progress for the longest time.
//!
//! Progress is an answer, or a part of one, taken by the client. So a thousand clients that send a byte a second push each other
//! out, and one that asks at once and reads the answer is served between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The places for connections.
#[derive(Debug)]
pub(super) struct Places {
    permits: Arc<Semaphore>,
    order: Arc<Mutex<Order>>,
}

/// One taken place; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    order: Arc<Mutex<Order>>,
    key: u64,
    leave: Arc<Notify>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct Order {
    next: u64,
    /// By the time of the last progress; the first is the one that goes.
    taken: BTreeMap<u64, Arc<Notify>>,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(count)), order: Arc::default() }
    }

    /// A free place. Where there is none, the connection that is longest without progress is told to leave.
    pub(super) async fn take(&self) -> Option<Place> {
        let permit = if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            permit
        } else {
            self.tell_oldest_to_leave();
            Arc::clone(&self.permits).acquire_owned().await.ok()?
        };
        Some(Place { order: Arc::clone(&self.order), key: 0, leave: Arc::default(), _permit: permit })
    }

    /// Returns when no place is taken.
    pub(super) async fn all_free(&self, count: usize) {
        let all = u32::try_from(count).unwrap_or(u32::MAX);
        drop(self.permits.acquire_many(all).await);
    }

    fn tell_oldest_to_leave(&self) {
        if let Some((_, oldest)) = lock(&self.order).taken.pop_first() {
            oldest.notify_one();
        }
    }
}

impl Place {
    /// The connection has come, or its client has taken something.
    pub(super) fn progress(&mut self) {
        let mut order = lock(&self.order);
        order.taken.remove(&self.key);
        order.next += 1;
        self.key = order.next;
        order.taken.insert(self.key, Arc::clone(&self.leave));
    }

    /// What is notified when this connection must go.
    pub(super) fn leave(&self) -> Arc<Notify> {
        Arc::clone(&self.leave)
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

    #[tokio::test]
    async fn the_one_without_progress_for_the_longest_time_goes() {
        let places = Places::new(2);
        let mut first = places.take().await.unwrap();
        first.progress();
        let mut second = places.take().await.unwrap();
        second.progress();
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
        let places = Places::new(1);
        drop(places.take().await.unwrap());
        places.all_free(1).await;
        assert!(lock(&places.order).taken.is_empty());
    }
}
