//! How is state shared between threads? Under a lock that a panic of its holder does not spoil.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The value under the lock. A thread that panicked while it held the lock left a whole value: every write replaces one.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
