//! Which file does a process run? A handle of that very file, whatever is at its path by now.

use super::root::{FileId, expect_kind, reopen};
use super::{AccessError, ProcessId};
use crate::access::proc::Procfs;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag, fstat};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The executable of a process, not opened for reading yet.
#[derive(Debug)]
pub struct Executable {
    handle: OwnedFd,
    path: PathBuf,
    stamp: FileStamp,
}

/// Identity of a file's content, as far as that is seen without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Which file.
    pub id: FileId,
    /// Its size in bytes.
    pub size: i64,
    /// When its content last changed: seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
}

impl FileStamp {
    /// That of an open file.
    ///
    /// # Errors
    /// The kernel's; `path` is for the message.
    pub fn of(file: impl AsFd, path: &Path) -> Result<Self, AccessError> {
        fstat(file).map(|status| Self::from(&status)).map_err(|e| AccessError::os("stat", path, e))
    }
}

impl From<&FileStat> for FileStamp {
    fn from(status: &FileStat) -> Self {
        let modified = (status.st_mtime, status.st_mtime_nsec);
        Self { id: FileId::of(status), size: status.st_size, modified }
    }
}

impl Executable {
    /// The executable of a process, if that still is the process after it was found.
    ///
    /// # Errors
    /// [`AccessError::WrongKind`] for anything but a regular file, [`AccessError::ProcessGone`], or the kernel's error: it takes
    /// the right to trace the process.
    pub fn of(procfs: &Procfs, process: ProcessId) -> Result<Self, AccessError> {
        let (handle, path) = procfs.handle(process.pid, "exe")?;
        let status = fstat(&handle).map_err(|e| AccessError::os("stat", &path, e))?;
        expect_kind(&status, &path, SFlag::S_IFREG, "regular file")?;
        procfs.confirm(process)?;
        Ok(Self { handle, path, stamp: FileStamp::from(&status) })
    }

    /// What tells it from other files.
    pub const fn stamp(&self) -> FileStamp {
        self.stamp
    }

    /// The file, opened for reading. It may lie on a filesystem that hangs: to be read on a [`super::deadline::SingleFlight`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(&self) -> Result<File, AccessError> {
        reopen(&self.handle, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, &self.path).map(File::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_running_file_is_opened_and_known_again() {
        let procfs = Procfs::open(Path::new("/proc")).unwrap();
        let pid = std::process::id();
        let stat = procfs.read(pid, "stat", 4 << 10).unwrap();
        let start_ticks = crate::discover::parse::stat(&stat).unwrap().start_ticks;
        let executable = Executable::of(&procfs, ProcessId { pid, start_ticks }).unwrap();
        let mut magic = [0; 4];
        executable.open().unwrap().read_exact(&mut magic).unwrap();
        assert_eq!(&magic, b"\x7fELF");
        let again = Executable::of(&procfs, ProcessId { pid, start_ticks }).unwrap();
        assert_eq!(executable.stamp(), again.stamp());
        let other = Executable::of(&procfs, ProcessId { pid, start_ticks: start_ticks + 1 });
        assert!(matches!(other, Err(AccessError::ProcessGone { .. })));
    }
}
