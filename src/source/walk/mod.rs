//! Which layer holds how many bytes of a disk? A slow walk on one thread over the directories that belong to layers.
//!
//! A layer's directories lie inside those of the layer around it. They are known by device and inode: where the walk comes to
//! one, what lies below counts for the inner layer, and is seen through the outer one's mounts, where an inner layer cannot
//! put anything in the way. What no layer claims is `other`. Bytes are st_blocks × 512, directories count, hard links count once,
//! as in `du -x`.
//!
//! It stays on one filesystem and never crosses a mount point, not even to the same filesystem (openat2(2) with
//! RESOLVE_NO_XDEV): a dead NFS or FUSE mount below cannot hang it, and a bind mount is not counted twice. It keeps few files
//! open and does not recurse, however deep a hostile tree is. It does not split a layer by image, container or job, and keeps
//! nothing from one walk to the next.

mod account;
mod error;
mod links;
mod look;
mod meter;
mod tree;

#[cfg(test)]
mod tests;

pub use account::{Claim, Disk, Walked, walk};
pub use error::WalkError;
pub use look::Mounts;
pub use meter::Budget;
