//! How does a recording write times and durations? In seconds, and in a kubelet's settings as Go does.

use super::duration::parse_go_duration;
use crate::time::{Span, Timestamp};
use crate::untrusted::Label;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::Serializer;
use std::fmt;

/// Stands for the time of the sample to which a reading belongs. It is not written.
pub(super) const OF_THE_SAMPLE: Timestamp = Timestamp::from_micros(i64::MIN);

/// Whether a field need not be written, since a reader takes this value where it is missing.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// For `#[serde(with = "...")]` on a [`Timestamp`], a [`Span`] or an `Option` of one.
pub(super) mod seconds {
    use super::{Deserializer, InSeconds, Serializer};

    pub(in crate::sample) fn serialize<T: InSeconds, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        value.write(to)
    }

    pub(in crate::sample) fn deserialize<'de, T: InSeconds, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        T::read(from)
    }
}

/// What is written as seconds, a number that is exact to the microsecond.
pub(super) trait InSeconds: Copy {
    /// Writes it.
    fn write<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error>;
    /// Reads it.
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

/// 2^32 seconds, in 2106: up to there a double is exact to the microsecond.
const LATEST: i64 = 4_294_967_296_000_000;

fn checked(micros: i64) -> Option<Timestamp> {
    (0..=LATEST).contains(&micros).then_some(Timestamp::from_micros(micros))
}

fn from_f64(seconds: f64) -> Option<Timestamp> {
    // Whole seconds and the rest apart: each is exact, their product with a million would not be.
    let whole = Timestamp::from_secs_f64(seconds.trunc());
    checked((whole + Span::from_secs_f64(seconds.fract())).micros())
}

/// Since 1970, or RFC 3339 on input. A time before 1970 or after 2106, which no machine has, becomes the nearest of these.
impl InSeconds for Timestamp {
    fn write<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(Self::from_micros(self.micros().clamp(0, LATEST)).as_secs_f64())
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TimeVisitor)
    }
}

/// From 0 to 136 years; one that is longer or negative becomes the nearest of these.
impl InSeconds for Span {
    fn write<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        Timestamp::from_micros(self.micros()).write(to)
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let length = from_f64(f64::deserialize(from)?);
        let length = length.ok_or_else(|| de::Error::custom("a length of time is 0 or more seconds"))?;
        Ok(Self::from_micros(length.micros()))
    }
}

impl<T: InSeconds> InSeconds for Option<T> {
    fn write<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => value.write(to),
            None => to.serialize_none(),
        }
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Held<T>(T);
        impl<'de, T: InSeconds> Deserialize<'de> for Held<T> {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                T::read(from).map(Self)
            }
        }
        Ok(Option::<Held<T>>::deserialize(from)?.map(|held| held.0))
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds since 1970, or a time as 2026-11-24T07:45:54.25Z, not after 2106")
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Timestamp, E> {
        from_f64(seconds).ok_or_else(|| E::invalid_value(de::Unexpected::Float(seconds), &self))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Timestamp, E> {
        let micros = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1_000_000));
        let time = micros.and_then(checked);
        time.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(seconds), &self))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Timestamp, E> {
        match u64::try_from(seconds) {
            Ok(seconds) => self.visit_u64(seconds),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(seconds), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        let time = humantime::parse_rfc3339(text).ok();
        let since_epoch = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let micros = since_epoch.and_then(|span| i64::try_from(span.as_micros()).ok());
        micros.and_then(checked).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// For `#[serde(with = "...")]` on an `Option<Span>`: as Go writes a duration, whole seconds as `120s`, else `1500000us`.
pub(super) mod go_duration {
    use super::{Deserialize, Deserializer, Label, Serializer, Span, de, parse_go_duration};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(in crate::sample) fn serialize<S: Serializer>(span: &Option<Span>, to: S) -> Result<S::Ok, S::Error> {
        let Some(span) = span else { return to.serialize_none() };
        // Go has no longer ones than its 2^63 nanoseconds.
        let micros = span.micros().clamp(-i64::MAX / 1_000, i64::MAX / 1_000);
        let text = if micros % 1_000_000 == 0 { format!("{}s", micros / 1_000_000) } else { format!("{micros}us") };
        to.serialize_str(&text)
    }

    pub(in crate::sample) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Span>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)?.map(Label::from) else { return Ok(None) };
        let span = parse_go_duration(text.as_str());
        span.map(Some).ok_or_else(|| de::Error::custom(format!("\"{text}\" is no duration such as 2m0s")))
    }
}
