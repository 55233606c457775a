//! How is a report shown? Pure functions from a report to text.
//!
//! No clock, no disk, no socket, and no conclusion: all that is in the report.

pub mod catalogue;
pub mod explain;
pub mod exposition;
mod images;
pub mod json;
pub mod metrics;
pub mod page;
pub mod phrase;
mod put;
mod remedy;
pub mod series;
pub mod table;
pub mod text;
