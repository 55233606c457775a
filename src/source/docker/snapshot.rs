//! What does one dockerd say in one round? Every call on its own: one that fails costs itself only.

use super::{Client, Container, DockerError, Image, Info, Version};
use crate::access::socket::{Endpoint, ReplyLimits};
use crate::sample::Reading;
use crate::source::failure::Timeouts;
use crate::source::listing::Listing;
use crate::time::Timestamp;

/// The most containers that are inspected in one round.
pub const MAX_INSPECTED: usize = 64;

/// The answers of one daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerSnapshot {
    /// `/version`.
    pub version: Reading<Version>,
    /// `/info`.
    pub info: Reading<Info>,
    /// `/containers/json` in every state; running ones inspected, Kubernetes nodes first, at most [`MAX_INSPECTED`].
    pub containers: Reading<Listing<Container>>,
    /// `/images/json`.
    pub images: Reading<Listing<Image>>,
}

/// Asks everything, one call after the other on one connection, which is made anew after a failure.
///
/// Takes at most five times `limits.call` (all inspections together have one), and twice that limit for a daemon that does not
/// answer at all: once two calls in a row have timed out, or the socket cannot be reached, the rest is not tried. Needs a tokio
/// runtime with time and I/O. `now` is what the readings are dated with.
pub async fn snapshot(endpoint: &Endpoint, limits: &ReplyLimits, now: Timestamp) -> DockerSnapshot {
    let mut client = Client::new(endpoint, limits);
    let mut patience = Timeouts::default();
    let version = patience.ask(now, client.version()).await;
    let info = patience.ask(now, client.info()).await;
    let mut containers = patience.ask(now, client.containers()).await;
    if let Reading::Present { value, .. } = &mut containers {
        // What was inspected until the time is over stays.
        drop(tokio::time::timeout(limits.call, inspect(&mut client, &mut value.items)).await);
        client.disconnect();
    }
    let images = patience.ask(now, client.images()).await;
    DockerSnapshot { version, info, containers, images }
}

async fn inspect(client: &mut Client<'_>, containers: &mut [Container]) {
    let mut running: Vec<&mut Container> =
        containers.iter_mut().filter(|container| container.state.as_str() == "running").collect();
    running.sort_by_key(|container| container.node.is_none());
    for container in running.into_iter().take(MAX_INSPECTED) {
        match client.inspect(&container.id).await {
            Ok(inspection) => container.inspection = Some(inspection),
            // Gone since it was listed, or something that only this container's reply has wrong.
            Err(DockerError::Status { .. } | DockerError::Malformed { .. } | DockerError::TooLarge { .. }) => {}
            Err(_) => return,
        }
    }
}
