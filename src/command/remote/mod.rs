//! How is a running agent asked, instead of the machine? Over its API, with limits on time and size, and what it says is made
//! harmless before anybody sees it.

mod address;
mod client;
mod local;

pub use address::{AddressError, AgentAddress, AgentChoice};
pub use client::RemoteError;
pub(super) use client::{Patience, get};
pub(super) use local::local;
