//! What happens when the machine does not answer? A call that may hang runs on a thread of its own; the caller waits for a
//! limited time, and while the call hangs no second one is started.
//!
//! A hung `statfs` or a `read` on a dead FUSE mount cannot be interrupted: its thread stays until the kernel lets it go.

use super::AccessError;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// One thing that may hang: a filesystem, or a layer's files. At most one call is in flight.
#[derive(Debug, Clone, Default)]
pub struct SingleFlight {
    busy: Arc<AtomicBool>,
}

/// Clears the mark when the call ends, also by a panic.
struct Release(Arc<AtomicBool>);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Enough for path handling and directory listings; the default of 2 MiB would count as address space for every thread.
const STACK: usize = 256 << 10;

impl SingleFlight {
    /// A worker with nothing in flight.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether an earlier call has not come back.
    pub fn is_stuck(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Runs `work` on a thread of its own and waits at most `limit` for it.
    ///
    /// # Errors
    /// [`AccessError::TimedOut`] when it takes longer, when an earlier call still hangs, or when `work` panicked; `attempt` and
    /// `path` are for the message.
    pub fn call<T: Send + 'static>(
        &self,
        attempt: &'static str,
        path: &Path,
        limit: Duration,
        work: impl FnOnce() -> Result<T, AccessError> + Send + 'static,
    ) -> Result<T, AccessError> {
        let timed_out = || AccessError::TimedOut { attempt, path: path.to_owned(), limit_ms: limit.as_millis() };
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(timed_out());
        }
        let release = Release(Arc::clone(&self.busy));
        let (sender, receiver) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("worker".to_owned()).stack_size(STACK).spawn(move || {
            let result = work();
            drop(release);
            // The caller may have given up; then nobody wants the result.
            drop(sender.send(result));
        });
        match thread {
            Ok(_) => receiver.recv_timeout(limit).unwrap_or_else(|_| Err(timed_out())),
            Err(error) => {
                let errno = nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0));
                Err(AccessError::os("start a thread for", path, errno))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn a_call_that_hangs_is_given_up_and_blocks_only_its_own_worker() {
        let worker = SingleFlight::new();
        let (let_go, wait) = channel::<()>();
        let hung = worker.call("statfs", Path::new("/dead"), SHORT, move || {
            wait.recv().ok();
            Ok(1)
        });
        assert_eq!(hung.unwrap_err().to_string(), "statfs /dead did not come back within 20 ms");
        assert!(worker.is_stuck());
        assert!(worker.call("statfs", Path::new("/dead"), LONG, || Ok(2)).is_err(), "no second call while one hangs");
        assert_eq!(SingleFlight::new().call("statfs", Path::new("/well"), LONG, || Ok(3)).unwrap(), 3);

        drop(let_go);
        while worker.is_stuck() {
            std::thread::yield_now();
        }
        assert_eq!(worker.call("statfs", Path::new("/dead"), LONG, || Ok(4)).unwrap(), 4);
    }

    #[test]
    fn a_panic_is_an_error_and_frees_the_lane() {
        let worker = SingleFlight::new();
        let result: Result<(), _> = worker.call("read", Path::new("/x"), LONG, || panic!("on purpose"));
        assert!(result.is_err());
        assert_eq!(worker.call("read", Path::new("/x"), LONG, || Ok(5)).unwrap(), 5);
    }
}
