//! What has been seen of one filesystem so far? Takes samples as they come and keeps a bounded past.
//!
//! Reads no clock: the time of a forecast is the time of the newest observation.

use super::Forecast;
use super::minutes::BLOCK_SECONDS;
use super::rate::{RATE_SECONDS, recent_rate};
use super::series::Series;
use crate::forecast::outlook::{Level, Outlook};
use crate::time::{Span, Timestamp};
use crate::units::{ByteRate, Bytes, Inodes, u64_as_f64};
use serde::{Deserialize, Serialize};

/// One sight of a filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// When it was measured.
    pub at: Timestamp,
    /// Bytes in all; 0 means that bytes are not known.
    pub capacity: Bytes,
    /// Bytes an ordinary writer can still use.
    pub available: Bytes,
    /// Inodes in all; 0 means that the filesystem does not count them.
    pub files: Inodes,
    /// Inodes free.
    pub files_free: Inodes,
}

/// The bounded past of one filesystem: at most 64 KiB, in memory and serialized.
///
/// ```
/// use highwater::forecast::{Forecast, History, Observation};
/// use highwater::time::Timestamp;
/// use highwater::units::{Bytes, Inodes};
///
/// let mut history = History::new();
/// for second in 0..60u32 {
///     history.observe(Observation {
///         at: Timestamp::from_secs_f64(f64::from(second)),
///         capacity: Bytes::from_gib(100),
///         available: Bytes::from_mib(40_000 - u64::from(second) * 10),
///         files: Inodes::new(0),
///         files_free: Inodes::new(0),
///     });
/// }
/// let p50 = history.forecast(Bytes::from_mib(33_410)).and_then(|forecast| forecast.p50).unwrap();
/// assert!((500.0..700.0).contains(&p50.as_secs_f64()));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    clock: Option<Clock>,
    bytes: Series,
    inodes: Series,
}

/// What was available at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When, to the minute; the newest to the sample.
    pub at: Timestamp,
    /// Bytes an ordinary writer could still use. After a resize, what it would have been with the present size.
    pub available: Bytes,
}

/// Maps the observations' time to one that never runs backwards.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Clock {
    last: Timestamp,
    /// Seconds since the first observation, jumps backwards left out.
    elapsed: f64,
}

impl History {
    /// Version of the serialized form; a file with another one is not read. Rises with every change of a field or its meaning.
    pub const VERSION: u32 = 1;

    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next sample. One with the time of its predecessor is ignored; one with an earlier time tells that the
    /// clock was set back and counts as taken one second after its predecessor.
    pub fn observe(&mut self, seen: Observation) {
        let elapsed = match self.clock {
            None => 0.0,
            Some(clock) => match seen.at.since(clock.last) {
                Span::ZERO => return,
                step if step < Span::ZERO => clock.elapsed + 1.0,
                step => clock.elapsed + step.as_secs_f64(),
            },
        };
        self.clock = Some(Clock { last: seen.at, elapsed });
        if seen.capacity > Bytes::ZERO {
            self.bytes.push(elapsed, seen.capacity.as_f64(), seen.available.as_f64());
        }
        if seen.files > Inodes::new(0) {
            self.inodes.push(elapsed, seen.files.as_f64(), seen.files_free.as_f64());
        }
    }

    /// The recent net rate, over the last two minutes: the middle one of five windows that end now, so that a single spike does not decide; negative while the disk empties. `None` before there are three
    /// samples over at least a second, or so few since the last gap.
    pub fn fill_rate(&self) -> Option<ByteRate> {
        recent_rate(self.bytes.since(RATE_SECONDS)).map(|rate| ByteRate::new(rate.fall))
    }

    /// What was available at the end of each of the last `minutes`, at most a day's, oldest first; minutes without a sample are
    /// left out.
    pub fn past(&self, minutes: usize) -> Vec<Moment> {
        let Some(clock) = self.clock else { return Vec::new() };
        let blocks = self.bytes.minutes();
        let capacity = self.bytes.capacity();
        let mut past: Vec<Moment> = (0..)
            .zip(blocks.iter().rev())
            .take(minutes)
            .filter_map(|(age, minute)| {
                let end = u64_as_f64(blocks.newest().saturating_sub(age)) * BLOCK_SECONDS;
                // The newest is not over yet.
                let ago = if age == 0 { 0.0 } else { (clock.elapsed - end).max(0.0) };
                let available = Bytes::from_f64_saturating(minute?.level * capacity);
                Some(Moment { at: clock.last - Span::from_secs_f64(ago), available })
            })
            .collect();
        past.reverse();
        past
    }

    /// What the past says about the future, from which the forecast for any number of levels follows cheaply.
    pub fn outlook(&self) -> Outlook {
        Outlook { bytes: Level::new(&self.bytes), inodes: Level::new(&self.inodes) }
    }

    /// What the fitted part of the forecast weighs for a fall below `below`: a row of values for each horizon in minutes, in the
    /// order of the constants. For those who fit them anew (`examples/fit_forecast.rs`); `None` where nothing was seen.
    pub fn weighed(&self, below: Bytes) -> Option<Vec<(usize, Vec<f64>)>> {
        self.bytes.weighed(below.as_f64())
    }

    /// Bytes of memory it takes, at most 64 KiB.
    pub fn state_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.heap_bytes() + self.inodes.heap_bytes()
    }

    /// Time until fewer than `below` bytes are available, counted from the newest observation. `None` while too little
    /// was seen. For several levels ask [`History::outlook`] once.
    pub fn forecast(&self, below: Bytes) -> Option<Forecast> {
        self.outlook().forecast(below)
    }

    /// The same for inodes.
    pub fn forecast_inodes(&self, below: Inodes) -> Option<Forecast> {
        self.outlook().forecast_inodes(below)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
