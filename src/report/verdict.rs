//! How bad is it, and why?

use super::text::Text;
use super::word::Word;
use crate::model::Trigger;
use crate::sample::Source;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// The state of a node, and what decides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictReport {
    /// The state.
    pub status: Word<Verdict>,
    /// Why it is no better; `None` where it is ok.
    pub reason: Option<Word<Reason>>,
    /// The layer that decides.
    pub layer: Option<Text>,
    /// The trigger that does.
    pub trigger: Option<Word<Trigger>>,
    /// The source that does.
    pub source: Option<Word<Source>>,
}

/// Why a state is not ok.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The agent has stopped sampling.
    Stale,
    /// No trigger is known.
    NoTrigger,
    /// A source that decides could not be read.
    SourceDown,
    /// The threshold of a trigger is crossed.
    TriggerCrossed,
    /// A trigger is expected within a window.
    TriggerExpected,
}

/// What an agent that does not say it has concluded: nothing.
impl Default for VerdictReport {
    fn default() -> Self {
        Self { status: Verdict::Unknown.into(), reason: None, layer: None, trigger: None, source: None }
    }
}
