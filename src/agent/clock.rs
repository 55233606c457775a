//! What time is it? The only clock of the program.

use crate::time::Timestamp;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// A clock that is never set, for durations.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}
