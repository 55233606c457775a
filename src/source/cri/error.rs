//! Why did a CRI call bring nothing? One error type, and its class for a sample.

use super::method::Method;
use crate::access::AccessError;
use crate::sample::{Absence, AbsenceReason};
use crate::source::failure::{Failure, absence};
use crate::untrusted::Label;
use std::time::Duration;
use thiserror::Error;

/// A failed CRI call.
#[derive(Debug, Error)]
pub enum CriError {
    /// The socket could not be reached.
    #[error("the CRI cannot be reached")]
    Connect {
        /// Why not.
        #[source]
        source: AccessError,
    },
    /// No complete reply within the limit.
    #[error("{method} of the CRI did not answer within {limit:?}")]
    TimedOut {
        /// Which call.
        method: Method,
        /// The limit.
        limit: Duration,
    },
    /// The connection broke, or the other side does not speak HTTP/2.
    #[error("{method} of the CRI: the connection failed")]
    Connection {
        /// Which call.
        method: Method,
        /// What hyper says.
        #[source]
        source: hyper::Error,
    },
    /// gRPC status 12: a containerd whose CRI plugin is disabled or failed to start, or a daemon of another kind.
    #[error("{method} of the CRI is not offered by this daemon, its CRI plugin is off or did not start: {message}")]
    Unimplemented {
        /// Which call.
        method: Method,
        /// What the daemon says.
        message: Label,
    },
    /// Any other gRPC status than OK.
    #[error("{method} of the CRI failed with gRPC status {code}: {message}")]
    Status {
        /// Which call.
        method: Method,
        /// The status, 1 to 16 in gRPC's list.
        code: u32,
        /// What the daemon says.
        message: Label,
    },
    /// The reply is not gRPC or not the expected message.
    #[error("{method} of the CRI answered with something else: {problem}")]
    Malformed {
        /// Which call.
        method: Method,
        /// What is wrong.
        problem: String,
    },
    /// A reply that cannot be cut is larger than the limit.
    #[error("{method} of the CRI answered with more than {limit} bytes or entries")]
    TooLarge {
        /// Which call.
        method: Method,
        /// The limit.
        limit: usize,
    },
}

impl Failure for CriError {
    fn reason(&self) -> AbsenceReason {
        match self {
            Self::Connect { source, .. } => source.reason(),
            Self::TimedOut { .. } => AbsenceReason::TimedOut,
            Self::Connection { source, .. } if source.is_parse() => AbsenceReason::Malformed,
            Self::Connection { .. } | Self::Unimplemented { .. } | Self::Status { .. } => AbsenceReason::Failed,
            Self::Malformed { .. } => AbsenceReason::Malformed,
            Self::TooLarge { .. } => AbsenceReason::TooLarge,
        }
    }

    fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }
}

impl From<CriError> for Absence {
    fn from(error: CriError) -> Self {
        absence(&error)
    }
}
