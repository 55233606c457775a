//! When is a connection closed? When its client sends or takes nothing for too long; and when every slot is occupied, or answers
//! that nobody takes fill the memory: then of the source with the most connections the one that has made no progress for the
//! longest time.
//!
//! Progress is an answer, or a part of one, taken by the client. So a thousand clients that send a byte a second evict each other,
//! and one that asks at once and reads the answer is served between them; one from another address is not even touched.

use super::stream::{Limits, Source};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// A number of bytes, of one connection or of all.
pub(super) type ByteCount = Arc<AtomicUsize>;

/// The slots for connections.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    permits: Arc<Semaphore>,
    /// How many there are, with those that are spare.
    all: usize,
    /// For connections that come before those that are being evicted are closed.
    spare: usize,
    order: Arc<Mutex<Order>>,
    /// Bytes of answers that no client has taken yet.
    unsent: ByteCount,
    /// How many these may be.
    max_unsent: usize,
}

/// One slot; free again when this is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    order: Arc<Mutex<Order>>,
    /// Its key in the order, once it is occupied.
    key: Option<u64>,
    occupant: Occupant,
    _permit: OwnedSemaphorePermit,
}

/// What the order knows of a connection.
#[derive(Debug, Clone)]
struct Occupant {
    source: Source,
    evicted: Arc<Notify>,
    /// Bytes of its answers that the client has not taken yet.
    unsent: ByteCount,
}

#[derive(Debug, Default)]
struct Order {
    next: u64,
    /// How many were evicted and are not closed yet.
    evicted: usize,
    /// By the time of the last progress; the first is evicted first.
    occupied: BTreeMap<u64, Occupant>,
}

/// One spare slot for so many: of those that come at once several are served before all others have had a turn.
const SPARE: usize = 8;
/// How often one that had an answer yields to others while connections are being evicted: by then 256 new ones have had a first answer.
const TURNS: usize = 8;

impl ConnectionSlots {
    /// So many slots, for so many who take them, and so many bytes for the answers of all.
    pub(super) fn new(count: usize, takers: usize, max_unsent: usize) -> Self {
        let spare = (count / SPARE).max(takers);
        let all = count + spare;
        let permits = Arc::new(Semaphore::new(all));
        Self { permits, all, spare, order: Arc::default(), unsent: ByteCount::default(), max_unsent }
    }

    /// A free slot. Where there is none but the spare ones, a connection is evicted.
    pub(super) async fn take(&self) -> Option<ConnectionSlot> {
        lock(&self.order).keep_free(self.permits.available_permits(), self.spare);
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let occupant = Occupant { source: Source::Local, evicted: Arc::default(), unsent: ByteCount::default() };
        Some(ConnectionSlot { order: Arc::clone(&self.order), key: None, occupant, _permit: permit })
    }

    /// For a client that had an answer on its connection: others are served first, however many requests it has sent at once.
    pub(super) async fn yield_to_others(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
            if lock(&self.order).evicted == 0 {
                return;
            }
        }
    }

    /// Returns when no slot is occupied.
    pub(super) async fn all_free(&self) {
        let all = u32::try_from(self.all).unwrap_or(u32::MAX);
        drop(self.permits.acquire_many(all).await);
    }

    /// The bytes of all answers that no client has taken yet.
    pub(super) fn unsent(&self) -> ByteCount {
        Arc::clone(&self.unsent)
    }

    /// While answers take too much memory, a connection that has any is evicted. Called for each answer, so that about as much is
    /// freed as is used.
    pub(super) fn shed(&self) {
        if self.unsent.load(Ordering::Relaxed) > self.max_unsent {
            lock(&self.order).evict(|occupant| occupant.unsent.load(Ordering::Relaxed) > 0);
        }
    }
}

impl Order {
    /// Adds one that has just made progress; its key.
    fn append(&mut self, occupant: Occupant) -> u64 {
        self.next += 1;
        self.occupied.insert(self.next, occupant);
        self.next
    }

    /// Evicts one where fewer would be free otherwise.
    fn keep_free(&mut self, free: usize, least: usize) {
        if free + self.evicted <= least {
            self.evict(|_| true);
        }
    }

    /// Of the candidates, evicts one of the source with the most: the one without progress for the longest time.
    fn evict(&mut self, is_candidate: impl Fn(&Occupant) -> bool) {
        let candidates = || self.occupied.iter().filter(|(_, occupant)| is_candidate(occupant));
        let mut counts = HashMap::<Source, usize>::new();
        for (_, occupant) in candidates() {
            *counts.entry(occupant.source).or_default() += 1;
        }
        let most = counts.values().max();
        let oldest = candidates().find(|(_, occupant)| counts.get(&occupant.source) == most).map(|(key, _)| *key);
        if let Some(occupant) = oldest.and_then(|key| self.occupied.remove(&key)) {
            occupant.evicted.notify_one();
            self.evicted += 1;
        }
    }
}

impl ConnectionSlot {
    /// A connection from this source occupies the slot, and may be evicted from now on.
    pub(super) fn occupy(&mut self, source: Source) {
        self.occupant.source = source;
        self.key = Some(lock(&self.order).append(self.occupant.clone()));
    }

    /// The client has taken something. Too late for one that was evicted.
    fn progress(&mut self) {
        let mut order = lock(&self.order);
        if let Some(occupant) = self.key.and_then(|key| order.occupied.remove(&key)) {
            self.key = Some(order.append(occupant));
        }
    }

    /// What is notified when this connection must be closed.
    pub(super) fn evicted(&self) -> Arc<Notify> {
        Arc::clone(&self.occupant.evicted)
    }

    /// The bytes of this connection's answers that its client has not taken yet.
    pub(super) fn unsent(&self) -> ByteCount {
        Arc::clone(&self.occupant.unsent)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut order = lock(&self.order);
        if self.key.is_some_and(|key| order.occupied.remove(&key).is_none()) {
            order.evicted -= 1;
        }
    }
}

fn lock(order: &Mutex<Order>) -> MutexGuard<'_, Order> {
    order.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream with limits on its pauses, which fails when nothing comes, or nothing is taken, in time. Holds the slot of its
/// connection. hyper has one time for the header of a request and the pause before it, and none for clients that do not read.
#[derive(Debug)]
pub(super) struct IdleTimeout<S> {
    stream: S,
    slot: ConnectionSlot,
    limits: Limits,
    /// Nothing has been read since the last write.
    idle: bool,
    reading: Pin<Box<Sleep>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S: Unpin> IdleTimeout<S> {
    pub(super) fn new(stream: S, mut slot: ConnectionSlot, limits: Limits) -> Self {
        slot.progress();
        let reading = Box::pin(sleep(limits.header_timeout.to_std()));
        Self { stream, slot, limits, idle: false, reading, writing: None }
    }

    fn write_with<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = write(Pin::new(&mut self.stream), context) {
            self.writing = None;
            return Poll::Ready(done);
        }
        let limit = self.limits.write_timeout;
        let writing = self.writing.get_or_insert_with(|| Box::pin(sleep(limit.to_std())));
        ready!(writing.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn some_was_taken(&mut self, context: &mut Context<'_>) {
        self.slot.progress();
        if !self.idle {
            self.idle = true;
            self.reading.set(sleep(self.limits.idle_timeout.to_std()));
            // hyper need not read again before something comes, so the alarm is set here; the read that it wakes fails.
            if self.reading.as_mut().poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleTimeout<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(done) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            if this.idle {
                this.idle = false;
                this.reading.set(sleep(this.limits.header_timeout.to_std()));
            }
            return Poll::Ready(done);
        }
        ready!(this.reading.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleTimeout<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let done = ready!(this.write_with(context, |stream, context| stream.poll_write(context, bytes)));
        this.some_was_taken(context);
        Poll::Ready(done)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let done = ready!(this.write_with(context, |stream, context| stream.poll_write_vectored(context, slices)));
        this.some_was_taken(context);
        Poll::Ready(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write_with(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write_with(context, AsyncWrite::poll_shutdown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn occupied(slots: &ConnectionSlots) -> ConnectionSlot {
        occupied_from(slots, 1).await
    }

    async fn occupied_from(slots: &ConnectionSlots, host: u8) -> ConnectionSlot {
        let mut slot = slots.take().await.unwrap();
        slot.occupy(Source::of([10, 0, 0, host].into()));
        slot
    }

    fn is_evicted(slots: &ConnectionSlots, slot: &ConnectionSlot) -> bool {
        !lock(&slots.order).occupied.contains_key(&slot.key.unwrap())
    }

    #[tokio::test]
    async fn the_one_without_progress_for_the_longest_time_is_evicted() {
        let slots = ConnectionSlots::new(2, 0, 0);
        let mut first = occupied(&slots).await;
        let second = occupied(&slots).await;
        first.progress();
        let evicted = second.evicted();
        let third = tokio::join!(slots.take(), async move {
            evicted.notified().await;
            drop(second);
        });
        assert!(third.0.is_some());
        assert_eq!(lock(&slots.order).occupied.len(), 1);
    }

    #[tokio::test]
    async fn a_slot_that_is_dropped_is_free() {
        let slots = ConnectionSlots::new(1, 0, 0);
        drop(slots.take().await.unwrap());
        slots.all_free().await;
        assert!(lock(&slots.order).occupied.is_empty());
    }

    #[tokio::test]
    async fn the_next_one_need_not_wait_until_the_evicted_one_is_closed() {
        let slots = ConnectionSlots::new(2, 1, 0);
        let first = occupied(&slots).await;
        let mut second = occupied(&slots).await;
        let third = occupied(&slots).await;
        assert!(is_evicted(&slots, &first) && !is_evicted(&slots, &second));
        // Asked again and again while all are occupied, it evicts one more, not all.
        for _ in 0..3 {
            let asked = std::pin::pin!(slots.take());
            tokio::select! { biased; _ = asked => unreachable!("all are occupied"), () = std::future::ready(()) => {} }
        }
        assert!(is_evicted(&slots, &second) && !is_evicted(&slots, &third));
        second.progress();
        assert!(is_evicted(&slots, &second), "too late");
        drop((first, second));
        assert_eq!(lock(&slots.order).evicted, 0);
        drop(occupied(&slots).await);
        assert!(!is_evicted(&slots, &third), "one slot is free");
    }

    #[tokio::test]
    async fn for_memory_one_with_an_unsent_answer_is_evicted() {
        let slots = ConnectionSlots::new(3, 0, 10);
        let idle = occupied(&slots).await;
        let older = occupied(&slots).await;
        let newer = occupied(&slots).await;
        let fill = |slot: &ConnectionSlot, bytes: usize| {
            slot.unsent().fetch_add(bytes, Ordering::Relaxed);
            slots.unsent().fetch_add(bytes, Ordering::Relaxed);
        };
        fill(&older, 6);
        fill(&newer, 4);
        slots.shed();
        assert!(!is_evicted(&slots, &older), "ten bytes are allowed");
        fill(&newer, 1);
        slots.shed();
        assert!(is_evicted(&slots, &older) && !is_evicted(&slots, &newer) && !is_evicted(&slots, &idle));
    }

    #[tokio::test]
    async fn an_address_evicts_its_own_connections_only() {
        let slots = ConnectionSlots::new(4, 0, 0);
        let other = occupied_from(&slots, 2).await;
        let first = occupied_from(&slots, 1).await;
        let second = occupied_from(&slots, 1).await;
        let _third = occupied_from(&slots, 1).await;
        let evicted_first = first.evicted();
        tokio::join!(slots.take(), async move {
            evicted_first.notified().await;
            drop(first);
        });
        assert!(!is_evicted(&slots, &other) && !is_evicted(&slots, &second));
    }
}
