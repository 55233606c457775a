//! One file per subcommand: what it does, in which order, and what it prints.

pub mod backtest;
mod changes;
pub mod check;
mod colour;
pub mod demo;
mod exit;
pub mod explain;
pub mod log;
mod observe;
mod origin;
mod privileges;
pub mod recording;
pub mod remote;
pub mod replay;
pub mod run;
mod screen;
mod serve;
mod service;
pub mod shell;

pub use crate::error_chain::error_chain as report;
pub use exit::Failure;

use std::io::{Write, stdout};

/// Prints a result.
fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = stdout().lock();
    out.write_all(text.as_ref()).and_then(|()| out.flush()).map_err(|error| Failure::io("print", error))
}

/// Waits for something on this thread.
fn waiting<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("wait for answers", error))?;
    let result = runtime.block_on(work);
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    Ok(result)
}
