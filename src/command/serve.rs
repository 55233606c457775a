//! What `run` and `demo` share: sockets, the web server until a signal, and the line that says where it is.

use super::{Failure, service};
use crate::config::{Listening, Settings};
use crate::export::metrics::Budget;
use crate::time::Timestamp;
use crate::web::{Answers, Drained, Guard, Limits, Listener, PageOptions, Published, serve};
use std::future::Future;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Where clients come in, and who may; and the signals that end it all.
#[derive(Debug)]
pub(super) struct Door {
    listening: Vec<Listening>,
    guard: Guard,
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

impl Door {
    /// Reads certificates and users and binds every address, before anything else is begun. From then on a signal ends
    /// `until_stopped`, also one that comes before it: nobody who was told where this serves can end it without an order.
    pub(super) fn open(settings: &Settings) -> Result<Self, Failure> {
        let guard = settings.web_file.as_deref().map_or_else(Guard::open, Guard::from_file)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::io("start the web server", error))?;
        let caught = |kind| {
            let _entered = runtime.enter();
            signal(kind).map_err(|error| Failure::io("wait for signals", error))
        };
        let (interrupt, terminate) = (caught(SignalKind::interrupt())?, caught(SignalKind::terminate())?);
        let listening = if settings.systemd_socket {
            Listening::from_systemd()?
        } else {
            settings.listen.iter().map(|address| address.bind().map_err(Failure::from)).collect::<Result<_, _>>()?
        };
        Ok(Self { listening, guard, runtime, interrupt, terminate })
    }

    /// The addresses to type into a browser, as one phrase.
    pub(super) fn urls(&self) -> String {
        let scheme = if self.guard.is_tls() { "https" } else { "http" };
        let urls = self.listening.iter().map(|listening| match listening {
            Listening::Tcp(listener) => tcp_url(scheme, listener),
            Listening::Unix(listener) => unix_url(listener),
        });
        urls.map(|url| url.unwrap_or_else(|| "unknown".to_owned())).collect::<Vec<_>>().join(" and ")
    }
}

fn tcp_url(scheme: &str, listener: &TcpListener) -> Option<String> {
    let address = listener.local_addr().ok()?;
    let host = if address.ip().is_unspecified() { "localhost".to_owned() } else { bracketed(address) };
    Some(format!("{scheme}://{host}:{}/", address.port()))
}

fn unix_url(listener: &UnixListener) -> Option<String> {
    let address = listener.local_addr().ok()?;
    Some(format!("unix://{}", address.as_pathname()?.display()))
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
    door: Door,
    published: &Arc<Published>,
    notice: Option<String>,
    clock: impl Fn() -> Timestamp + Clone + Send + Sync + 'static,
    broken: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let Door { listening, guard, runtime, mut interrupt, mut terminate } = door;
    let guard = Arc::new(guard);
    let _watched = guard.watch().map_err(|error| Failure::io("start a thread", error))?;
    runtime.block_on(async {
        let listeners = listening
            .into_iter()
            .map(Listener::new)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Failure::io("listen", error))?;
        let page = PageOptions { telemetry_path: settings.telemetry_path.clone(), notice };
        let answers = Answers::new(
            Arc::clone(published),
            clock.clone(),
            settings.telemetry_path.clone(),
            Budget { total: settings.max_series, ..Budget::default() },
            page,
        );
        let mut failure = None;
        let shutdown = async {
            service::ready();
            tokio::select! {
                _ = interrupt.recv() => tracing::info!("interrupted"),
                _ = terminate.recv() => tracing::info!("asked to terminate"),
                () = broken => failure = Some(Failure::SamplerEnded),
                () = service::keep_alive(published, clock) => {}
            }
            service::stopping();
        };
        if serve(listeners, Arc::new(answers), guard, Limits::default(), shutdown).await == Drained::TimedOut {
            tracing::warn!("ended with requests unanswered");
        }
        failure.map_or(Ok(()), Err)
    })
}
