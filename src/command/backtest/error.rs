//! Why does a backtest stop?

use crate::command::recording::RecordingError;
use crate::forecast::backtest::TraceError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// A day of samples every second is 4 MiB; a month every 15 s is 9 MiB.
pub(super) const MOST_BYTES: u64 = 64 << 20;
/// As many samples as a trace of [`MOST_BYTES`] may have, all filesystems of a recording together.
pub(super) const MOST_POINTS: usize = 2 << 20;

/// Why a backtest stopped.
#[derive(Debug, Error)]
pub enum BacktestError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is larger than any trace.
    #[error("{} is larger than {} MiB when unpacked", path.display(), MOST_BYTES >> 20)]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// A recording cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// A trace is malformed.
    #[error("{}", path.display())]
    Trace {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: TraceError,
    },
    /// A recording has more samples than any that the agent writes.
    #[error("{} has more than {} samples", path.display(), MOST_POINTS)]
    TooMany {
        /// Which.
        path: PathBuf,
    },
    /// Nothing to play.
    #[error("no .csv, .json or .jsonl, or one of these with .gz, in {}", path.display())]
    Nothing {
        /// Where.
        path: PathBuf,
    },
    /// A result cannot be written.
    #[error("cannot write {what}")]
    Write {
        /// The file, or "the scores".
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}
