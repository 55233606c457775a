//! Where does the web server listen? Addresses in the form that Prometheus exporters use, and Unix sockets.

use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::stat::{Mode, fchmod};
use serde::Deserialize;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use thiserror::Error;

/// An address: `:9469`, `127.0.0.1:9469`, `[::1]:9469`, `unix:///run/highwater.sock`. Without a host it listens on all addresses
/// of both families.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ListenAddress(Location);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Location {
    Everywhere { port: u16 },
    Address(SocketAddr),
    Unix(PathBuf),
}

/// A socket that listens, non-blocking.
#[derive(Debug)]
pub enum Listening {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// An address that cannot be used.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Not in the expected form.
    #[error(
        "\"{0}\" is no listen address; write it as :9469, 127.0.0.1:9469, [::1]:9469 or unix:///run/highwater.sock"
    )]
    Form(String),
    /// Nothing can listen there.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: ListenAddress,
        /// Why not: in use, not permitted, no such address.
        #[source]
        source: io::Error,
    },
    /// systemd handed over no socket.
    #[error("--web.systemd-socket needs sockets from systemd, and none were handed over; start highwater.socket")]
    NoSockets,
    /// What systemd handed over is no stream socket that listens.
    #[error("socket {number} that systemd handed over cannot be served; it must be a ListenStream= of TCP or Unix")]
    Handed {
        /// Which, from 0.
        number: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ListenAddress {
    /// The port that highwater uses unless told otherwise.
    pub const DEFAULT_PORT: u16 = 9_469;

    /// Starts to listen. A Unix socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// [`ListenError::Bind`] where the address is in use, not permitted or not of this machine.
    pub fn bind(&self) -> Result<Listening, ListenError> {
        let listening = match &self.0 {
            Location::Address(address) => TcpListener::bind(address).map(Listening::Tcp),
            // A machine without IPv6 still has IPv4; a port in use is in use for both.
            Location::Everywhere { port } => TcpListener::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), *port))
                .or_else(|error| {
                    if error.kind() == ErrorKind::AddrInUse {
                        return Err(error);
                    }
                    TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), *port))
                })
                .map(Listening::Tcp),
            Location::Unix(path) => bind_unix(path).map(Listening::Unix),
        };
        listening
            .and_then(Listening::non_blocking)
            .map_err(|source| ListenError::Bind { address: self.clone(), source })
    }
}

/// A socket file outlives the process that made it; one that refuses is such a left-over.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let bound = bind_private(path);
    let in_use = matches!(&bound, Err(error) if error.kind() == ErrorKind::AddrInUse);
    if in_use && fs::symlink_metadata(path)?.file_type().is_socket() && is_left_over(path) {
        fs::remove_file(path)?;
        return bind_private(path);
    }
    bound
}

/// Only the owner may connect, whatever the umask: a socket file gets the mode that the socket has before it is bound (Linux
/// `unix_bind_bsd`), less the umask. So there is no moment at which others could.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let address = UnixAddr::new(path)?;
    let socket = socket::socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket::bind(socket.as_raw_fd(), &address)?;
    socket::listen(&socket, Backlog::MAXCONN)?;
    Ok(socket.into())
}

fn is_left_over(path: &Path) -> bool {
    matches!(UnixStream::connect(path), Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

impl Listening {
    /// The sockets that systemd handed over (`LISTEN_FDS`), in its order.
    ///
    /// # Errors
    /// [`ListenError::NoSockets`] or [`ListenError::Handed`].
    pub fn from_systemd() -> Result<Vec<Self>, ListenError> {
        let mut handed = listenfd::ListenFd::from_env();
        if handed.len() == 0 {
            return Err(ListenError::NoSockets);
        }
        (0..handed.len())
            .map(|number| {
                let failure = |source| ListenError::Handed { number, source };
                let listening = match handed.take_tcp_listener(number) {
                    Ok(listener) => listener.map(Self::Tcp),
                    Err(_) => handed.take_unix_listener(number).map_err(failure)?.map(Self::Unix),
                };
                let listening = listening.ok_or_else(|| failure(ErrorKind::NotFound.into()))?;
                listening.non_blocking().map_err(failure)
            })
            .collect()
    }

    fn non_blocking(self) -> io::Result<Self> {
        match &self {
            Self::Tcp(listener) => listener.set_nonblocking(true)?,
            Self::Unix(listener) => listener.set_nonblocking(true)?,
        }
        Ok(self)
    }
}

impl Default for ListenAddress {
    fn default() -> Self {
        Self(Location::Everywhere { port: Self::DEFAULT_PORT })
    }
}

impl FromStr for ListenAddress {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || ListenError::Form(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            // Both unix:///run/x and unix:/run/x are in use.
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') { Ok(Self(Location::Unix(path.into()))) } else { Err(form()) };
        }
        if let Some(port) = text.strip_prefix(':') {
            return port.parse().map(|port| Self(Location::Everywhere { port })).map_err(|_| form());
        }
        text.parse().map(|address| Self(Location::Address(address))).map_err(|_| form())
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = ListenError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Location::Everywhere { port } => write!(f, ":{port}"),
            Location::Address(address) => address.fmt(f),
            Location::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_exporters_write_them() {
        for text in [":9469", "127.0.0.1:9469", "[::1]:80", "unix:///run/highwater.sock"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        assert_eq!("unix:/run/x".parse::<ListenAddress>().unwrap().to_string(), "unix:///run/x");
        for text in ["9469", ":99999", "localhost", "host:1:2", "", "unix:", "unix:x.sock", "unix://x.sock"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_in_use_is_told() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: ListenAddress = taken.local_addr().unwrap().to_string().parse().unwrap();
        let error = address.bind().unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    }

    #[test]
    fn a_socket_that_was_left_is_replaced_and_anything_else_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let address: ListenAddress = format!("unix://{}", path.display()).parse().unwrap();
        drop(address.bind().unwrap());
        let held = address.bind().unwrap();
        assert!(address.bind().is_err(), "somebody listens");
        drop(held);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a file").unwrap();
        assert!(address.bind().is_err());
        assert!(path.is_file());
    }

    #[test]
    fn without_sockets_of_systemd_it_says_so() {
        assert!(Listening::from_systemd().unwrap_err().to_string().contains("none were handed over"));
    }
}
