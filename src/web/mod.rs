//! Bytes out over HTTP, nothing else: no handler reads a path or waits for a disk.

mod accept;
mod answer;
mod api;
mod guard;
mod held;
mod idle;
mod limits;
mod published;
mod rate;
mod rendered;
mod request;
mod server;
mod slots;
mod stream;
mod tls;
mod users;
mod waiting;

pub use answer::{Answers, PageOptions};
pub use guard::{Guard, GuardError, Watched};
pub use limits::Limits;
pub use published::Published;
pub use server::{Drained, serve};
pub use stream::Listener;
pub use tls::TlsError;
pub use users::NoRandomness;
