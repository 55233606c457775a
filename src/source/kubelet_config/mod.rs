//! What was a kubelet told? Its arguments, the file named by `--config` and the drop-ins below `--config-dir`, as
//! written.
//!
//! Nothing is merged or defaulted here: which place wins is decided in `model/policy`. Only the settings that concern
//! disk space are read; other fields are passed over. Files are opened inside the root of the kubelet, with limits on
//! their size, number and nesting, and no message repeats what a file contains: a hostile file may be a link to a
//! secret.
//!
//! A kubelet reads its files once, at its start. A file that was changed since then says what the next start will use.

mod arguments;
mod drop_ins;
mod file;
mod flags;
mod k3s;
mod read;
mod static_pods;

pub use read::{Invocation, read};
