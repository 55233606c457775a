//! One integration binary; one module per question.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, also in its helpers")]

mod architecture;
mod contract;
mod discovery;
mod exposition;
mod fake_proc;
mod hostile_files;
mod hostile_sockets;
mod metrics;
mod node;
mod surfaces;
mod tools;
mod web;
