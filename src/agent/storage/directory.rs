//! The directory of the state: one file that is replaced as a whole, by one process at a time. No entry of the directory is
//! followed if it is a link, or waited for if it is a FIFO.

use super::form::MOST_BYTES;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The state.
pub(super) const NAME: &str = "state";
/// A new one while it is written.
const NEW: &str = "state.new";
/// The last one that could not be used.
pub(super) const ASIDE: &str = "state.rejected";

/// An open directory, locked against other agents.
#[derive(Debug)]
pub(super) struct Directory {
    handle: File,
}

impl Directory {
    /// Opens the directory, and makes it where it is not there.
    ///
    /// # Errors
    /// Where it cannot be made or opened, or another process keeps its state in it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if !path.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let handle = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
        match handle.try_lock() {
            Ok(()) => Ok(Self { handle }),
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process keeps its state there"))
            }
            // Some filesystems have no locks.
            Err(TryLockError::Error(error)) => {
                tracing::debug!(%error, "the directory of the state cannot be locked");
                Ok(Self { handle })
            }
        }
    }

    /// The bytes of the state, one more than may be where there are too many; `None` where there is none.
    ///
    /// # Errors
    /// A file that cannot be read, is no ordinary one, or was written by another user.
    pub(super) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(self.handle.as_fd(), NAME, flags, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return Err(io::Error::other("it is a symbolic link")),
            result => File::from(result?),
        };
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is no ordinary file"));
        }
        if found.uid() != geteuid().as_raw() {
            return Err(io::Error::other(format!("it belongs to user {}", found.uid())));
        }
        let mut bytes = Vec::new();
        let limit = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Replaces the state. After a failure, also of the machine, the old or the new one is there as a whole.
    ///
    /// # Errors
    /// A disk that is full or read-only; the old one stays.
    pub(super) fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let result = self.write_new(bytes).and_then(|()| {
            renameat(self.handle.as_fd(), NEW, self.handle.as_fd(), NAME)?;
            self.handle.sync_all()
        });
        if result.is_err() {
            // Half a file would take the space that is lacking.
            self.remove_new().ok();
        }
        result
    }

    fn write_new(&self, bytes: &[u8]) -> io::Result<()> {
        self.remove_new()?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(self.handle.as_fd(), NEW, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// What a process that was stopped in the middle left.
    fn remove_new(&self) -> io::Result<()> {
        match unlinkat(self.handle.as_fd(), NEW, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a state that cannot be used out of the way, in place of an earlier one.
    ///
    /// # Errors
    /// As [`Directory::replace`].
    pub(super) fn set_aside(&self) -> io::Result<()> {
        renameat(self.handle.as_fd(), NAME, self.handle.as_fd(), ASIDE)?;
        Ok(())
    }
}
