//! What does one layer say of itself? Each part reads one thing, with limits, and draws no conclusion.

pub mod containerd;
pub mod cri;
pub mod docker;
mod failure;
pub mod kubelet_config;
pub mod kubelet_serving;
pub mod kubelet_version;
pub mod listing;
pub mod runtime_config;
pub mod statfs;
pub mod walk;
