//! How is a running agent asked, instead of the machine? Over its API, with limits on time and size, and what it says is made
//! harmless before anybody sees it.

mod address;
mod client;
mod error;
mod local;
mod setup;
mod tls;
mod trust;

pub use address::{AddressError, AgentAddress, AgentChoice};
pub(super) use client::{Timeouts, get};
pub use error::RemoteError;
pub(super) use local::local;
pub(crate) use setup::Agent;
pub use setup::SetupError;
