//! What does one CRI daemon say in one round? Every call on its own: one that fails costs itself only.

use super::{Client, FsUsage, ListedPod, Status, Version};
use crate::access::socket::{Endpoint, ReplyLimits};
use crate::sample::{Container, Image, Reading};
use crate::source::failure::Timeouts;
use crate::source::listing::Listing;
use crate::time::Timestamp;

/// The answers of one daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriSnapshot {
    /// Version.
    pub version: Reading<Version>,
    /// Status, verbose.
    pub status: Reading<Status>,
    /// ImageFsInfo, the filesystems for images. Usually one.
    pub image_fs: Reading<Vec<FsUsage>>,
    /// ListPodSandbox, in every state.
    pub pods: Reading<Listing<ListedPod>>,
    /// ListContainers, in every state.
    pub containers: Reading<Listing<Container>>,
    /// ListImages.
    pub images: Reading<Listing<Image>>,
}

/// Asks everything, one call after the other on one connection, which is made anew after a failure.
///
/// Takes at most six times `limits.call`, and twice that limit for a daemon that does not answer at all: once two calls in a
/// row have timed out, or the socket cannot be reached, the rest is not tried. Needs a tokio runtime with time and I/O.
/// `now` is what the readings are dated with.
pub async fn snapshot(endpoint: &Endpoint, limits: &ReplyLimits, now: Timestamp) -> CriSnapshot {
    let mut client = Client::new(endpoint, limits);
    let mut timeouts = Timeouts::default();
    CriSnapshot {
        version: timeouts.ask(now, client.version()).await,
        status: timeouts.ask(now, client.status()).await,
        image_fs: timeouts.ask(now, client.image_fs()).await,
        pods: timeouts.ask(now, client.pods()).await,
        containers: timeouts.ask(now, client.containers()).await,
        images: timeouts.ask(now, client.images()).await,
    }
}
