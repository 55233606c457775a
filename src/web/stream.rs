//! Where do connections come from, within which limits, and which is served next? TCP and Unix sockets, plain or below TLS, all
//! as one type.

use crate::config::Listening;
use crate::time::Span;
use nix::sys::socket::{self, sockopt};
use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// Limits of the server. Requests in flight need none of their own: on each connection one is answered before the next is looked
/// at, and answers are counted by their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time; with the spare slots at most a quarter of the files that the process may open. When all are taken,
    /// the one that is longest without progress is closed for the next.
    pub connections: usize,
    /// Connections that wait for a slot, for each listener; of all listeners at most a quarter of the files. More wait in the
    /// kernel, or where that lasts, the oldest of the address with most are closed.
    pub waiting: usize,
    /// Bytes of answers that clients have not taken yet, of all connections together. Beyond it, of the connections that hold
    /// any the one that is longest without progress is closed.
    pub answer_bytes: usize,
    /// Time for a TLS handshake, and to send the header of a request, from the first byte or the start of the connection.
    pub header_timeout: Span,
    /// Time between two requests on one connection.
    pub idle_timeout: Span,
    /// Time in which a client must take some part of an answer.
    pub write_timeout: Span,
    /// Longest header of a request in bytes; never less than 8,192.
    pub header_bytes: usize,
    /// Time for requests in flight to end after the shutdown signal.
    pub drain_timeout: Span,
}

/// 256 connections take about 16 KiB each and 64 KiB more with TLS, those that wait less than 1 KiB; the kernel holds at most twice
/// `SOCKET_BUFFERS` for each, and of one that waits only what was received. A
/// scrape takes far less than a second of any of the times, and connections outlive a scrape interval of a minute.
impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            waiting: 2_048,
            answer_bytes: 8 << 20,
            header_timeout: Span::from_secs(10),
            idle_timeout: Span::from_secs(150),
            write_timeout: Span::from_secs(10),
            header_bytes: 16 << 10,
            drain_timeout: Span::from_secs(5),
        }
    }
}

impl Limits {
    /// These, so that connections take no more than half of the files that may be open: where the kernel has no table of them for the
    /// serving thread alone, the sampler needs the other half.
    pub(super) fn within(self, open_files: usize, listeners: usize) -> Self {
        let quarter = open_files / 4;
        // Besides these the slots have spare ones, an eighth or one for each listener.
        let connections = self.connections.min((quarter * 8 / 9).min(quarter.saturating_sub(listeners))).max(1);
        Self { connections, waiting: self.waiting.min(quarter / listeners.max(1)).max(1), ..self }
    }
}

/// Something that connections come from.
#[derive(Debug)]
pub enum Listener {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Where a connection comes from, for a fair share of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// An address; of IPv6 the /64, since that is what one host has.
    Net(IpAddr),
    /// A Unix socket.
    Local,
}

impl Source {
    pub(super) fn of(ip: IpAddr) -> Self {
        Self::Net(match ip.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// What bytes are read from and written to.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Listener {
    /// To be called within a runtime.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn new(listening: Listening) -> io::Result<Self> {
        match listening {
            Listening::Tcp(listener) => TcpListener::from_std(listener).map(Self::Tcp),
            Listening::Unix(listener) => UnixListener::from_std(listener).map(Self::Unix),
        }
    }

    /// Keeps what the kernel holds for each connection small, and lets more connections wait than std does. What fails leaves
    /// the kernel's own values.
    pub(super) fn prepare(&self) {
        let (send, receive) = SOCKET_BUFFERS;
        let limited = match self {
            // An answer is written whole; waiting for more to send only delays its end.
            Self::Tcp(listener) => limit(listener, send, receive)
                .and_then(|()| socket::setsockopt(listener, sockopt::TcpNoDelay, &true))
                .and_then(|()| socket::Backlog::new(BACKLOG))
                .and_then(|backlog| socket::listen(listener, backlog)),
            Self::Unix(listener) => limit(listener, send, receive),
        };
        if let Err(error) = limited {
            tracing::debug!(%error, "the kernel keeps its own limits for connections");
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Source)> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                (Box::new(stream), Source::of(peer.ip()))
            }
            Self::Unix(listener) => (Box::new(listener.accept().await?.0), Source::Local),
        })
    }
}

/// What the kernel may keep for a connection in bytes, to be sent and received: half of what it then really takes. Left alone it
/// lets a client that never reads, or sends without end, fill several MiB.
pub(super) const SOCKET_BUFFERS: (usize, usize) = (64 << 10, 16 << 10);

/// Connections that may wait to be accepted, so that a burst of them does not cost an honest client a second until it tries again.
const BACKLOG: i32 = 4_096;

/// Sockets that are accepted inherit these.
fn limit(listener: &impl AsFd, send: usize, receive: usize) -> nix::Result<()> {
    socket::setsockopt(listener, sockopt::SndBuf, &send)?;
    socket::setsockopt(listener, sockopt::RcvBuf, &receive)
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

/// Of one source, with the count of arrivals at each; the newest is at the back.
type Arrived<S> = VecDeque<(u64, S)>;

/// Accepted connections of which nothing was read. The next to be served is of the source that waits with fewest, so that a flood
/// holds up nobody but itself, in turn the newest and the oldest: of a flood's own address most that come late are not behind all
/// that came before, and none is behind all that come after.
pub(super) struct AcceptQueue<S = Box<dyn Stream>> {
    most: usize,
    count: usize,
    /// Counts arrivals.
    arrivals: u64,
    /// Whether the oldest is next.
    oldest: bool,
    /// None is empty.
    by_source: HashMap<Source, Arrived<S>>,
}

impl<S> fmt::Debug for AcceptQueue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptQueue").field("count", &self.count).finish_non_exhaustive()
    }
}

impl<S> AcceptQueue<S> {
    /// For so many, at least one.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), count: 0, arrivals: 0, oldest: false, by_source: HashMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.count >= self.most
    }

    /// Adds one. Where there are too many, the oldest of the source with most is closed unread.
    pub(super) fn push(&mut self, stream: S, source: Source) {
        self.arrivals += 1;
        self.count += 1;
        self.by_source.entry(source).or_default().push_back((self.arrivals, stream));
        if self.count > self.most
            && let Some(source) = self.by_source.iter().max_by_key(|(_, of)| of.len()).map(|(source, _)| *source)
        {
            drop(self.take(source, VecDeque::pop_front));
        }
    }

    /// The one to serve now.
    pub(super) fn pop(&mut self) -> Option<(S, Source)> {
        let rank = |of: &Arrived<S>| (of.len(), Reverse(of.back().map(|(arrival, _)| *arrival)));
        let source = self.by_source.iter().min_by_key(|(_, of)| rank(of)).map(|(source, _)| *source)?;
        let which = if self.oldest { VecDeque::pop_front } else { VecDeque::pop_back };
        self.oldest = !self.oldest;
        Some((self.take(source, which)?, source))
    }

    fn take(&mut self, source: Source, which: fn(&mut Arrived<S>) -> Option<(u64, S)>) -> Option<S> {
        let of = self.by_source.get_mut(&source)?;
        let (_, stream) = which(of)?;
        if of.is_empty() {
            self.by_source.remove(&source);
        }
        self.count -= 1;
        Some(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> Source {
        Source::of([10, 0, 0, number].into())
    }

    #[test]
    fn connections_take_half_of_the_files_at_most() {
        for (files, listeners) in [(0, 0), (12, 1), (16, 2), (64, 1), (64, 4), (1_024, 1), (1_024, 2), (1 << 20, 1)] {
            let limits = Limits::default().within(files, listeners);
            let spare = (limits.connections / 8).max(listeners);
            let taken = limits.connections + spare + limits.waiting * listeners;
            // With next to nothing a connection at a time has to do.
            assert!(taken <= (files / 2).max(2 + 2 * listeners), "{files} {listeners}: {limits:?}");
        }
        let limits = Limits::default().within(1_024, 1);
        assert_eq!((limits.connections, limits.waiting), (227, 256));
        let limits = Limits::default().within(64, 1);
        assert_eq!((limits.connections, limits.waiting), (14, 16));
        assert_eq!(Limits::default().within(65_536, 1), Limits::default());
    }

    fn order(waiting: &mut AcceptQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| waiting.pop()).map(|(stream, _)| stream).collect()
    }

    #[test]
    fn a_source_with_few_comes_before_a_flood_and_of_each_the_newest_and_the_oldest_in_turn() {
        let mut waiting = AcceptQueue::new(100);
        for number in 0..4 {
            waiting.push(number, host(1));
        }
        waiting.push(10, host(2));
        waiting.push(11, host(2));
        waiting.push(20, host(3));
        assert_eq!(order(&mut waiting), [20, 10, 11, 0, 3, 1, 2]);
        assert!(waiting.is_empty() && waiting.by_source.is_empty());
    }

    #[test]
    fn a_flood_pushes_out_its_own_oldest_only() {
        let mut waiting = AcceptQueue::new(4);
        waiting.push(100, host(2));
        for number in 0..1_000 {
            waiting.push(number, host(1));
        }
        assert_eq!(order(&mut waiting), [100, 997, 999, 998]);
    }
}
