//! How is a snapshot shown? Pure functions from a snapshot to text.
//!
//! No clock, no disk, no socket: the time at which something is shown is an argument.

pub mod catalogue;
pub(crate) mod expected_triggers;
pub mod explain;
pub mod exposition;
mod images;
pub mod json;
pub mod metrics;
pub mod page;
pub mod phrase;
mod put;
pub(crate) mod remedy;
mod shell;
pub mod table;
pub mod text;
pub mod view;
