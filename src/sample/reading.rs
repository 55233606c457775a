//! Is this value known, since when, and if not, why not? Absence is a value of its own, never 0 or the last known one.

use super::form::{OF_THE_SAMPLE, seconds};
use crate::time::{Span, Timestamp};
use crate::untrusted::Label;
use serde::de::{DeserializeOwned, Error, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::fmt;

/// A value as it was read at some instant, or the reason why there is none.
///
/// In a recording: the fields of the value, with `at` unless it was read for the sample, or those of the absence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<T> {
    /// The value and when it was read.
    Present {
        /// What was read.
        value: T,
        /// When.
        at: Timestamp,
    },
    /// Nothing could be read.
    Absent(Absence),
}

/// Why a value is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// The class of the reason.
    #[serde(rename = "absent")]
    pub reason: AbsenceReason,
    /// What was attempted on what, and what the machine said; already sanitized.
    #[serde(default = "nothing")]
    pub detail: Label,
}

fn nothing() -> Label {
    Label::new("")
}

/// The classes of reasons why something could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbsenceReason {
    /// Not read yet, or not looked for.
    NotRead,
    /// The file, process or socket is not there (any more).
    Gone,
    /// Permission denied.
    Denied,
    /// No answer within the limit; the read may still hang.
    TimedOut,
    /// Larger than the limit.
    TooLarge,
    /// Not in the form expected.
    Malformed,
    /// A symbolic link out of the root, a FIFO, a device: refused for safety.
    Unsafe,
    /// The other side answered with an error, or any other failure.
    Failed,
    /// highwater runs where it cannot be seen: in a container without the machine's pid namespace.
    Blind,
}

impl<T> Reading<T> {
    /// A value read at `at`.
    pub const fn present(value: T, at: Timestamp) -> Self {
        Self::Present { value, at }
    }

    /// No value, for this reason.
    pub fn absent(reason: AbsenceReason, detail: impl Into<Label>) -> Self {
        Self::Absent(Absence { reason, detail: detail.into() })
    }

    /// Not read yet.
    pub fn not_read() -> Self {
        Self::absent(AbsenceReason::NotRead, "not read yet")
    }

    /// No line of a recording tells it.
    pub(super) fn not_recorded() -> Self {
        Self::absent(AbsenceReason::NotRead, "not in the recording")
    }

    /// Replaces the time at which the value was read.
    pub(super) fn redate(&mut self, date: impl FnOnce(Timestamp) -> Timestamp) {
        if let Self::Present { at, .. } = self {
            *at = date(*at);
        }
    }

    /// The value, where there is one.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Present { value, .. } => Some(value),
            Self::Absent(_) => None,
        }
    }

    /// Why there is no value, where there is none.
    pub const fn absence(&self) -> Option<&Absence> {
        match self {
            Self::Present { .. } => None,
            Self::Absent(absence) => Some(absence),
        }
    }

    /// How old the value is at `now`.
    pub fn age(&self, now: Timestamp) -> Option<Span> {
        match self {
            Self::Present { at, .. } => Some(now.since(*at)),
            Self::Absent(_) => None,
        }
    }

    /// Applies a function to the value, keeping time or absence.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Present { value, at } => Reading::Present { value: f(value), at },
            Self::Absent(absence) => Reading::Absent(absence),
        }
    }

    /// Takes a part of the value; where the value lacks it, the reading is absent as not told.
    pub fn and_then<U>(self, part: impl FnOnce(&T) -> Option<U>) -> Reading<U> {
        match self {
            Self::Present { value, at } => part(&value).map_or_else(
                || Reading::absent(AbsenceReason::NotRead, "the answer does not contain it"),
                |value| Reading::Present { value, at },
            ),
            Self::Absent(absence) => Reading::Absent(absence),
        }
    }

    /// From a result whose error has already been classified.
    pub fn from_result(result: Result<T, Absence>, at: Timestamp) -> Self {
        match result {
            Ok(value) => Self::Present { value, at },
            Err(absence) => Self::Absent(absence),
        }
    }
}

impl<T: Serialize> Serialize for Reading<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Dated<'a, T> {
            #[serde(skip_serializing_if = "Option::is_none", with = "seconds")]
            at: Option<Timestamp>,
            #[serde(flatten)]
            value: &'a T,
        }
        match self {
            Self::Present { value, at } => {
                Dated { at: Some(*at).filter(|at| *at != OF_THE_SAMPLE), value }.serialize(to)
            }
            Self::Absent(absence) => absence.serialize(to),
        }
    }
}

/// Not derived: of fields that are flattened and optional, malformed ones would be taken for missing.
impl<'de, T: DeserializeOwned> Deserialize<'de> for Reading<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let fields = Map::deserialize(from)?;
        let said = |name: &str| fields.get(name).filter(|value| !value.is_null());
        let read = if said("absent").is_some() {
            Absence::deserialize(Value::Object(fields)).map(Self::Absent)
        } else {
            let at = said("at").map_or(Ok(OF_THE_SAMPLE), seconds::deserialize);
            at.and_then(|at| Ok(Self::present(T::deserialize(Value::Object(fields))?, at)))
        };
        read.map_err(D::Error::custom)
    }
}

/// For `#[serde(deserialize_with = "...")]`: a reading without a value.
pub(super) fn seen<'de, D: Deserializer<'de>>(from: D) -> Result<Reading<()>, D::Error> {
    Reading::<IgnoredAny>::deserialize(from).map(|reading| reading.map(|_| ()))
}

impl Absence {
    /// An absence with its reason and what was attempted.
    pub fn new(reason: AbsenceReason, detail: impl Into<Label>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl AbsenceReason {
    /// One word for tables and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRead => "not_read",
            Self::Gone => "gone",
            Self::Denied => "denied",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Unsafe => "unsafe",
            Self::Failed => "failed",
            Self::Blind => "blind",
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}
