//! Where do readers find the newest snapshot? One slot that is replaced whole; a lock is held for the copy of a pointer.

use crate::snapshot::Snapshot;
use std::sync::{Arc, PoisonError, RwLock};

/// The newest snapshot, for one writer and any number of readers.
#[derive(Debug, Default)]
pub struct Published {
    newest: RwLock<Option<Arc<Snapshot>>>,
}

impl Published {
    /// Empty: nothing has been sampled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the snapshot.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        // A panic while the lock was held cannot have left half a pointer behind.
        let mut slot = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        let old = slot.replace(snapshot);
        drop(slot);
        // Freeing the old one may take a while; readers do not wait for it.
        drop(old);
    }

    /// The newest snapshot; `None` before the first.
    pub fn newest(&self) -> Option<Arc<Snapshot>> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
