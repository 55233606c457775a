//! The loop: when is what read, and who owns the state? Everything with a clock or a thread is here.

mod assemble;
mod boot;
mod cadence;
pub mod clock;
mod facts;
mod filesystems;
mod identity;
mod images;
mod kubelets;
mod lock;
pub mod pace;
mod process;
mod recorder;
pub mod runtimes;
mod sampler;
mod storage;
pub mod stored;
mod threads;
pub mod usage;
mod watch;

pub use boot::{boot_id, node_name};
pub use process::OwnProcess;
pub use recorder::{Recorder, Recording};
pub use sampler::{Round, Sampler, SamplerOptions};
pub use threads::Agent;
pub use watch::Watch;
