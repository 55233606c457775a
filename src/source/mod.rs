//! What does one layer say of itself? Each file reads one thing, with limits, and draws no conclusion.

pub mod runtime_config;
