//! What did `statfs` say of one filesystem? The numbers as read; percentages and thresholds are in `model/`.

use crate::units::{Bytes, Inodes};
use crate::untrusted::Label;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One view of one superblock: st_dev, and the totals, since the same device under another project quota is another view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FilesystemId {
    /// st_dev as the kernel gives it.
    #[serde(default)]
    pub dev: u64,
    /// Capacity in bytes at the time it was first seen under this identity.
    pub capacity: Bytes,
    /// Inodes in all.
    #[serde(default)]
    pub files: Inodes,
}

/// `statfs(2)` in bytes: every field is f_frsize times the block count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// f_blocks: what the kubelet calls capacity. 0 means that the filesystem does not say; such a reading is never `Present`.
    pub capacity: Bytes,
    /// f_bfree: free, including what is reserved for root.
    pub free: Bytes,
    /// f_bavail: free for everybody; the kubelet's "available".
    pub available: Bytes,
    /// f_files; 0 where the filesystem has no fixed number (btrfs).
    pub files: Inodes,
    /// f_ffree.
    pub files_free: Inodes,
}

/// Where a filesystem is and how people call it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesystemName {
    /// The mount source, for example `/dev/nvme0n1p1`; `major:minor` where no mount table names it.
    pub device: Label,
    /// Where it is mounted, as the outermost layer that sees it says.
    #[serde(default = "root")]
    pub mountpoint: Label,
}

fn root() -> Label {
    Label::new("/")
}

impl Space {
    /// Bytes in use as df counts them: capacity less free, reserved blocks not counted as used.
    pub fn used(&self) -> Bytes {
        self.capacity.saturating_sub(self.free)
    }
}

impl FilesystemId {
    /// The device's major number, as Linux encodes it.
    pub const fn major(&self) -> u64 {
        ((self.dev >> 8) & 0xfff) | ((self.dev >> 32) & !0xfff)
    }

    /// The device's minor number, as Linux encodes it.
    pub const fn minor(&self) -> u64 {
        (self.dev & 0xff) | ((self.dev >> 12) & !0xff)
    }
}

impl fmt::Display for FilesystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} of {}", self.major(), self.minor(), self.capacity)
    }
}
