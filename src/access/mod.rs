//! Every touch of the machine, and every limit on it: one folder to audit.
//!
//! What is inside a container is hostile. Paths are opened below a handle of the container's root, never followed out of it;
//! only regular files up to a limit are read; what may hang runs on a thread of its own with a deadline.

pub mod deadline;
pub mod error;
pub mod executable;
pub mod proc;
pub mod root;
pub mod socket;

pub use error::AccessError;
pub use proc::ProcessId;
