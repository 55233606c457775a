//! What is inside a container's root? A root is a handle; every path is resolved below it and nowhere else.
//!
//! Symbolic links are followed inside the root, as the container itself would (`RESOLVE_IN_ROOT`); links that jump through
//! /proc (`/proc/1/root`, `/proc/self/fd/3`) are refused (`RESOLVE_NO_MAGICLINKS`). See openat2(2), Linux 5.6.

use super::AccessError;
use crate::time::Timestamp;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The root directory of a process, or of the machine.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

/// Identity of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// st_dev.
    pub dev: u64,
    /// st_ino.
    pub ino: u64,
}

impl Root {
    /// The directory `path` of this machine as a root; `path` is trusted and followed as usual.
    pub fn open(path: &Path) -> Result<Self, AccessError> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = open(path, flags, Mode::empty()).map_err(|e| AccessError::os("open", path, e))?;
        Ok(Self { fd })
    }

    /// The directory `name` below an open directory, as a root. Used for `PID/root` below /proc, a link that must be followed.
    pub fn open_at(directory: BorrowedFd<'_>, name: &Path) -> Result<Self, AccessError> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = openat(directory, name, flags, Mode::empty()).map_err(|e| AccessError::os("open", name, e))?;
        Ok(Self { fd })
    }

    /// A handle (O_PATH) of whatever `path` names inside the root.
    pub fn handle(&self, path: &Path) -> Result<OwnedFd, AccessError> {
        self.resolve(path, OFlag::O_PATH)
    }

    /// A directory inside the root as a root of its own.
    pub fn directory(&self, path: &Path) -> Result<Self, AccessError> {
        Ok(Self { fd: self.resolve(path, OFlag::O_PATH | OFlag::O_DIRECTORY)? })
    }

    /// A regular file, opened for reading. FIFOs and devices are refused before they are opened.
    pub fn open_file(&self, path: &Path) -> Result<File, AccessError> {
        self.open_regular(path).map(|(file, _)| file)
    }

    /// The whole content of a regular file of at most `limit` bytes.
    pub fn read_file(&self, path: &Path, limit: usize) -> Result<Vec<u8>, AccessError> {
        let (file, size) = self.open_regular(path)?;
        let too_large = || AccessError::TooLarge { path: path.to_owned(), limit };
        if usize::try_from(size).map_or(true, |size| size > limit) {
            return Err(too_large());
        }
        // The file may grow while it is read: one byte beyond the limit tells.
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        let allowed = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        file.take(allowed)
            .read_to_end(&mut bytes)
            .map_err(|e| AccessError::os("read", path, Errno::from_raw(e.raw_os_error().unwrap_or(0))))?;
        if bytes.len() > limit { Err(too_large()) } else { Ok(bytes) }
    }

    /// A regular file with its size.
    fn open_regular(&self, path: &Path) -> Result<(File, i64), AccessError> {
        let handle = self.handle(path)?;
        let status = fstat(&handle).map_err(|e| AccessError::os("stat", path, e))?;
        expect_kind(&status, path, SFlag::S_IFREG, "regular file")?;
        let file = reopen(&handle, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, path)?;
        Ok((File::from(file), status.st_size))
    }

    /// The names in a directory, at most `limit`, sorted.
    pub fn list(&self, path: &Path, limit: usize) -> Result<Vec<PathBuf>, AccessError> {
        let fd = self.resolve(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK)?;
        let mut dir = Dir::from_fd(fd).map_err(|e| AccessError::os("list", path, e))?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry.map_err(|e| AccessError::os("list", path, e))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == limit {
                return Err(AccessError::TooLarge { path: path.to_owned(), limit });
            }
            names.push(PathBuf::from(std::ffi::OsString::from(String::from_utf8_lossy(name).into_owned())));
        }
        names.sort();
        Ok(names)
    }

    /// Whether `path` names anything inside the root.
    pub fn exists(&self, path: &Path) -> bool {
        self.handle(path).is_ok()
    }

    /// Identity of what `path` names.
    pub fn identity(&self, path: &Path) -> Result<FileId, AccessError> {
        self.status(path).map(|status| FileId::of(&status))
    }

    /// When a file was last written.
    pub fn modified(&self, path: &Path) -> Result<Timestamp, AccessError> {
        self.status(path).map(|status| modified(&status))
    }

    /// When a socket was made. Anything else than a socket is refused.
    pub fn socket_made(&self, path: &Path) -> Result<Timestamp, AccessError> {
        let status = self.status(path)?;
        expect_kind(&status, path, SFlag::S_IFSOCK, "socket")?;
        Ok(modified(&status))
    }

    fn status(&self, path: &Path) -> Result<FileStat, AccessError> {
        fstat(self.handle(path)?).map_err(|e| AccessError::os("stat", path, e))
    }

    /// The id of the mount that this directory is on: the first field of its line in `/proc/PID/mountinfo`, the same in every mount
    /// namespace. `None` where the kernel does not tell.
    pub fn mount_id(&self) -> Option<u64> {
        const LIMIT: u64 = 4 << 10;
        let path = format!("/proc/self/fdinfo/{}", self.fd.as_raw_fd());
        let info = open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
        let mut text = String::new();
        File::from(info).take(LIMIT).read_to_string(&mut text).ok()?;
        text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
    }

    fn resolve(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, AccessError> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        // EAGAIN: a rename raced with the resolution of ".."; the manual page asks to try again.
        for _ in 0..3 {
            match openat2(&self.fd, path, how) {
                Err(Errno::EAGAIN) => {}
                other => return other.map_err(|e| AccessError::os("open", path, e)),
            }
        }
        Err(AccessError::os("open", path, Errno::EAGAIN))
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl FileId {
    /// The identity in a stat result.
    pub fn of(status: &FileStat) -> Self {
        Self { dev: status.st_dev, ino: status.st_ino }
    }
}

fn modified(status: &FileStat) -> Timestamp {
    Timestamp::from_micros(status.st_mtime.saturating_mul(1_000_000).saturating_add(status.st_mtime_nsec / 1_000))
}

/// Opens what an O_PATH handle stands for; the path is only for the message.
pub(crate) fn reopen(handle: &OwnedFd, flags: OFlag, path: &Path) -> Result<OwnedFd, AccessError> {
    let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
    open(link.as_str(), flags | OFlag::O_CLOEXEC, Mode::empty()).map_err(|e| AccessError::os("open", path, e))
}

/// Refuses everything that is not of the wanted kind.
pub(crate) fn expect_kind(
    status: &FileStat,
    path: &Path,
    wanted: SFlag,
    name: &'static str,
) -> Result<(), AccessError> {
    let kind = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT;
    if kind == wanted {
        return Ok(());
    }
    let found = [
        (SFlag::S_IFREG, "regular file"),
        (SFlag::S_IFDIR, "directory"),
        (SFlag::S_IFLNK, "symbolic link"),
        (SFlag::S_IFIFO, "FIFO"),
        (SFlag::S_IFSOCK, "socket"),
        (SFlag::S_IFBLK, "block device"),
        (SFlag::S_IFCHR, "character device"),
    ]
    .into_iter()
    .find_map(|(flag, name)| (flag == kind).then_some(name));
    Err(AccessError::WrongKind { path: path.to_owned(), found: found.unwrap_or("thing of unknown kind"), wanted: name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::mkfifo;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn root_with(build: impl FnOnce(&Path)) -> (TempDir, Root) {
        let outer = TempDir::new().unwrap();
        std::fs::write(outer.path().join("secret"), "outside").unwrap();
        let inner = outer.path().join("root");
        std::fs::create_dir(&inner).unwrap();
        build(&inner);
        let root = Root::open(&inner).unwrap();
        (outer, root)
    }

    #[test]
    fn absolute_links_resolve_inside_the_root() {
        let (_keep, root) = root_with(|dir| {
            std::fs::create_dir(dir.join("run")).unwrap();
            std::fs::write(dir.join("run/file"), "inside").unwrap();
            symlink("/run", dir.join("var-run")).unwrap();
        });
        assert_eq!(root.read_file(Path::new("/var-run/file"), 100).unwrap(), b"inside");
    }

    #[test]
    fn links_and_dots_do_not_leave_the_root() {
        let (keep, root) = root_with(|_| {});
        let secret = keep.path().join("secret");
        symlink(&secret, keep.path().join("root/absolute")).unwrap();
        symlink("../secret", keep.path().join("root/relative")).unwrap();
        for path in ["absolute", "relative", "../secret", "/../../secret"] {
            let error = root.read_file(Path::new(path), 100).unwrap_err();
            assert_eq!(error.reason(), crate::sample::AbsenceReason::Gone, "{path}");
        }
    }

    #[test]
    fn magic_links_are_refused() {
        let root = Root::open(Path::new("/")).unwrap();
        let error = root.read_file(Path::new("/proc/self/root/etc/passwd"), 1 << 20).unwrap_err();
        assert_eq!(error.reason(), crate::sample::AbsenceReason::Unsafe);
    }

    #[test]
    fn fifos_are_refused_without_waiting_for_a_writer() {
        let (_keep, root) = root_with(|dir| mkfifo(&dir.join("pipe"), Mode::S_IRWXU).unwrap());
        let error = root.read_file(Path::new("pipe"), 100).unwrap_err();
        assert_eq!(error.to_string(), "pipe is a FIFO, not a regular file");
    }

    #[test]
    fn files_over_the_limit_are_not_read() {
        let (_keep, root) = root_with(|dir| {
            File::create(dir.join("huge")).unwrap().set_len(10 << 30).unwrap();
            std::fs::write(dir.join("exact"), "12345").unwrap();
        });
        assert!(matches!(root.read_file(Path::new("huge"), 1 << 20), Err(AccessError::TooLarge { .. })));
        assert_eq!(root.read_file(Path::new("exact"), 5).unwrap(), b"12345");
        assert!(matches!(root.read_file(Path::new("exact"), 4), Err(AccessError::TooLarge { .. })));
    }

    #[test]
    fn long_directories_are_cut_off_with_an_error() {
        let (_keep, root) = root_with(|dir| {
            for name in ["b", "a", "c"] {
                std::fs::write(dir.join(name), "").unwrap();
            }
        });
        assert_eq!(root.list(Path::new("/"), 3).unwrap(), [Path::new("a"), Path::new("b"), Path::new("c")]);
        assert!(matches!(root.list(Path::new("/"), 2), Err(AccessError::TooLarge { .. })));
    }
}
