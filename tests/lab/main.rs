//! The real agent on the real three-layer node: does it say what is so? Run by `tests/lab/test`, see README.md; a
//! plain `cargo test` compiles it and runs none of it.
//!
//! The truth is `facts.json`, which the lab writes from Docker's and the CRI's own answers, and what `stat -f` and `du` say.
//! Nothing waits for a fixed time: what must come is polled for, with deadlines for a machine that is busy with other things,
//! and "within two rounds" counts the agent's own samples.
//!
//! With imitations of kubelets (a machine without Go) everything here holds as well: highwater only reads what a kubelet was
//! told. What no test here shows with either is that a kubelet acts where highwater says so.

#![expect(clippy::expect_used, reason = "a test that cannot go on says what is missing")]
#![expect(
    clippy::indexing_slicing,
    reason = "JSON and tables whose form is the point of the test; a panic names the line"
)]
#![expect(clippy::disallowed_methods, reason = "a test may look at the clock and read files of its own lab")]

mod agent;
mod bursts;
mod check;
mod disk;
#[path = "../it/exposition.rs"]
mod exposition;
mod facts;
mod fill;
mod forecast;
mod http;
mod lab;
mod layers;
mod nodes;
mod policy;
mod prometheus;
mod scrape;
mod snapshot;
#[path = "../it/tools.rs"]
mod tools;
mod usage;
mod wait;
