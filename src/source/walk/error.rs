//! Why has a walk no result?

use nix::errno::Errno;
use std::time::Duration;
use thiserror::Error;

/// Why there is no result. There is never a part of one.
#[derive(Debug, Error)]
pub enum WalkError {
    /// The disk has more entries than the budget.
    #[error("the walk was given up after {limit} directory entries")]
    TooManyEntries {
        /// The budget.
        limit: u64,
    },
    /// It took longer than the budget.
    #[error("the walk was given up after {limit:?}")]
    TooSlow {
        /// The budget.
        limit: Duration,
    },
    /// Somebody wished so.
    #[error("the walk was stopped")]
    Stopped,
    /// `used` gave nothing, so that the rest of the disk is not known.
    #[error("the used bytes of the disk are not known, so the walk has no rest to give")]
    UsedUnknown,
    /// openat2 is missing (before Linux 5.6) or forbidden by a seccomp filter that answers ENOSYS.
    #[error("the kernel does not offer openat2, without which a walk is not safe: Linux 5.6 or newer is needed")]
    NoOpenat2,
    /// No file can be opened any more.
    #[error("the walk cannot open files")]
    OutOfFiles(#[source] Errno),
}
