//! The entries below /proc.
