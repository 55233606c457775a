//! How is a snapshot shown? Pure functions from a snapshot to text.
