//! How much is `10%`, `1Gi` or `500M` in an eviction setting? The kubelet's two forms of a threshold, read as it reads
//! them.
//!
//! Mirrors `eviction/helpers.go` parseThresholdStatement and parsePercentage, and `resource.ParseQuantity`.

use thiserror::Error;

/// A threshold in bytes (or inodes), or as a part of the capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ThresholdValue {
    /// Bytes or inodes.
    Quantity(u64),
    /// A fraction of the capacity as the kubelet holds it: float32, 0.15 for "15%".
    Fraction(f32),
}

/// Why a value is no threshold. The texts do not repeat the value, which is foreign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ThresholdError {
    /// A percentage that is not a number.
    #[error("not a percentage")]
    NotAPercentage,
    /// Below 0 % or above 100 %.
    #[error("a percentage outside 0% to 100%")]
    OutOfRange,
    /// Not a Kubernetes quantity.
    #[error("not a quantity such as 1Gi, 500M or 10%")]
    NotAQuantity,
    /// 0 or negative where more than 0 is asked for.
    #[error("not more than zero")]
    NotPositive,
}

/// Reads a threshold; `None`: it is off (`0%` and `100%`, written exactly so).
pub fn parse_threshold(text: &str) -> Result<Option<ThresholdValue>, ThresholdError> {
    if text == "0%" || text == "100%" {
        return Ok(None);
    }
    if let Some(fraction) = parse_fraction(text)? {
        // Both comparisons are false for NaN, which Go lets pass and which is then never met; here it is an error.
        let allowed = (0.0..=1.0).contains(&fraction);
        return if allowed { Ok(Some(ThresholdValue::Fraction(fraction))) } else { Err(ThresholdError::OutOfRange) };
    }
    match parse_quantity(text)? {
        0 => Err(ThresholdError::NotPositive),
        quantity => Ok(Some(ThresholdValue::Quantity(quantity))),
    }
}

/// Reads what evictionMinimumReclaim asks for; percentages above 100 and a quantity of 0 are accepted, as by the
/// kubelet.
pub fn parse_minimum_reclaim(text: &str) -> Result<ThresholdValue, ThresholdError> {
    if let Some(fraction) = parse_fraction(text)? {
        return if fraction > 0.0 { Ok(ThresholdValue::Fraction(fraction)) } else { Err(ThresholdError::NotPositive) };
    }
    parse_quantity(text).map(ThresholdValue::Quantity)
}

/// A percentage as float32 divided by 100 in float32; `None` where the text does not end in `%`.
fn parse_fraction(text: &str) -> Result<Option<f32>, ThresholdError> {
    if !text.ends_with('%') {
        return Ok(None);
    }
    // Go's TrimRight removes every trailing sign, so "5%%" is 5.
    let number: f32 = text.trim_end_matches('%').parse().map_err(|_| ThresholdError::NotAPercentage)?;
    Ok(Some(number / 100.0))
}

/// A quantity in whole units, rounded up: a threshold of 1.5 bytes is met below 2. Negative ones are
/// [`ThresholdError::NotPositive`].
fn parse_quantity(text: &str) -> Result<u64, ThresholdError> {
    match magnitude(text).ok_or(ThresholdError::NotAQuantity)? {
        (true, value) if value > 0 => Err(ThresholdError::NotPositive),
        (_, value) => Ok(value),
    }
}

/// Whether there is a minus sign, and the rest; `None` where it is malformed.
fn magnitude(text: &str) -> Option<(bool, u64)> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let split = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at_checked(split)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let (binary, decimal) = interpret(suffix)?;
    let digits: String = whole.chars().chain(fraction.chars()).collect();
    let digits = digits.trim_start_matches('0');
    let places = decimal.saturating_sub(i64::try_from(fraction.len()).ok()?);
    Some((negative, scale(digits, binary, places)))
}

/// A suffix as a power of two and a power of ten.
fn interpret(suffix: &str) -> Option<(u32, i64)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => (0, suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?.into()),
    })
}

/// digits × 2^binary × 10^decimal, rounded up, saturating.
fn scale(digits: &str, binary: u32, decimal: i64) -> u64 {
    if digits.is_empty() {
        return 0;
    }
    let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    // 2^64 has 20 digits, and nothing that is not nothing is less than one.
    if length.saturating_add(decimal) > 20 {
        return u64::MAX;
    }
    if length.saturating_add(decimal) < -20 {
        return 1;
    }
    // 20 digits times 2^60 fit into 128 bits. With the test above, digits after the twentieth are behind the point:
    // they only round up.
    let kept = digits.get(..20.min(digits.len())).unwrap_or(digits);
    let cut = digits.get(kept.len()..).unwrap_or("");
    let decimal = decimal.saturating_add(i64::try_from(cut.len()).unwrap_or(0));
    let mantissa = kept.parse::<u128>().unwrap_or(u128::MAX).saturating_add(u128::from(cut.contains(|c| c != '0')));
    let shifted = mantissa.saturating_mul(1 << binary);
    let power = 10_u128.saturating_pow(u32::try_from(decimal.unsigned_abs()).unwrap_or(u32::MAX));
    let value = if decimal >= 0 { shifted.saturating_mul(power) } else { shifted.div_ceil(power) };
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exactly_0_and_100_percent_switch_a_threshold_off() {
        assert_eq!(parse_threshold("0%"), Ok(None));
        assert_eq!(parse_threshold("100%"), Ok(None));
        // Any other spelling of nothing stays a threshold that is never met.
        assert_eq!(parse_threshold("0.0%"), Ok(Some(ThresholdValue::Fraction(0.0))));
    }

    #[test]
    fn percentages_are_single_precision() {
        let cases = [("5%", 0.05_f32), ("10%", 0.1), ("15%", 0.15), ("15.5%", 0.155), ("+5%", 0.05), ("5%%", 0.05)];
        for (text, fraction) in cases {
            assert_eq!(parse_threshold(text), Ok(Some(ThresholdValue::Fraction(fraction))), "{text}");
        }
        assert_eq!(f64::from(0.15_f32).to_string(), "0.15000000596046448");
    }

    #[test]
    fn quantities_are_read_with_every_suffix() {
        let cases = [
            ("1", 1),
            ("100Mi", 104_857_600),
            ("1Gi", 1_073_741_824),
            ("1.5Gi", 1_610_612_736),
            (".5Gi", 536_870_912),
            ("1.Gi", 1_073_741_824),
            ("500M", 500_000_000),
            ("1k", 1_000),
            ("1e3", 1_000),
            ("1E3", 1_000),
            ("2E", 2_000_000_000_000_000_000),
            ("1500m", 2),
            ("+7", 7),
            ("0007", 7),
            ("1n", 1),
            ("1e-30", 1),
            ("1e30", u64::MAX),
            ("99Ei", u64::MAX),
            ("1.000000000000000000000000001", 2),
            ("1.000000000000000000000000000", 1),
            ("0.00000000000000000000000000000000000000001", 1),
        ];
        for (text, value) in cases {
            assert_eq!(parse_threshold(text), Ok(Some(ThresholdValue::Quantity(value))), "{text}");
        }
    }

    #[test]
    fn what_the_kubelet_refuses_is_an_error_with_its_kind() {
        let cases = [
            ("", ThresholdError::NotAQuantity),
            ("Mi", ThresholdError::NotAQuantity),
            ("1Mib", ThresholdError::NotAQuantity),
            ("1 Gi", ThresholdError::NotAQuantity),
            ("1.2.3", ThresholdError::NotAQuantity),
            ("ten", ThresholdError::NotAQuantity),
            ("1e", ThresholdError::NotAQuantity),
            ("0", ThresholdError::NotPositive),
            ("0Gi", ThresholdError::NotPositive),
            ("-1Gi", ThresholdError::NotPositive),
            ("-5%", ThresholdError::OutOfRange),
            ("101%", ThresholdError::OutOfRange),
            ("NaN%", ThresholdError::OutOfRange),
            ("%", ThresholdError::NotAPercentage),
            ("5 %", ThresholdError::NotAPercentage),
        ];
        for (text, error) in cases {
            assert_eq!(parse_threshold(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_minimum_reclaim_may_be_zero_and_above_all_there_is() {
        assert_eq!(parse_minimum_reclaim("0"), Ok(ThresholdValue::Quantity(0)));
        assert_eq!(parse_minimum_reclaim("150%"), Ok(ThresholdValue::Fraction(1.5)));
        assert_eq!(parse_minimum_reclaim("0%"), Err(ThresholdError::NotPositive));
        assert_eq!(parse_minimum_reclaim("-1"), Err(ThresholdError::NotPositive));
    }

    #[derive(serde::Deserialize)]
    struct Row {
        kind: String,
        text: String,
        #[serde(default)]
        capacity: u64,
        value: Option<i64>,
    }

    /// The rows of one kind that Go computed, see tests/fixtures/kubelet/go-values.
    fn rows_of_go(kind: &str) -> Vec<Row> {
        let lines = include_str!("../../tests/fixtures/kubelet/go-values/values.jsonl").lines();
        let rows: Vec<Row> =
            lines.map(|line| serde_json::from_str(line).unwrap()).filter(|row: &Row| row.kind == kind).collect();
        assert!(rows.len() > 50);
        rows
    }

    #[test]
    fn go_reads_the_same_quantities() {
        for row in rows_of_go("quantity") {
            let positive = row.value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
            let ours = match parse_threshold(&row.text) {
                Ok(Some(ThresholdValue::Quantity(value))) => Some(value),
                _ => None,
            };
            assert_eq!(ours, positive, "{:?}", row.text);
        }
    }

    #[test]
    fn go_computes_the_same_part_of_a_capacity() {
        for row in rows_of_go("percentage") {
            // Exactly 0% and 100% are off.
            let ours = parse_threshold(&row.text).unwrap().map(|value| value.of(row.capacity));
            assert!(ours.is_none_or(|value| i64::try_from(value).ok() == row.value), "{:?} {ours:?}", row.text);
        }
    }

    #[test]
    fn go_computes_the_same_usage() {
        for row in rows_of_go("usage") {
            let available = crate::units::Bytes::new(row.text.parse().unwrap());
            let ours = crate::model::usage::kubelet_percent(crate::units::Bytes::new(row.capacity), available);
            assert_eq!(ours.map(crate::units::Percent::get), row.value, "{} of {}", row.text, row.capacity);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text: String) {
            assert_eq!(parse_threshold(&text).is_err(), parse_threshold(&text).is_err());
            assert_eq!(parse_minimum_reclaim(&text).is_err(), parse_minimum_reclaim(&text).is_err());
        }

        #[test]
        fn numbers_of_any_length_are_read_without_panic(text in "[-+]?[0-9]{0,60}[.]?[0-9]{0,60}([eE][-+]?[0-9]{0,12}|[KMGTPE]i|[numkMGTPE])?%?") {
            assert_eq!(parse_threshold(&text).is_err(), parse_threshold(&text).is_err());
        }

        #[test]
        fn whole_numbers_keep_their_value(value in 1_u64..) {
            prop_assert_eq!(parse_threshold(&value.to_string()), Ok(Some(ThresholdValue::Quantity(value))));
        }
    }
}
