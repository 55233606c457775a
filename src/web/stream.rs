//! Which sockets are served? TCP and Unix, plain or below TLS, all as one type.

use super::limits::SOCKET_BUFFERS;
use crate::config::Listening;
use nix::sys::socket::{self, sockopt};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

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
