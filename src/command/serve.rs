//! What `run` and `demo` share: listeners, the web server until a signal, and the line that says where it is.

use super::Failure;
use crate::config::Settings;
use crate::export::metrics::Budget;
use crate::time::Timestamp;
use crate::verdict::Windows;
use crate::web::{Answers, Drained, Limits, PageOptions, Published, serve};
use std::future::Future;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Binds every address, before anything else is begun.
pub(super) fn bind(settings: &Settings) -> Result<Vec<TcpListener>, Failure> {
    settings.listen.iter().map(|address| address.bind().map_err(Failure::from)).collect()
}

/// The address to type into a browser.
pub(super) fn url(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(
        |_| "unknown".to_owned(),
        |address| {
            let host = if address.ip().is_unspecified() { "localhost".to_owned() } else { bracketed(address) };
            format!("http://{host}:{}/", address.port())
        },
    )
}

fn bracketed(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Serves until SIGINT or SIGTERM, or until `broken` is ready, which is a failure. `clock` says what time an answer is made at.
pub(super) fn until_stopped(
    settings: &Settings,
    listeners: Vec<TcpListener>,
    published: Arc<Published>,
    notice: Option<String>,
    clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    broken: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("start the web server", error))?;
    runtime.block_on(async {
        let listeners = listeners
            .into_iter()
            .map(tokio::net::TcpListener::from_std)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Failure::io("listen", error))?;
        let page = PageOptions {
            telemetry_path: settings.telemetry_path.clone(),
            notice,
            windows: Windows { critical: settings.critical, warning: settings.warning },
        };
        let answers = Answers::new(published, clock, settings.telemetry_path.clone(), Budget::default(), page);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Failure::io("wait for signals", error))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| Failure::io("wait for signals", error))?;
        let mut failure = None;
        let shutdown = async {
            tokio::select! {
                _ = interrupt.recv() => tracing::info!("interrupted"),
                _ = terminate.recv() => tracing::info!("asked to terminate"),
                () = broken => failure = Some(Failure::SamplerEnded),
            }
        };
        if serve(listeners, Arc::new(answers), Limits::default(), shutdown).await == Drained::TimedOut {
            tracing::warn!("ended with requests unanswered");
        }
        failure.map_or(Ok(()), Err)
    })
}
