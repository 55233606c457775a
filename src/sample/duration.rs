//! How does Go write a length of time? `2m0s`, `1h30m`, `300ms`: the form of every duration in a kubelet's settings.

use crate::time::Span;

/// Nanoseconds in a unit that Go's time.ParseDuration knows; the micro sign and the Greek letter mu both count.
fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// Reads a duration as Go's time.ParseDuration does, cut to whole microseconds; `None` where Go reports an error.
///
/// A sign, then numbers each with a unit; the only number without a unit is `0`. Nothing else: no days, no spaces, no
/// bare seconds. Go's range is about 292 years to both sides.
pub fn parse_go_duration(text: &str) -> Option<Span> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(Span::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let scale = unit(after.get(..end)?)?;
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(scale)?)?.checked_add(part(fraction, scale))?;
        rest = after.get(end..)?;
    }
    // Go keeps an int64 of nanoseconds; only the negative side reaches 2^63.
    let limit = if negative { 1 << 63 } else { (1 << 63) - 1 };
    if total > limit {
        return None;
    }
    let micros = i64::try_from(total / 1_000).ok()?;
    Some(Span::from_micros(if negative { -micros } else { micros }))
}

/// The digits after the point, in units of a billionth of `scale`; digits beyond the eighteenth are below a nanosecond.
fn part(digits: &str, scale: u64) -> u64 {
    let mut value: u128 = 0;
    let mut divisor: u128 = 1;
    for digit in digits.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        divisor *= 10;
    }
    u64::try_from(value * u128::from(scale) / divisor).unwrap_or(0)
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases = [
            ("2m0s", 120_000_000),
            ("1h30m", 5_400_000_000),
            ("0s", 0),
            ("0", 0),
            ("-0", 0),
            ("300ms", 300_000),
            ("1.5h", 5_400_000_000),
            (".5s", 500_000),
            ("1.s", 1_000_000),
            ("-1m30s", -90_000_000),
            ("+5s", 5_000_000),
            ("1us", 1),
            ("1µs", 1),
            ("1μs", 1),
            ("1999ns", 1),
            ("30s1m", 90_000_000),
            ("2562047h47m16.854775807s", 9_223_372_036_854_775),
        ];
        for (text, micros) in cases {
            assert_eq!(parse_go_duration(text), Some(Span::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_no_duration() {
        for text in ["", "-", "+", "120", "1d", "1 s", " 1s", "1s ", ".s", "s", "1", "1.5", "--1s", "3000000h", "٣s"] {
            assert_eq!(parse_go_duration(text), None, "{text:?}");
        }
    }

    /// See tests/fixtures/kubelet/go-values; Go's nanoseconds are cut to microseconds here.
    #[test]
    fn go_reads_the_same_durations() {
        let lines = include_str!("../../tests/fixtures/kubelet/go-values/values.jsonl").lines();
        let rows: Vec<serde_json::Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        let rows: Vec<_> = rows.iter().filter(|row| row["kind"] == "duration").collect();
        assert!(rows.len() > 50);
        for row in rows {
            let text = row["text"].as_str().unwrap();
            let expected = row["value"].as_i64().map(|nanoseconds| Span::from_micros(nanoseconds / 1_000));
            assert_eq!(parse_go_duration(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text: String) {
            parse_go_duration(&text);
        }

        #[test]
        fn digits_and_units_in_any_order_are_read_without_panic(text in "[-+]?([0-9]{0,25}[.]?[0-9]{0,25}[mushn]{0,2}){0,4}") {
            parse_go_duration(&text);
        }

        #[test]
        fn whole_seconds_keep_their_value(hours in 0_i64..10_000, minutes in 0_i64..1_000, seconds in 0_i64..1_000) {
            let text = format!("{hours}h{minutes}m{seconds}s");
            prop_assert_eq!(parse_go_duration(&text), Some(Span::from_secs(hours * 3_600 + minutes * 60 + seconds)));
        }
    }
}
