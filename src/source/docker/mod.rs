//! What does a layer's dockerd say? Version, info and containers of the Docker Engine API; only GET, only what is cheap.
//!
//! Never `/system/df` and never `size=1`: both walk every container and volume, for minutes and up, and have blocked other
//! callers (moby#31951, moby#31158). The daemon is hostile: every reply has limits for time, bytes and entries, and a call
//! that fails costs itself only. Facts: the Engine API reference, versions 1.41 to 1.51.

mod bounded;
mod client;
mod error;
mod reply;
mod snapshot;

use client::Client;
pub use error::DockerError;
pub use reply::{ApiVersion, Container, Info, NodeMarks, NodeTool, Version};
pub use snapshot::{DockerSnapshot, snapshot};
