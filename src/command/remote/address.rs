//! Where is the agent? `http://HOST:PORT` or `unix:///PATH`.

use hyper::Uri;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// Which agent is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentChoice {
    /// None: this machine is measured anew.
    None,
    /// This one; that it cannot be reached is a failure.
    At(AgentAddress),
}

/// Where an agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentAddress {
    /// `host:port`, the host in brackets where it is an IPv6 address, and what its paths begin with, without a slash at the end.
    Http {
        /// For the connection and for the header.
        authority: String,
        /// Empty, or as `/highwater`.
        prefix: String,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// Text that is no address of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "\"{0}\" is no address of an agent; write it as http://node-1:9469 or unix:///run/highwater.sock, or write none"
)]
pub struct AddressError(String);

impl FromStr for AgentChoice {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::At) }
    }
}

impl FromStr for AgentAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(wrong()) };
        }
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        // A password in a URL ends up in the list of processes.
        let plain = !authority.as_str().contains('@') && uri.query().is_none();
        if uri.scheme_str() != Some("http") || !plain || authority.host().is_empty() {
            return Err(wrong());
        }
        let authority = match authority.port_u16() {
            Some(_) => authority.to_string(),
            None if authority.as_str() == authority.host() => format!("{authority}:80"),
            None => return Err(wrong()),
        };
        Ok(Self::Http { authority, prefix: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for AgentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { authority, prefix } => write!(f, "http://{authority}{prefix}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("http://node-1:9469", "http://node-1:9469"),
            ("http://node-1:9469/", "http://node-1:9469"),
            ("http://10.0.0.1/proxy/highwater/", "http://10.0.0.1:80/proxy/highwater"),
            ("http://[::1]:9469", "http://[::1]:9469"),
            ("unix:///run/highwater.sock", "unix:///run/highwater.sock"),
        ] {
            assert_eq!(text.parse::<AgentAddress>().unwrap().to_string(), shown, "{text}");
        }
        for text in [
            "",
            "node-1",
            "node-1:9469",
            "ftp://node-1",
            "http://",
            "http://:9469",
            "http://a:b",
            "http://a:",
            "http://user:secret@node-1",
            "http://node-1/?a=b",
            "unix://run/highwater.sock",
            "http://a b",
        ] {
            assert!(text.parse::<AgentAddress>().is_err(), "{text}");
        }
        assert_eq!("none".parse(), Ok(AgentChoice::None));
    }
}
