//! What is there of a layer's images in numbers, and which are most at risk? Every image by name is in the explanation.

use super::Word;
use crate::assess::{ImageState, Observed};
use crate::model::Trigger;
use crate::model::recovery::Recoverable;
use crate::time::Timestamp;
use crate::units::Bytes;
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The images of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagesReport {
    /// When the runtime listed them.
    #[serde(with = "crate::form")]
    pub listed_at: Timestamp,
    /// Whether the lists were whole.
    pub complete: bool,
    /// How many there are of each state.
    pub by_state: BTreeMap<Word<ImageState>, Count>,
    /// What each trigger that deletes images would delete.
    pub victims: Vec<VictimsReport>,
    /// The images that the first of these would delete, the worst losses first; at most [`ImagesReport::MOST_AT_RISK`].
    #[serde(default)]
    pub at_risk: Vec<AtRisk>,
    /// What was seen to be deleted, by trigger; `unknown`: it cannot be told what deleted it.
    pub deleted_observed: BTreeMap<Word<Trigger>, Observed>,
}

/// Images in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    /// How many.
    pub count: usize,
    /// Their sizes as the runtime lists them.
    pub bytes: Bytes,
}

/// What one trigger would delete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VictimsReport {
    /// Which trigger.
    pub trigger: Word<Trigger>,
    /// Whether its threshold is crossed.
    pub crossed: bool,
    /// What is deleted whatever the order.
    pub certain: Count,
    /// What may be deleted besides.
    pub possible: Count,
    /// Of both, how many exist nowhere else.
    #[serde(default)]
    pub nowhere_else: usize,
    /// What at least becomes free on the disk; `None` where that is not known.
    #[serde(default)]
    pub freed_at_least_bytes: Option<Bytes>,
    /// What at most does.
    #[serde(default)]
    pub freed_at_most_bytes: Option<Bytes>,
}

/// An image that would be deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtRisk {
    /// What people call it.
    pub name: Label,
    /// `certain` or `possible`.
    pub outcome: Label,
    /// Whether it can be pulled again.
    pub recoverable: Word<Recoverable>,
}

impl ImagesReport {
    /// Images that are named.
    pub const MOST_AT_RISK: usize = 10;
    /// The word of deletions of which it cannot be told what did them.
    pub const UNKNOWN: &str = "unknown";
}

impl VictimsReport {
    /// Whether anything may be deleted.
    pub const fn any(&self) -> bool {
        self.certain.count + self.possible.count > 0
    }
}
