//! Which release is a running kubelet? Told by files on the disk, without running or asking anything.
//!
//! Only what names the release outright is believed: the build information of the file that runs, a path that a distribution
//! makes of the release, the package that the file came with, and the file in node images of kind. Nothing is concluded from a
//! kubelet's settings, from other programs of the node, or from text that merely looks like a release. What runs in a container
//! can lie in all of these, about its own layer.

mod build_info;
mod elf;
mod package;
mod path;
mod read;
mod release;

pub use read::{Known, read};
