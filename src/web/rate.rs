//! How many requests are answered in a time? A bucket that is refilled steadily, for all clients together.

use crate::config::web::RateLimit;
use crate::time::Span;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::sleep;

/// The resolution of tokio's timers.
const LEAST: Span = Span::from_millis(1);

/// A bucket of requests; full at first.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    /// How many are taken; while there are any, one is put back in each interval.
    taken: Arc<Mutex<u32>>,
}

impl Bucket {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, taken: Arc::default() }
    }

    /// Takes one request out; false when the bucket is empty.
    pub(super) fn take(&self) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if *taken >= self.limit.burst.get() {
            return false;
        }
        *taken += 1;
        if *taken == 1 {
            tokio::spawn(refill(self.limit, Arc::clone(&self.taken)));
        }
        true
    }
}

/// Puts one back in each interval until the bucket is full; several at a time where the interval is less than a timer can do.
async fn refill(limit: RateLimit, taken: Arc<Mutex<u32>>) {
    let pause = limit.interval.max(LEAST);
    let several = u32::try_from(pause.micros() / limit.interval.micros().max(1)).unwrap_or(1);
    loop {
        sleep(pause.to_std()).await;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_sub(several);
        if *taken == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_let_through_and_then_one_in_each_interval() {
        let limit = RateLimit { interval: Span::from_secs(1), burst: NonZeroU32::new(3).unwrap() };
        let bucket = Bucket::new(limit);
        let take = |count: usize| (0..count).filter(|_| bucket.take()).count();
        assert_eq!(take(10), 3);
        sleep(Duration::from_millis(2_500)).await;
        assert_eq!(take(10), 2);
        sleep(Duration::from_hours(1)).await;
        assert_eq!(take(10), 3);
    }
}
