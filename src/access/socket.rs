//! How is a daemon inside a container reached? By a handle of its Unix socket, resolved below the container's root.
//!
//! The path is opened with O_PATH (openat2, in the root), checked to be a socket, and connected through `/proc/self/fd/N`: the
//! socket cannot be exchanged in between, and paths longer than the 108 bytes of `sun_path` work (unix(7)). What is said over
//! the socket is the business of `source/`.
//!
//! Path resolution, `fstat` and the permission check inside `connect` can all hang where the path lies on a FUSE mount, so
//! they run on the endpoint's own [`SingleFlight`]: at most one thread per endpoint can be stuck, and the caller waits a limited time.

use super::AccessError;
use super::deadline::SingleFlight;
use super::root::{Root, expect_kind};
use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;

/// The socket of one daemon. Keep it between polls: it remembers a call that still hangs, and starts no second one.
#[derive(Debug, Clone)]
pub struct Endpoint {
    root: Arc<Root>,
    path: PathBuf,
    worker: SingleFlight,
}

/// How much one daemon may say, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyLimits {
    /// For one call, connecting included.
    pub call: Duration,
    /// Bytes of one reply, both as sent and as kept in memory. Beyond it a list is cut, any other reply refused.
    pub bytes: usize,
    /// Entries of one list.
    pub items: usize,
    /// Bytes of one entry of a list; a larger one is left out. Annotations of a pod may have 256 KiB in all.
    pub item_bytes: usize,
}

impl Default for ReplyLimits {
    /// 2 s, 16 MiB (5,000 images take about 2 MiB), 10,000 entries of at most 1 MiB.
    fn default() -> Self {
        Self { call: Duration::from_secs(2), bytes: 16 << 20, items: 10_000, item_bytes: 1 << 20 }
    }
}

impl Endpoint {
    /// The socket `path`, as the container sees it, below `root`. Nothing is touched yet.
    pub fn new(root: Arc<Root>, path: PathBuf) -> Self {
        Self { root, path, worker: SingleFlight::new() }
    }

    /// The path, as the container sees it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root that the path is below.
    pub fn root(&self) -> Arc<Root> {
        Arc::clone(&self.root)
    }

    /// A connection, ready to be used on the tokio runtime of the caller.
    ///
    /// # Errors
    /// [`AccessError::WrongKind`] for a FIFO, a regular file and so on; [`AccessError::TimedOut`] when nobody accepts or the path
    /// does not resolve within `limit`, or an earlier attempt still hangs; the kernel's error where nobody listens.
    pub async fn connect(&self, limit: Duration) -> Result<UnixStream, AccessError> {
        let Self { root, path, worker } = self.clone();
        // The pool's thread waits at most `limit`; what hangs longer is the worker's thread, which no runtime has to join.
        let attempt = tokio::task::spawn_blocking(move || {
            let named = path.clone();
            worker.call("connect to", &named, limit, move || connect_now(&root, &path, limit))
        });
        let stream = attempt.await.unwrap_or_else(|_| Err(self.failed(Errno::ECANCELED)))?;
        UnixStream::from_std(stream).map_err(|e| self.failed(errno(&e)))
    }

    fn failed(&self, source: Errno) -> AccessError {
        AccessError::os("connect to", &self.path, source)
    }
}

/// Connects without blocking in the kernel: a full backlog (EAGAIN) is tried again until `limit` is over. The stream is
/// non-blocking and belongs to no runtime.
///
/// # Errors
/// As [`Endpoint::connect`]; may hang on a dead filesystem.
fn connect_now(root: &Root, path: &Path, limit: Duration) -> Result<std::os::unix::net::UnixStream, AccessError> {
    const BACKLOG_PAUSE: Duration = Duration::from_millis(20);
    let failed = |e: std::io::Error| AccessError::os("connect to", path, errno(&e));
    let handle = root.handle(path)?;
    let status = fstat(&handle).map_err(|e| AccessError::os("stat", path, e))?;
    expect_kind(&status, path, SFlag::S_IFSOCK, "socket")?;
    let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
    // std can only connect blocking, and that waits for ever for a daemon that does not accept. A small runtime of its own
    // keeps this independent of whether the caller's runtime is being driven.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let tries = async {
        loop {
            match UnixStream::connect(&link).await {
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => tokio::time::sleep(BACKLOG_PAUSE).await,
                other => return other.and_then(UnixStream::into_std),
            }
        }
    };
    match runtime.block_on(async { tokio::time::timeout(limit, tries).await }) {
        Ok(stream) => stream.map_err(failed),
        Err(_) => {
            Err(AccessError::TimedOut { attempt: "connect to", path: path.to_owned(), limit_ms: limit.as_millis() })
        }
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}
