//! May the walk go on? Limits in entries and time, the wish to stop, and pauses for the sake of everybody else.

use super::error::WalkError;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What one walk may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Directory entries; beyond it the walk ends with an error.
    pub entries: u64,
    /// From start to end, pauses included; beyond it the walk ends with an error.
    pub time: Duration,
    /// After this many entries comes a pause; 0 for none.
    pub pause_every: u64,
    /// How long a pause is.
    pub pause: Duration,
    /// Files with several hard links that are remembered at one time, about 32 bytes each.
    pub links: usize,
    /// Levels below a claimed directory. What lies deeper counts as unreadable.
    pub depth: usize,
    /// Directories that are known and not yet read, about 80 bytes each. What is beyond counts as unreadable.
    pub pending: usize,
}

impl Default for Budget {
    /// 20 million entries, 30 minutes, 2 ms after every 1,000 entries; 262,144 links (8 MiB), 4,096 levels (no path of PATH_MAX
    /// bytes has more than 2,048), 262,144 directories (20 MiB).
    fn default() -> Self {
        Self {
            entries: 20_000_000,
            time: Duration::from_mins(30),
            pause_every: 1_000,
            pause: Duration::from_millis(2),
            links: 1 << 18,
            depth: 4_096,
            pending: 1 << 18,
        }
    }
}

/// Counts what was spent.
pub(super) struct Meter<'a> {
    budget: &'a Budget,
    clock: &'a dyn Fn() -> Duration,
    started: Duration,
    stop: &'a AtomicBool,
    entries: u64,
}

/// The clock and the wish to stop are looked at after this many entries: some ten microseconds of work.
const GLANCE: u64 = 64;

impl<'a> Meter<'a> {
    pub(super) fn new(budget: &'a Budget, clock: &'a dyn Fn() -> Duration, stop: &'a AtomicBool) -> Self {
        Self { budget, clock, started: clock(), stop, entries: 0 }
    }

    /// One more entry.
    pub(super) fn entry(&mut self) -> Result<(), WalkError> {
        self.entries += 1;
        if self.entries > self.budget.entries {
            return Err(WalkError::TooManyEntries { limit: self.budget.entries });
        }
        if self.budget.pause_every > 0 && self.entries.is_multiple_of(self.budget.pause_every) {
            std::thread::sleep(self.budget.pause);
        }
        if self.entries % GLANCE == 1 { self.glance() } else { Ok(()) }
    }

    fn glance(&self) -> Result<(), WalkError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(WalkError::Stopped);
        }
        if self.took() > self.budget.time { Err(WalkError::TooSlow { limit: self.budget.time }) } else { Ok(()) }
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) fn took(&self) -> Duration {
        (self.clock)().saturating_sub(self.started)
    }
}

impl fmt::Debug for Meter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("entries", &self.entries).finish_non_exhaustive()
    }
}
