//! What does one layer say of itself? One file per value of the `source` label.

pub mod kubelet_config;
