//! What does a failed call mean, for the sample and for the calls after it? A call that fails costs itself only; a daemon that
//! cannot be reached, or is silent twice in a row, is not asked again in this round.

use crate::sample::{Absence, AbsenceReason, Reading};
use crate::time::Timestamp;

/// An error of a call to a daemon.
pub(super) trait Failure: std::error::Error {
    /// Its class in a sample.
    fn reason(&self) -> AbsenceReason;
    /// Whether the socket itself could not be reached.
    fn is_unreachable(&self) -> bool;
}

/// How much more of one daemon is tried in one round.
#[derive(Debug, Default)]
pub(super) struct Timeouts {
    /// Calls in a row that brought nothing in time.
    silent: u32,
    refusal: Option<Absence>,
}

/// Two, so that one slow call does not cost the others, and a dead daemon costs two limits and not five.
const SILENT_CALLS: u32 = 2;

impl Timeouts {
    /// Makes the call, unless the ones before it make it pointless.
    pub(super) async fn ask<T, E: Failure>(
        &mut self,
        now: Timestamp,
        call: impl Future<Output = Result<T, E>>,
    ) -> Reading<T> {
        if let Some(absence) = &self.refusal {
            return Reading::Absent(absence.clone());
        }
        let error = match call.await {
            Ok(value) => {
                self.silent = 0;
                return Reading::present(value, now);
            }
            Err(error) => error,
        };
        let absence = absence(&error);
        self.silent = if absence.reason == AbsenceReason::TimedOut { self.silent + 1 } else { 0 };
        if error.is_unreachable() {
            self.refusal = Some(absence.clone());
        } else if self.silent >= SILENT_CALLS {
            let text = "not asked, since the daemon did not answer the calls before";
            self.refusal = Some(Absence::new(AbsenceReason::NotRead, text));
        }
        Reading::Absent(absence)
    }
}

/// The error with its causes.
pub(super) fn absence(error: &impl Failure) -> Absence {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Absence::new(error.reason(), text)
}
