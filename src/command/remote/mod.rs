//! How is a running agent asked, instead of the machine? Over its API, with limits on time and size; what it says is
//! sanitized as it is read.

mod client;
mod error;
mod local;
mod setup;
mod setup_error;
mod tls;
mod trust;

pub(super) use client::{Timeouts, get};
pub use error::RemoteError;
pub(super) use local::local;
pub use setup_error::SetupError;
