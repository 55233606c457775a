//! How do bytes get to a client? Accepts connections within limits, speaks TLS and HTTP on them, ends in order.

use super::answer::Answers;
use super::handler::{Connection, RequestHandler};
use super::rules::AccessRules;
use super::slots::{ConnectionSlot, ConnectionSlots, IdleTimeout};
use super::stream::{AcceptQueue, Limits, Listener, Source, Stream};
use super::tls::HTTP_2;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::GracefulConnection;
use nix::sys::resource::{Resource, getrlimit};
use std::error::Error as StdError;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// Which of the two ended the server after the shutdown signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request in flight was answered.
    Complete,
    /// The time limit, with requests still in flight.
    TimedOut,
}

/// Serves on every listener until `shutdown` is ready, then lets requests in flight end within the limit.
///
/// A failing accept (no file descriptors left) is tried again after a second and never ends the server.
pub async fn serve(
    listeners: Vec<Listener>,
    answers: Arc<Answers>,
    rules: Arc<AccessRules>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let limits = limits.within(open_files(), listeners.len());
    let slots = Arc::new(ConnectionSlots::new(limits.connections, listeners.len(), limits.answer_bytes));
    let (stop, stopped) = watch::channel(());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        listener.prepare();
        let (answers, rules, slots) = (Arc::clone(&answers), Arc::clone(&rules), Arc::clone(&slots));
        let server = Server { answers, rules, limits, slots, stopped: stopped.clone() };
        accepting.spawn(server.accept_until_stopped(listener));
    }
    drop(stopped);
    shutdown.await;
    drop(stop);
    while accepting.join_next().await.is_some() {}
    match tokio::time::timeout(limits.drain_timeout.to_std(), slots.all_free()).await {
        Ok(()) => Drained::Complete,
        Err(_) => Drained::TimedOut,
    }
}

/// How many files this process may have open.
fn open_files() -> usize {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or_default();
    usize::try_from(soft).unwrap_or(usize::MAX)
}

struct Server {
    answers: Arc<Answers>,
    rules: Arc<AccessRules>,
    limits: Limits,
    slots: Arc<ConnectionSlots>,
    /// Its sender is dropped to stop; it never sends.
    stopped: watch::Receiver<()>,
}

/// One connection that is served.
struct Accepted {
    stream: Box<dyn Stream>,
    source: Source,
    slot: ConnectionSlot,
}

impl Server {
    /// What comes is accepted before any of it is served, which costs little, so that nobody waits in the kernel behind a flood;
    /// who is served next is decided here, whenever a slot is free. When as many wait as may, the others stay in the kernel, and
    /// only if that lasts, some of the flood are closed for them.
    async fn accept_until_stopped(self, listener: Listener) {
        let mut stopped = self.stopped.clone();
        let mut waiting = AcceptQueue::new(self.limits.waiting);
        let mut full_for = pin!(sleep(Duration::ZERO));
        let (mut full, mut closing) = (false, false);
        loop {
            tokio::select! {
                biased;
                _ = stopped.changed() => return,
                slot = self.slots.take(), if !waiting.is_empty() => {
                    if let (Some(slot), Some((stream, source))) = (slot, waiting.pop()) {
                        self.spawn(Accepted { stream, source, slot });
                    }
                }
                accepted = listener.accept(), if !full || closing => match accepted {
                    Ok((stream, source)) => {
                        waiting.push(stream, source);
                        accept_more(&listener, &mut waiting, closing).await;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        sleep(Duration::from_secs(1)).await;
                    }
                },
                () = full_for.as_mut(), if full && !closing => closing = true,
            }
            if full != waiting.is_full() {
                full = !full;
                closing = false;
                full_for.set(sleep(FLOOD_AFTER));
            }
        }
    }

    fn spawn(&self, mut accepted: Accepted) {
        accepted.slot.occupy(accepted.source);
        let evicted = accepted.slot.evicted();
        let handler = RequestHandler::new(Connection {
            answers: Arc::clone(&self.answers),
            rules: Arc::clone(&self.rules),
            slots: Arc::clone(&self.slots),
            unsent: accepted.slot.unsent(),
            source: accepted.source,
            answered: AtomicBool::new(false),
            failures: AtomicU32::new(0),
        });
        let connection = serve_connection(accepted, handler, self.limits, self.stopped.clone());
        tokio::spawn(async move {
            let ended = tokio::select! {
                biased;
                () = evicted.notified() => return,
                ended = connection => ended,
            };
            if let Err(error) = ended {
                tracing::debug!(error, "connection ended early");
            }
        });
    }
}

/// All that have come, up to a number; then others have a turn.
async fn accept_more(listener: &Listener, waiting: &mut AcceptQueue, closing: bool) {
    for _ in 0..STRIDE {
        if waiting.is_full() && !closing {
            return;
        }
        let now = async {
            tokio::select! {
                biased;
                accepted = listener.accept() => accepted.ok(),
                () = std::future::ready(()) => None,
            }
        };
        // Unconstrained: tokio would have others take turns as often as once in a hundred.
        let Some((stream, source)) = tokio::task::unconstrained(now).await else { return };
        waiting.push(stream, source);
    }
    tokio::task::yield_now().await;
}

/// About 15 ms of accepting.
const STRIDE: usize = 1_024;
/// A burst is served within this; what keeps the server full for longer is a flood.
const FLOOD_AFTER: Duration = Duration::from_millis(500);

/// Speaks on one connection until its end.
async fn serve_connection(
    accepted: Accepted,
    handler: RequestHandler,
    limits: Limits,
    mut stopped: watch::Receiver<()>,
) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let Accepted { stream, slot, .. } = accepted;
    let Some(tls) = handler.rules().tls.clone() else {
        return speak_http1(IdleTimeout::new(stream, slot, limits), handler, limits, stopped).await;
    };
    let handshake = tokio::time::timeout(limits.header_timeout.to_std(), TlsAcceptor::from(tls).accept(stream));
    let stream = tokio::select! {
        shaken = handshake => shaken??,
        _ = stopped.changed() => return Ok(()),
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
    let stream = IdleTimeout::new(stream, slot, limits);
    if http2 {
        speak_http2(stream, handler, limits, stopped).await
    } else {
        speak_http1(stream, handler, limits, stopped).await
    }
}

// All waiting is limited by the stream, so that hyper needs no timer.

async fn speak_http1(
    stream: IdleTimeout<impl Stream + 'static>,
    handler: RequestHandler,
    limits: Limits,
    stopped: watch::Receiver<()>,
) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes.max(8_192))
        .serve_connection(TokioIo::new(stream), handler);
    until_stopped(connection, stopped).await.map_err(Into::into)
}

async fn speak_http2(
    stream: IdleTimeout<impl Stream + 'static>,
    handler: RequestHandler,
    limits: Limits,
    stopped: watch::Receiver<()>,
) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let connection = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(TokioIo::new(stream), handler);
    until_stopped(connection, stopped).await.map_err(Into::into)
}

/// Requests at one time on a connection of HTTP/2: a page and what it loads.
const STREAMS: u32 = 8;
/// What is buffered for each of them.
const SEND_BUFFER: usize = 64 << 10;

/// Lets the request in flight end once stopped. (`E` has its own name because rustc cannot prove a future with the projection
/// `C::Error` in it to be `Send`.)
async fn until_stopped<C, E>(connection: C, mut stopped: watch::Receiver<()>) -> Result<(), E>
where
    C: GracefulConnection<Error = E>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
