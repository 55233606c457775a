//! How do bytes get to a client? Accepts connections within limits, speaks HTTP/1.1 on them, ends in order.

use super::answer::Answers;
use super::limits::Limits;
use super::patient::Patient;
use super::places::{Place, Places};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

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
    listeners: Vec<TcpListener>,
    answers: Arc<Answers>,
    mut limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    // Each listener holds one place ready for whom it accepts next.
    limits.connections = limits.connections.max(listeners.len() + 1);
    let places = Arc::new(Places::new(limits.connections));
    let (stop, stopped) = watch::channel(());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (answers, places) = (Arc::clone(&answers), Arc::clone(&places));
        let server = Server { answers, limits, places, stopped: stopped.clone() };
        accepting.spawn(server.accept_until_stopped(listener));
    }
    drop(stopped);
    shutdown.await;
    drop(stop);
    while accepting.join_next().await.is_some() {}
    match tokio::time::timeout(limits.drain_timeout.to_std(), places.all_free(limits.connections)).await {
        Ok(()) => Drained::Complete,
        Err(_) => Drained::TimedOut,
    }
}

struct Server {
    answers: Arc<Answers>,
    limits: Limits,
    places: Arc<Places>,
    /// Its sender is dropped to stop; it never sends.
    stopped: watch::Receiver<()>,
}

impl Server {
    async fn accept_until_stopped(self, listener: TcpListener) {
        let mut stopped = self.stopped.clone();
        loop {
            let accepted = tokio::select! {
                _ = stopped.changed() => return,
                accepted = self.accept(&listener) => accepted,
            };
            if let Some((stream, place)) = accepted {
                self.spawn(stream, place);
            }
        }
    }

    /// The place comes before the accept: what is over the limit waits in the kernel, where it costs no memory of ours.
    async fn accept(&self, listener: &TcpListener) -> Option<(TcpStream, Place)> {
        let place = self.places.take().await?;
        match listener.accept().await {
            Ok((stream, _)) => Some((stream, place)),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_secs(1)).await;
                None
            }
        }
    }

    fn spawn(&self, stream: TcpStream, place: Place) {
        let answers = Arc::clone(&self.answers);
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let response = answers.answer(request.method(), request.uri(), request.headers());
            ready(Ok::<_, Infallible>(response))
        });
        let leave = place.leave();
        let io = TokioIo::new(Patient::new(stream, place, self.limits));
        // All waiting is limited by the stream, so that hyper needs no timer.
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(self.limits.header_bytes.max(8_192))
            .serve_connection(io, service);
        let mut stopped = self.stopped.clone();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = leave.notified() => return,
                _ = stopped.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended early");
            }
        });
    }
}
