//! Bytes out over HTTP, nothing else: no handler reads a path or waits for a disk.

mod answer;
mod api;
mod handler;
mod host;
mod negotiate;
mod response;
mod rules;
mod server;
mod slots;
mod stream;
mod tls;
mod users;

pub use answer::{Answers, PageOptions, Published};
pub use host::AllowedHosts;
pub use rules::{AccessRules, ReloadThread, WebConfigError};
pub use server::{Drained, serve};
pub use stream::{Limits, Listener};
pub use tls::TlsError;
pub use users::NoRandomness;
