//! Bytes from /proc to values. Pure; any bytes are accepted, what is not understood is absent.

mod cgroup;
mod cmdline;
mod mountinfo;
mod net_unix;
mod stat;

pub use cgroup::{container_id, unit};
pub use cmdline::{argv, flag, flag_values};
pub use mountinfo::{Mount, mounts};
pub use net_unix::{Listener, listeners, socket_inode};
pub use stat::{Stat, namespace_pids, stat, uptime};
