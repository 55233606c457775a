//! Which blobs and snapshots does containerd keep for an image, and how large are they? Read from its own databases, below the
//! layer's root, since the CRI does not tell.
//!
//! Only looks; containerd holds the locks of its databases, and none is taken here. Where it keeps what: containerd
//! `core/metadata/buckets.go` and `core/snapshots/storage/bolt.go`, the same in 1.6 to 2.x.

mod bolt;
mod store;

pub use store::{Store, StoreError};
