//! Where does the web server listen? Addresses in the form that Prometheus exporters use.

use serde::Deserialize;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::str::FromStr;
use thiserror::Error;

/// An address: `:9469`, `127.0.0.1:9469`, `[::1]:9469`. Without a host it listens on all addresses of both families.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ListenAddress {
    host: Option<IpAddr>,
    port: u16,
}

/// An address that cannot be used.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Not in the expected form.
    #[error("\"{0}\" is no listen address; write it as :9469, 127.0.0.1:9469 or [::1]:9469")]
    Form(String),
    /// Nothing can listen there.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: ListenAddress,
        /// Why not: in use, not permitted, no such address.
        #[source]
        source: std::io::Error,
    },
}

impl ListenAddress {
    /// The port that highwater uses unless told otherwise.
    pub const DEFAULT_PORT: u16 = 9_469;

    /// Starts to listen, non-blocking.
    ///
    /// # Errors
    /// [`ListenError::Bind`] where the address is in use, not permitted or not of this machine.
    pub fn bind(&self) -> Result<TcpListener, ListenError> {
        let fail = |source| ListenError::Bind { address: self.clone(), source };
        let listener = match self.host {
            Some(host) => TcpListener::bind(SocketAddr::new(host, self.port)),
            // A machine without IPv6 still has IPv4; a port in use is in use for both.
            None => TcpListener::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), self.port)).or_else(|error| {
                if error.kind() == std::io::ErrorKind::AddrInUse {
                    return Err(error);
                }
                TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.port))
            }),
        };
        let listener = listener.map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        Ok(listener)
    }
}

impl Default for ListenAddress {
    fn default() -> Self {
        Self { host: None, port: Self::DEFAULT_PORT }
    }
}

impl FromStr for ListenAddress {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(port) = text.strip_prefix(':') {
            return port.parse().map(|port| Self { host: None, port }).map_err(|_| ListenError::Form(text.to_owned()));
        }
        let address: SocketAddr = text.parse().map_err(|_| ListenError::Form(text.to_owned()))?;
        Ok(Self { host: Some(address.ip()), port: address.port() })
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
        match self.host {
            Some(host) => write!(f, "{}", SocketAddr::new(host, self.port)),
            None => write!(f, ":{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_exporters_write_them() {
        for text in [":9469", "127.0.0.1:9469", "[::1]:80"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in ["9469", ":99999", "localhost", "host:1:2", ""] {
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
}
