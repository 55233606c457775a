//! highwater warns before disk pressure deletes container images, on nodes where one disk carries several container layers.
//!
//! Data flows one way: `discover` finds the layers, `source` samples each of them, `model` and `forecast` (pure) say what a
//! kubelet will do and when, `assess` joins them, and every surface in `export` reads the resulting snapshot.

pub mod access;
pub mod agent;
pub mod assess;
pub mod cli;
pub mod command;
pub mod config;
pub mod demo;
pub mod discover;
pub mod error_chain;
pub mod export;
pub mod forecast;
pub mod form;
pub mod layer;
pub mod model;
pub mod report;
pub mod sample;
pub mod snapshot;
pub mod source;
pub mod time;
pub mod units;
pub mod untrusted;
pub mod verdict;
pub mod web;
