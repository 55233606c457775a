//! Which sockets are served? TCP and Unix, plain or below TLS, all as one type.

use super::users::Source;
use crate::config::Listening;
use std::io;
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

    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Source)> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // An answer is written whole; waiting for more to send only delays its end.
                stream.set_nodelay(true).ok();
                (Box::new(stream), Source::of(peer.ip()))
            }
            Self::Unix(listener) => (Box::new(listener.accept().await?.0), Source::Local),
        })
    }
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
