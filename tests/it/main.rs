//! One integration binary; one module per question.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on panics, also in its helpers, and reads its own files"
)]

mod architecture;
mod assess;
mod browser;
mod cases;
mod certificates;
mod cli;
mod contract;
mod demo;
mod discovery;
mod distributions;
mod explain;
mod exposition;
mod fake_proc;
mod forecast;
mod hostile_files;
mod hostile_sockets;
mod metrics;
mod modules;
mod moments;
mod node;
mod prometheus;
mod recording;
mod remedies;
mod remote;
mod remote_access;
mod schema;
mod service;
mod storage;
mod surfaces;
mod tools;
mod truth;
mod vocabulary;
mod watch;
mod web;
mod web_access;
mod web_hostile;
