//! What could not be read or understood?

use super::{Text, Word};
use crate::sample::{Absence, AbsenceReason};
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that could not be read or understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The filesystem or layer it concerns, or `highwater`.
    pub subject: Text,
    /// Which source or part: `statfs`, `usage`, `policy`, `step`.
    pub part: Label,
    /// The class of the reason, where something could not be read.
    pub reason: Option<Word<AbsenceReason>>,
    /// What happened.
    pub detail: Label,
}

impl Problem {
    /// Of what is not understood.
    pub(super) fn new(subject: &Text, part: &str, detail: Label) -> Self {
        Self { subject: subject.clone(), part: Label::new(part), reason: None, detail }
    }

    /// Of what could not be read.
    pub(super) fn absent(subject: &Text, part: &str, absence: &Absence) -> Self {
        Self { reason: Some(absence.reason.into()), ..Self::new(subject, part, absence.detail.clone()) }
    }

    /// `timed_out: no answer`: what happened.
    pub fn why(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{reason}: {}", self.detail),
            None => self.detail.to_string(),
        }
    }
}

/// `/var/lib statfs: timed_out: no answer`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.subject, self.part, self.why())
    }
}
