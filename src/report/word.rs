//! What is a word of another agent that this one does not know? Kept and shown as it is, never an error.

use crate::assess::ImageState;
use crate::forecast::Horizon;
use crate::layer::LayerKind;
use crate::model::recovery::Recoverable;
use crate::model::{Signal, Trigger};
use crate::sample::{AbsenceReason, Component, Source};
use crate::untrusted::Label;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A word of a vocabulary that grows from release to release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Word<T> {
    /// One that this release knows.
    Known(T),
    /// Another one, as it was read.
    Other(Label),
}

/// A value that is written as one word.
pub trait Named {
    /// The word, as in JSON and metrics.
    fn name(&self) -> &'static str;
}

impl<T: Copy + PartialEq> Word<T> {
    /// The value, where it is known.
    pub const fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Other(_) => None,
        }
    }

    /// Whether it is this one.
    pub fn is(&self, value: T) -> bool {
        self.known() == Some(value)
    }
}

impl<T: Named> Word<T> {
    /// The word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(value) => value.name(),
            Self::Other(text) => text.as_str(),
        }
    }
}

impl<T: Copy> Word<T> {
    /// In the words of a renderer; one that is not known as it is.
    pub fn text(&self, words: impl FnOnce(T) -> &'static str) -> &str {
        match self {
            Self::Known(value) => words(*value),
            Self::Other(text) => text.as_str(),
        }
    }
}

impl<T> From<T> for Word<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: Named> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

macro_rules! named {
    ($($type:ty),*) => {
        $(impl Named for $type {
            fn name(&self) -> &'static str {
                self.as_str()
            }
        })*
    };
}
named!(AbsenceReason, Component, Horizon, ImageState, LayerKind, Signal, Source, Trigger, Verdict);

impl Named for Recoverable {
    fn name(&self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}
