//! What is one entry of a directory, without asking a filesystem that is mounted on it and may never answer?

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, SFlag, fstat};
use rustix::fs::{AtFlags, FileType, Statx, StatxAttributes, StatxFlags, statx};
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Who can mount something below a directory that is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounts {
    /// Only the machine itself. A file is looked at by one call that asks no server and no daemon: statx(2) with
    /// AT_STATX_DONT_SYNC, which NFS, Ceph and FUSE keep to. Such mounts on files are common: kubelets bind them for `subPath`.
    Machine,
    /// A container, too, which might choose a filesystem that asks its daemon all the same (9p does). A file is opened without
    /// crossing a mount: three calls.
    Container,
}

/// What is counted of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) is_directory: bool,
    pub(super) inode: u64,
    /// Hard links.
    pub(super) names: u64,
    /// Allocated.
    pub(super) bytes: u64,
}

/// Looks at `name` in `dir`; `None` where it is gone or a mount point.
pub(super) fn look(dir: BorrowedFd<'_>, name: &CStr, mounts: Mounts) -> nix::Result<Option<Entry>> {
    let looked = match mounts {
        Mounts::Machine => quickly(dir, name).transpose().unwrap_or_else(|| carefully(dir, name)),
        Mounts::Container => carefully(dir, name),
    };
    match looked {
        Err(Errno::ENOENT | Errno::EXDEV) => Ok(None),
        looked => looked.map(Some),
    }
}

/// `None` where the kernel does not say whether it is a mount point: before Linux 5.8.
fn quickly(dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<Option<Entry>> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let wanted = StatxFlags::TYPE | StatxFlags::NLINK | StatxFlags::INO | StatxFlags::BLOCKS;
    match statx(dir, name, flags, wanted) {
        Ok(found) if !found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => Ok(None),
        Ok(found) if found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) => Err(Errno::EXDEV),
        Ok(found) => Ok(Some(Entry::from(&found))),
        Err(rustix::io::Errno::NOSYS) => Ok(None),
        Err(error) => Err(Errno::from_raw(error.raw_os_error())),
    }
}

fn carefully(dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<Entry> {
    let handle = open_below(dir, name, OFlag::O_PATH)?;
    Ok(Entry::from(&fstat(&handle)?))
}

/// Opens an entry of a directory: no symbolic link, no other mount.
pub(super) fn open_below(dir: BorrowedFd<'_>, name: &CStr, flags: OFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_BENEATH
            | ResolveFlag::RESOLVE_NO_XDEV
            | ResolveFlag::RESOLVE_NO_SYMLINKS
            | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    );
    openat2(dir, name, how)
}

impl From<&Statx> for Entry {
    fn from(found: &Statx) -> Self {
        Self {
            is_directory: FileType::from_raw_mode(found.stx_mode.into()) == FileType::Directory,
            inode: found.stx_ino,
            names: found.stx_nlink.into(),
            bytes: found.stx_blocks.saturating_mul(BLOCK),
        }
    }
}

impl From<&FileStat> for Entry {
    fn from(status: &FileStat) -> Self {
        Self {
            is_directory: SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR,
            inode: status.st_ino,
            names: status.st_nlink,
            bytes: u64::try_from(status.st_blocks).unwrap_or(0).saturating_mul(BLOCK),
        }
    }
}

/// st_blocks counts these bytes, whatever the filesystem's block is: stat(2).
const BLOCK: u64 = 512;
