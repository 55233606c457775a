//! What `run` and `demo` share: sockets, the web server until a signal, and the line that says where it is.

use super::{Failure, privileges, service};
use crate::config::{ListenAddress, Listening, Settings};
use crate::export::metrics::Budget;
use crate::time::Timestamp;
use crate::web::{AccessRules, AllowedHosts, Answers, Drained, Limits, Listener, PageOptions, Published, serve};
use nix::sched::{CloneFlags, unshare};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use sysinfo::System;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A server that listens and does not answer yet.
///
/// It has a thread of its own with a table of open files of its own. Other threads may hang in the kernel for as long as a pod
/// wants, for instance in its FUSE, and even SIGKILL does not end them; what they have open stays open. Sockets that only the
/// server's thread has are closed at once, so that the next agent can listen.
#[derive(Debug)]
pub(super) struct BoundServer {
    urls: String,
    rules: Arc<AccessRules>,
    jobs: SyncSender<Job>,
    thread: JoinHandle<Result<(), Failure>>,
}

/// What the server's thread has.
struct Sockets {
    listening: Vec<Listening>,
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

/// What it is given to do with that.
type Job = Box<dyn FnOnce(Sockets) -> Result<(), Failure> + Send>;

impl BoundServer {
    /// Reads certificates and users and binds every address, before anything else is begun. From then on a signal ends
    /// `until_stopped`, also one that comes before it: nobody who was told where this serves can end it without an order.
    pub(super) fn open(settings: &Settings) -> Result<Self, Failure> {
        let hosts = AllowedHosts::new(System::host_name().ok().as_deref(), settings.allowed_hosts.clone());
        let rules =
            settings.web_file.as_deref().map_or_else(AccessRules::open, AccessRules::from_file)?.with_hosts(hosts);
        // Here, and not on the thread: tokio has one pipe for the signals of all threads, and each has to know its files by
        // the same numbers.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::io("start the web server", error))?;
        let caught = |kind| {
            let _entered = runtime.enter();
            signal(kind).map_err(|error| Failure::io("wait for signals", error))
        };
        let (interrupt, terminate) = (caught(SignalKind::interrupt())?, caught(SignalKind::terminate())?);

        let (is_tls, systemd, addresses) = (rules.is_tls(), settings.systemd_socket, settings.listen.clone());
        let (bound, binding) = sync_channel(1);
        let (jobs, job) = sync_channel::<Job>(1);
        let thread = Builder::new().name("web".to_owned()).spawn(move || {
            if let Err(error) = unshare(CloneFlags::CLONE_FILES) {
                tracing::warn!(%error, "sockets are shared with threads that may hang");
            }
            let listening = bind(systemd, &addresses)?;
            privileges::keep_reading_files();
            // Nobody waits for either after a failure elsewhere.
            bound.send(urls(is_tls, &listening)).ok();
            let Ok(job) = job.recv() else { return Ok(()) };
            job(Sockets { listening, runtime, interrupt, terminate })
        });
        let thread = thread.map_err(|error| Failure::io("start a thread", error))?;
        match binding.recv() {
            Ok(urls) => Ok(Self { urls, rules: Arc::new(rules), jobs, thread }),
            Err(_) => Err(ended(thread).err().unwrap_or(Failure::SamplerEnded)),
        }
    }

    /// The addresses to type into a browser, as one phrase.
    pub(super) fn urls(&self) -> &str {
        &self.urls
    }
}

/// What came of the thread.
fn ended(thread: JoinHandle<Result<(), Failure>>) -> Result<(), Failure> {
    thread.join().unwrap_or_else(|_| Err(Failure::io("serve", io::Error::other("the web server ended by a defect"))))
}

fn bind(systemd: bool, addresses: &[ListenAddress]) -> Result<Vec<Listening>, Failure> {
    if systemd {
        return Ok(Listening::from_systemd()?);
    }
    addresses.iter().map(|address| address.bind().map_err(Failure::from)).collect()
}

fn urls(is_tls: bool, listening: &[Listening]) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let urls = listening.iter().map(|listening| match listening {
        Listening::Tcp(listener) => tcp_url(scheme, listener),
        Listening::Unix(listener) => unix_url(listener),
    });
    urls.map(|url| url.unwrap_or_else(|| "unknown".to_owned())).collect::<Vec<_>>().join(" and ")
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
    server: BoundServer,
    published: &Arc<Published>,
    notice: Option<String>,
    clock: impl Fn() -> Timestamp + Clone + Send + Sync + 'static,
    broken: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let BoundServer { rules, jobs, thread, .. } = server;
    // Not started by the server's thread: a disk with certificates may hang, too.
    let _reloading = rules.watch().map_err(|error| Failure::io("start a thread", error))?;
    let page = PageOptions { telemetry_path: settings.telemetry_path.clone(), notice };
    let published = Arc::clone(published);
    let answers = Answers::new(
        Arc::clone(&published),
        clock.clone(),
        settings.telemetry_path.clone(),
        Budget { total: settings.max_series, ..Budget::default() },
        page,
    );
    let job = move |Sockets { listening, runtime, mut interrupt, mut terminate }: Sockets| {
        runtime.block_on(async {
            let listeners = listening
                .into_iter()
                .map(Listener::new)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| Failure::io("listen", error))?;
            let mut failure = None;
            let shutdown = async {
                service::ready();
                tokio::select! {
                    _ = interrupt.recv() => tracing::info!("interrupted"),
                    _ = terminate.recv() => tracing::info!("asked to terminate"),
                    () = broken => failure = Some(Failure::SamplerEnded),
                    () = service::keep_alive(&published, clock) => {}
                }
                service::stopping();
            };
            if serve(listeners, Arc::new(answers), rules, Limits::default(), shutdown).await == Drained::TimedOut {
                tracing::warn!("ended with requests unanswered");
            }
            failure.map_or(Ok(()), Err)
        })
    };
    // It waits for this; if it has ended, joining it tells why.
    jobs.send(Box::new(job)).ok();
    ended(thread)
}
