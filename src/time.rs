//! When, and for how long? Points in time and spans, as plain numbers. There is no clock here: see `agent/clock.rs`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time: microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A length of time in microseconds, negative where it runs backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(i64);

const MICROS: f64 = 1_000_000.0;

impl Timestamp {
    /// Takes microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Takes seconds since the Unix epoch, saturating; NaN becomes the epoch.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self(f64_as_i64(seconds * MICROS))
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch.
    pub fn as_secs_f64(self) -> f64 {
        i64_as_f64(self.0) / MICROS
    }

    /// From `earlier` to this; negative where this is the earlier one.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// Takes microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Takes milliseconds, saturating.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Takes seconds, saturating.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Takes seconds, saturating; NaN becomes no time.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self(f64_as_i64(seconds * MICROS))
    }

    /// Microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Seconds.
    pub fn as_secs_f64(self) -> f64 {
        i64_as_f64(self.0) / MICROS
    }

    /// For the standard library; negative spans become zero.
    pub fn to_std(self) -> Duration {
        Duration::from_micros(u64::try_from(self.0).unwrap_or(0))
    }

    /// Sum, saturating.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl From<Duration> for Span {
    fn from(value: Duration) -> Self {
        Self(i64::try_from(value.as_micros()).unwrap_or(i64::MAX))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;

    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

/// RFC 3339 in UTC to the second: `2026-11-24T07:45:54Z`; before 1970 or after 9999 the bare number of seconds.
/// Text that is no point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a time as 2026-11-24T07:45:54Z, in UTC")]
pub struct TimeError;

/// RFC 3339 in UTC, to the second as [`Timestamp`] is written or finer; from 1970 on.
impl std::str::FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let time = humantime::parse_rfc3339_weak(text).map_err(|_| TimeError)?;
        let since_epoch = time.duration_since(std::time::UNIX_EPOCH).map_err(|_| TimeError)?;
        i64::try_from(since_epoch.as_micros()).map(Self).map_err(|_| TimeError)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const END_OF_9999: i64 = 253_402_300_800_000_000;
        match u64::try_from(self.0) {
            Ok(micros) if self.0 < END_OF_9999 => {
                let moment = std::time::UNIX_EPOCH + Duration::from_micros(micros);
                f.pad(&humantime::format_rfc3339_seconds(moment).to_string())
            }
            _ => f.pad(&format!("{}s", self.as_secs_f64())),
        }
    }
}

/// The two largest units: `3d 4h`, `2h 5m`, `1m 30s`, `12s`; below a second `0s`; a leading `-` where negative.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.unsigned_abs() / 1_000_000;
        let sign = if self.0 < 0 && seconds > 0 { "-" } else { "" };
        let (days, hours, minutes, secs) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let text = match (days, hours, minutes) {
            (0, 0, 0) => format!("{secs}s"),
            (0, 0, _) => two(minutes, "m", secs, "s"),
            (0, _, _) => two(hours, "h", minutes, "m"),
            _ => two(days, "d", hours, "h"),
        };
        f.pad(&format!("{sign}{text}"))
    }
}

fn two(major: u64, major_unit: &str, minor: u64, minor_unit: &str) -> String {
    if minor == 0 { format!("{major}{major_unit}") } else { format!("{major}{major_unit} {minor}{minor_unit}") }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "float-to-int `as` saturates, which is the documented behaviour"
)]
fn f64_as_i64(value: f64) -> i64 {
    value.round() as i64
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "microseconds are exact to 2^53, the year 2255")]
pub(crate) fn i64_as_f64(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_as_rfc_3339() {
        assert_eq!(Timestamp::from_micros(1_795_506_354_000_000).to_string(), "2026-11-24T07:45:54Z");
        assert_eq!(Timestamp::from_micros(-5_000_000).to_string(), "-5s");
        assert_eq!(Timestamp::from_micros(i64::MAX).to_string(), "9223372036854.775s");
    }

    #[test]
    fn spans_print_their_two_largest_units() {
        let cases =
            [(0, "0s"), (59, "59s"), (60, "1m"), (90, "1m 30s"), (7_500, "2h 5m"), (273_600, "3d 4h"), (-61, "-1m 1s")];
        for (seconds, text) in cases {
            assert_eq!(Span::from_secs(seconds).to_string(), text);
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::from_micros(i64::MAX) + Span::from_secs(1), Timestamp::from_micros(i64::MAX));
        assert_eq!(Span::from_secs(-3).to_std(), Duration::ZERO);
        assert_eq!(Span::from_secs_f64(f64::INFINITY).micros(), i64::MAX);
    }
}
