//! What does one layer say of itself? One file per value of the `source` label.

pub mod cri;
pub mod docker;
mod failure;
pub mod listing;
pub mod walk;
