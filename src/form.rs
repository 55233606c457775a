//! How are lengths and points of time written in JSON? As seconds, and as RFC 3339 in UTC: `#[serde(with = "crate::form")]`.

use crate::time::{Span, TimeError, Timestamp};
use crate::units::Percent;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserializer, Serialize, Serializer};

/// A value with a form of its own in JSON.
pub trait Form: Sized {
    /// What is written.
    type Wire: Serialize + DeserializeOwned;

    /// As it is written.
    fn write(&self) -> Self::Wire;

    /// From what was written.
    ///
    /// # Errors
    /// When that is no such value.
    fn read(wire: Self::Wire) -> Result<Self, TimeError>;
}

/// Seconds, with fractions.
impl Form for Span {
    type Wire = f64;

    fn write(&self) -> f64 {
        self.as_secs_f64()
    }

    fn read(wire: f64) -> Result<Self, TimeError> {
        Ok(Self::from_secs_f64(wire))
    }
}

/// RFC 3339 in UTC, to the second.
impl Form for Timestamp {
    type Wire = String;

    fn write(&self) -> String {
        self.to_string()
    }

    fn read(wire: String) -> Result<Self, TimeError> {
        wire.parse()
    }
}

/// As it is.
impl Form for Percent {
    type Wire = Self;

    fn write(&self) -> Self {
        *self
    }

    fn read(wire: Self) -> Result<Self, TimeError> {
        Ok(wire)
    }
}

/// `null` where it is not known.
impl<T: Form> Form for Option<T> {
    type Wire = Option<T::Wire>;

    fn write(&self) -> Self::Wire {
        self.as_ref().map(Form::write)
    }

    fn read(wire: Self::Wire) -> Result<Self, TimeError> {
        wire.map(T::read).transpose()
    }
}

/// For serde.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<T: Form, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.write().serialize(serializer)
}

/// For serde.
///
/// # Errors
/// Those of the deserializer, and text that is no time.
pub fn deserialize<'de, T: Form, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let wire = <T::Wire as serde::Deserialize>::deserialize(deserializer)?;
    T::read(wire).map_err(D::Error::custom)
}
