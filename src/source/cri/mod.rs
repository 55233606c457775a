//! What does a layer's runtime say through the Container Runtime Interface? Version, Status, ImageFsInfo, ListPodSandbox,
//! ListContainers and ListImages of `runtime.v1`; nothing that changes anything.
//!
//! gRPC unary calls over HTTP/2 on a Unix socket, by hand: six read-only calls need no code generator. The daemon is hostile:
//! each reply has limits for time, bytes, entries and entry size, is decoded while it arrives, and a call that fails costs
//! itself only. Facts: `k8s.io/cri-api pkg/apis/runtime/v1/api.proto`, grpc `doc/PROTOCOL-HTTP2.md`.

mod client;
mod decode;
mod error;
mod message;
mod method;
mod reply;
mod snapshot;

use client::Client;
pub use error::CriError;
pub use method::Method;
pub use reply::{FsUsage, ListedPod, Status, Version};
pub use snapshot::{CriSnapshot, snapshot};
