//! Why did a Docker call bring nothing? One error type, and its class for a sample.

use crate::access::AccessError;
use crate::sample::{Absence, AbsenceReason};
use crate::source::failure::{Failure, absence};
use crate::untrusted::Label;
use std::time::Duration;
use thiserror::Error;

/// A failed call of the Docker Engine API; `path` is what was asked for.
#[derive(Debug, Error)]
pub enum DockerError {
    /// The socket could not be reached.
    #[error("Docker cannot be reached")]
    Connect {
        /// Why not.
        #[source]
        source: AccessError,
    },
    /// No complete reply within the limit.
    #[error("GET {path} of Docker did not answer within {limit:?}")]
    TimedOut {
        /// Which call.
        path: String,
        /// The limit.
        limit: Duration,
    },
    /// The connection broke, or the other side does not speak HTTP.
    #[error("GET {path} of Docker: the connection failed")]
    Connection {
        /// Which call.
        path: String,
        /// What hyper says.
        #[source]
        source: hyper::Error,
    },
    /// Any other HTTP status than 200.
    #[error("GET {path} of Docker failed with HTTP status {code}: {message}")]
    Status {
        /// Which call.
        path: String,
        /// The status.
        code: u16,
        /// The start of what the daemon says.
        message: Label,
    },
    /// The reply is not the expected JSON.
    #[error("GET {path} of Docker answered with something else")]
    Malformed {
        /// Which call.
        path: String,
        /// What is wrong, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// A reply that cannot be cut is larger than the limit.
    #[error("GET {path} of Docker answered with more than {limit} bytes")]
    TooLarge {
        /// Which call.
        path: String,
        /// The limit.
        limit: usize,
    },
}

impl Failure for DockerError {
    fn reason(&self) -> AbsenceReason {
        match self {
            Self::Connect { source, .. } => source.reason(),
            Self::TimedOut { .. } => AbsenceReason::TimedOut,
            Self::Connection { source, .. } if source.is_parse() => AbsenceReason::Malformed,
            Self::Connection { .. } | Self::Status { .. } => AbsenceReason::Failed,
            Self::Malformed { .. } => AbsenceReason::Malformed,
            Self::TooLarge { .. } => AbsenceReason::TooLarge,
        }
    }

    fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }
}

impl From<DockerError> for Absence {
    fn from(error: DockerError) -> Self {
        absence(&error)
    }
}
