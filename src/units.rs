//! Which unit does a number have? Newtypes for the quantities that could be mixed up, and the only conversions between them.
//!
//! Does not know thresholds or policies. Arithmetic saturates: a foreign filesystem may report anything.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A number of bytes, 0 to 2^64-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(u64);

/// A number of inodes, 0 to 2^64-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inodes(u64);

/// The kubelet's own integer percentage, normally 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(i64);

/// A fraction, normally 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ratio(f64);

/// Bytes per second; negative while a disk empties.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteRate(f64);

impl Bytes {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// Takes a plain number of bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Takes KiB (1,024 bytes), saturating.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1 << 10))
    }

    /// Takes MiB (1,048,576 bytes), saturating.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// Takes GiB (1,073,741,824 bytes), saturating.
    pub const fn from_gib(gib: u64) -> Self {
        Self(gib.saturating_mul(1 << 30))
    }

    /// The nearest whole number of bytes; NaN and negative values become 0, too large ones the maximum.
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float-to-int `as` saturates, which is the documented behaviour"
    )]
    pub fn from_f64_saturating(bytes: f64) -> Self {
        Self(bytes.round() as u64)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// As a float; exact below 2^53 bytes (8 PiB).
    pub fn as_f64(self) -> f64 {
        u64_as_f64(self.0)
    }

    /// As a signed number; values above 2^63-1 saturate.
    pub fn as_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// Sum, saturating.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Difference, 0 where `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// `20GiB`, `1.5GiB`, `500MB`, `20Gi`, `4096`: binary units with an i, decimal ones without, as Kubernetes and df have it.
impl std::str::FromStr for Bytes {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(end).ok_or(SizeError::Form)?;
        let unit = unit.trim_start();
        let unit = unit.strip_suffix('B').unwrap_or(unit);
        let (prefix, base) = match unit.strip_suffix('i') {
            Some(prefix) => (prefix, 1024.0_f64),
            None => (unit, 1000.0),
        };
        let power = match prefix {
            "" if unit.is_empty() => 0,
            "K" | "k" => 1,
            "M" => 2,
            "G" => 3,
            "T" => 4,
            "P" => 5,
            _ => return Err(SizeError::Form),
        };
        if power == 0
            && let Ok(bytes) = number.parse()
        {
            return Ok(Self(bytes));
        }
        let bytes = number.parse::<f64>().map_err(|_| SizeError::Form)? * base.powi(power);
        // 2^64, which f64 has exactly.
        if bytes < 18_446_744_073_709_551_616.0 {
            Ok(Self::from_f64_saturating(bytes))
        } else {
            Err(SizeError::TooLarge)
        }
    }
}

/// Text that is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not in the expected form.
    #[error("write a size as 20GiB, 1.5GiB or 500MB")]
    Form,
    /// More than can be counted.
    #[error("a size is at most 18446744073709551615 bytes, which is less than 16384PiB")]
    TooLarge,
}

impl Inodes {
    /// Takes a plain count.
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// The count.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// As a float; exact below 2^53.
    pub fn as_f64(self) -> f64 {
        u64_as_f64(self.0)
    }
}

impl Percent {
    /// Takes whole percent.
    pub const fn new(percent: i64) -> Self {
        Self(percent)
    }

    /// Whole percent.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// As a fraction: 85 becomes 0.85.
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "percentages are small")]
    pub fn ratio(self) -> Ratio {
        Ratio(self.0 as f64 / 100.0)
    }
}

impl Ratio {
    /// Takes a fraction.
    pub const fn new(ratio: f64) -> Self {
        Self(ratio)
    }

    /// The fraction.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl ByteRate {
    /// Takes bytes per second.
    pub const fn new(bytes_per_second: f64) -> Self {
        Self(bytes_per_second)
    }

    /// Bytes per second.
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// A count as a float; exact below 2^53.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "counts above 2^53 lose their last digits, which no reader of a metric sees"
)]
pub fn u64_as_f64(value: u64) -> f64 {
    value as f64
}

/// Three significant digits with a binary unit: `512 B`, `1.50 GiB`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&human(self.as_f64()))
    }
}

/// As [`Bytes`], with a sign where negative: `-1.50 GiB`.
pub fn human_signed(bytes: i64) -> String {
    let text = human(u64_as_f64(bytes.unsigned_abs()));
    if bytes < 0 { format!("-{text}") } else { text }
}

/// `12.3 MiB/s`, `-1.00 GiB/s`.
impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0.0 { "-" } else { "" };
        f.pad(&format!("{sign}{}/s", human(self.0.abs())))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}%", self.0))
    }
}

fn human(bytes: f64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024.0 {
        return format!("{bytes:.0} B");
    }
    let mut value = bytes;
    let mut unit = "B";
    for next in UNITS {
        // 999.5 and not 1024: four digits before the point do not fit three significant ones.
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let digits = if value < 9.995 { 2_usize } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_print_three_significant_digits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1536 * 1024 * 1024, "1.50 GiB"),
            (300_000_000_000, "279 GiB"),
            (1000 * 1024, "0.98 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Bytes::new(bytes).to_string(), text);
        }
    }

    #[test]
    fn sizes_are_read_in_binary_and_in_decimal_units() {
        let cases = [
            ("20GiB", 21_474_836_480),
            ("1.5GiB", 1_610_612_736),
            ("500MB", 500_000_000),
            ("20Gi", 21_474_836_480),
            ("3 TiB", 3_298_534_883_328),
            ("2k", 2_000),
            ("4096", 4_096),
            ("7B", 7),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(Bytes::new(bytes)), "{text}");
        }
        for text in ["", "GiB", "-1GiB", "1..5GiB", "5 parrots", "500m", "1iB", "1e9", "1GiBi", "NaN"] {
            assert_eq!(text.parse::<Bytes>(), Err(SizeError::Form), "{text}");
        }
        assert_eq!("18446744073709551615".parse(), Ok(Bytes::new(u64::MAX)));
        for text in ["18446744073709551616", "16384PiB", "99999999999999999999999999TB", "18446744073709551616.0"] {
            assert_eq!(text.parse::<Bytes>(), Err(SizeError::TooLarge), "{text}");
        }
    }

    #[test]
    fn negative_amounts_keep_their_sign() {
        assert_eq!(human_signed(-1_610_612_736), "-1.50 GiB");
        assert_eq!(ByteRate::new(-2048.0).to_string(), "-2.00 KiB/s");
    }

    #[test]
    fn floats_outside_the_range_saturate() {
        assert_eq!(Bytes::from_f64_saturating(-5.0), Bytes::ZERO);
        assert_eq!(Bytes::from_f64_saturating(f64::NAN), Bytes::ZERO);
        assert_eq!(Bytes::from_f64_saturating(f64::INFINITY), Bytes::new(u64::MAX));
    }
}
