//! Bytes out over HTTP, nothing else: no handler reads a path or waits for a disk.

mod accept;
mod answer;
mod api;
mod limits;
mod patient;
mod places;
mod published;
mod scrapes;
mod server;

pub use answer::{Answers, PageOptions};
pub use limits::Limits;
pub use published::Published;
pub use server::{Drained, serve};
