//! What does one dockerd say in one round? Every call on its own: one that fails costs itself only.

use super::{Client, Container, Info, Version};
use crate::access::socket::{Endpoint, ReplyLimits};
use crate::sample::Reading;
use crate::source::failure::Timeouts;
use crate::source::listing::Listing;
use crate::time::Timestamp;

/// The answers of one daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerSnapshot {
    /// `/version`.
    pub version: Reading<Version>,
    /// `/info`.
    pub info: Reading<Info>,
    /// `/containers/json` in every state.
    pub containers: Reading<Listing<Container>>,
}

/// Asks everything, one call after the other on one connection, which is made anew after a failure.
///
/// Takes at most three times `limits.call`, and twice that limit for a daemon that does not answer at all: once two calls in a
/// row have timed out, or the socket cannot be reached, the rest is not tried. Needs a tokio runtime with time and I/O. `now` is
/// what the readings are dated with.
pub async fn snapshot(endpoint: &Endpoint, limits: &ReplyLimits, now: Timestamp) -> DockerSnapshot {
    let mut client = Client::new(endpoint, limits);
    let mut timeouts = Timeouts::default();
    DockerSnapshot {
        version: timeouts.ask(now, client.version()).await,
        info: timeouts.ask(now, client.info()).await,
        containers: timeouts.ask(now, client.containers()).await,
    }
}
