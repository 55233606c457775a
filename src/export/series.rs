//! What is one series? A metric of the catalogue, the values of its labels, and its value now.

use super::catalogue::Name;
use crate::report::{Named, Word};
use std::sync::Arc;

/// The value of one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabelValue {
    /// One of a fixed set.
    Fixed(&'static str),
    /// A name from the machine.
    Named(Arc<str>),
}

/// The value of one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A count, exact.
    Count(u64),
    /// A count that may be negative, exact.
    Signed(i64),
    /// Anything else; infinity is written as it is.
    Float(f64),
}

/// One series: a metric, one value for each of its labels, its value now.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Which metric.
    pub name: Name,
    /// The values of the labels of the catalogue, in that order.
    pub labels: Vec<LabelValue>,
    /// Its value.
    pub value: Value,
}

impl LabelValue {
    /// The text.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Fixed(text) => text,
            Self::Named(text) => text,
        }
    }
}

impl From<&'static str> for LabelValue {
    fn from(text: &'static str) -> Self {
        Self::Fixed(text)
    }
}

impl From<&Arc<str>> for LabelValue {
    fn from(text: &Arc<str>) -> Self {
        Self::Named(Arc::clone(text))
    }
}

/// The label value of a word of the report.
pub(super) fn word<T: Named>(word: &Word<T>) -> LabelValue {
    match word {
        Word::Known(value) => value.name().into(),
        Word::Other(text) => named(text.as_str()),
    }
}

/// The label value of a name from the machine.
pub(super) fn named(text: &str) -> LabelValue {
    LabelValue::Named(Arc::from(text))
}

/// A series with as many label values as its metric has labels.
pub(super) fn series<const N: usize>(name: Name, labels: [LabelValue; N], value: Value) -> Series {
    debug_assert_eq!(name.metric().labels.len(), N, "{name:?}");
    Series { name, labels: Vec::from(labels), value }
}
