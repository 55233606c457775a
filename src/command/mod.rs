//! One file per subcommand: what it does, in which order, and what it prints.

pub mod backtest;
mod changes;
pub mod check;
pub mod demo;
mod exit;
pub mod explain;
pub mod log;
pub mod recording;
pub mod replay;
pub mod run;
mod serve;
mod service;

pub use crate::report::report;
pub use exit::Failure;
