//! Why could something on the machine not be touched? One error type for the folder, and its class for a sample.

use crate::sample::{Absence, AbsenceReason};
use nix::errno::Errno;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A failed access, with what was attempted on what.
#[derive(Debug, Error)]
pub enum AccessError {
    /// A system call failed.
    #[error("{attempt} {}", path.display())]
    Os {
        /// What was attempted: `open`, `read`, `statfs`, `connect`.
        attempt: &'static str,
        /// On what, as the layer sees it.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// A FIFO, device, socket or directory where a regular file (or a socket) is wanted.
    #[error("{} is a {found}, not a {wanted}", path.display())]
    WrongKind {
        /// Which path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
        /// What should be.
        wanted: &'static str,
    },
    /// More bytes or entries than the limit.
    #[error("{} is larger than the limit of {limit}", path.display())]
    TooLarge {
        /// Which path.
        path: PathBuf,
        /// The limit, in bytes or entries.
        limit: usize,
    },
    /// Not in the expected form.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// Which path.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The call did not come back in time; it may still run.
    #[error("{attempt} {} did not come back within {limit_ms} ms", path.display())]
    TimedOut {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// The limit in milliseconds.
        limit_ms: u128,
    },
    /// The process is not the one it was: the pid was reused, or it is gone.
    #[error("process {pid} is gone or is another one by now")]
    ProcessGone {
        /// Which pid.
        pid: u32,
    },
}

impl AccessError {
    /// A failed system call.
    pub fn os(attempt: &'static str, path: &Path, source: Errno) -> Self {
        Self::Os { attempt, path: path.to_owned(), source }
    }

    /// The class of this error.
    pub fn reason(&self) -> AbsenceReason {
        match self {
            Self::Os { source, .. } => match *source {
                Errno::ENOENT | Errno::ESRCH | Errno::ENOTDIR | Errno::ECONNREFUSED | Errno::ESTALE => {
                    AbsenceReason::Gone
                }
                Errno::EACCES | Errno::EPERM => AbsenceReason::Denied,
                Errno::ELOOP | Errno::EXDEV => AbsenceReason::Unsafe,
                Errno::ETIMEDOUT => AbsenceReason::TimedOut,
                _ => AbsenceReason::Failed,
            },
            Self::WrongKind { .. } => AbsenceReason::Unsafe,
            Self::TooLarge { .. } => AbsenceReason::TooLarge,
            Self::Malformed { .. } => AbsenceReason::Malformed,
            Self::TimedOut { .. } => AbsenceReason::TimedOut,
            Self::ProcessGone { .. } => AbsenceReason::Gone,
        }
    }
}

impl From<AccessError> for Absence {
    fn from(error: AccessError) -> Self {
        let mut text = error.to_string();
        if let Some(cause) = std::error::Error::source(&error) {
            text = format!("{text}: {cause}");
        }
        Self::new(error.reason(), text.as_str())
    }
}
