//! How does a command fail? One line for the chain of causes, and a documented exit code.

use super::backtest::BacktestError;
use super::recording::RecordingError;
use super::remote::RemoteError;
use crate::access::AccessError;
use crate::config::{ConfigError, ListenError};
use crate::report::UnknownLayer;
use crate::web::WebConfigError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a command could not do its work.
#[derive(Debug, Error)]
pub enum Failure {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing can listen there.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// TLS or users are not usable.
    #[error(transparent)]
    Web(#[from] WebConfigError),
    /// The machine cannot be read at all.
    #[error("cannot read the processes of this machine")]
    Machine(#[from] AccessError),
    /// No layer has that name, or several end in it.
    #[error("{0}")]
    Layer(UnknownLayer),
    /// The agent that was named does not answer, or cannot be asked.
    #[error(transparent)]
    Agent(RemoteError),
    /// Traces cannot be read, or scores not written.
    #[error(transparent)]
    Backtest(#[from] BacktestError),
    /// Standard output or a thread failed.
    #[error("{attempt}")]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Manual pages cannot be written there.
    #[error("cannot write manual pages into {}", directory.display())]
    Pages {
        /// Where.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A recording cannot be opened or holds nothing that can be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The sampling thread is gone.
    #[error("the sampling thread ended; this is a defect of highwater, please report it")]
    SamplerEnded,
}

impl Failure {
    /// A failed system call.
    pub fn io(attempt: &'static str, source: io::Error) -> Self {
        Self::Io { attempt, source }
    }

    /// Whether standard output was closed by its reader, as `highwater check | head -1` does. That is no failure.
    pub fn is_closed_pipe(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::Backtest(BacktestError::Write { source, .. }) => {
                source.kind() == io::ErrorKind::BrokenPipe
            }
            _ => false,
        }
    }

    /// The exit code: 2 for a mistake in flags or files, as clap has it, 3 where the agent that was named does not answer, 1 for
    /// the rest. `check` has 4 for mistakes and the rest, since its lower ones mean something.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Listen(_)
            | Self::Web(_)
            | Self::Backtest(_)
            | Self::Layer(_)
            | Self::Recording(_)
            | Self::Pages { .. }
            | Self::Agent(RemoteError::Question { .. } | RemoteError::Setup(_)) => 2,
            Self::Agent(_) => 3,
            _ => 1,
        }
    }
}
