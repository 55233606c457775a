//! What does `statfs` say of the filesystem of a directory, and which mount is it on?

use crate::access::AccessError;
use crate::access::root::Root;
use crate::sample::Space;
use crate::units::{Bytes, Inodes};
use nix::sys::stat::fstat;
use nix::sys::statvfs::fstatvfs;
use std::path::Path;

/// A directory as measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statfs {
    /// st_dev. On btrfs each subvolume has one of its own.
    pub dev: u64,
    /// The id of its mount, as a mount table has it; `None` where the kernel does not tell.
    pub mount: Option<u64>,
    /// The numbers; a capacity of 0 is given as it is.
    pub space: Space,
}

/// Size of the filesystem that holds the directory `path`. May hang.
///
/// # Errors
/// When it cannot be opened or measured, or is no directory.
pub fn read(root: &Root, path: &Path) -> Result<Statfs, AccessError> {
    let directory = root.directory(path)?;
    let status = fstat(&directory).map_err(|e| AccessError::os("stat", path, e))?;
    let numbers = fstatvfs(&directory).map_err(|e| AccessError::os("statfs", path, e))?;
    // f_frsize is what the kubelet multiplies with; some filesystems leave it 0.
    let unit = if numbers.fragment_size() == 0 { numbers.block_size() } else { numbers.fragment_size() };
    let bytes = |blocks: u64| Bytes::new(unit.saturating_mul(blocks));
    let space = Space {
        capacity: bytes(numbers.blocks()),
        free: bytes(numbers.blocks_free()),
        available: bytes(numbers.blocks_available()),
        files: Inodes::new(numbers.files()),
        files_free: Inodes::new(numbers.files_free()),
    };
    Ok(Statfs { dev: status.st_dev, mount: directory.mount_id(), space })
}
