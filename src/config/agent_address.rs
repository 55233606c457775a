//! Where is the agent? `http://HOST:PORT`, `https://HOST:PORT` or `unix:///PATH`.

use hyper::Uri;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;
use tokio_rustls::rustls::pki_types::ServerName;

/// Which agent is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentChoice {
    /// None: this machine is measured anew.
    None,
    /// This one; that it cannot be reached is a failure.
    At(AgentAddress),
}

/// An agent that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Where it listens.
    pub address: AgentAddress,
    /// The file that says how to ask it.
    pub config: Option<PathBuf>,
}

/// Where an agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentAddress {
    /// `host:port`, the host in brackets where it is an IPv6 address, and what its paths begin with, without a slash at the end.
    Web {
        /// The host, where it has to prove by a certificate that it is the one; `None`: without TLS.
        tls: Option<ServerName<'static>>,
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
pub enum AddressError {
    /// It has another form.
    #[error(
        "\"{0}\" is no address of an agent; write it as http://node-1:9469, https://node-1:9469 or \
         unix:///run/highwater.sock, or write none"
    )]
    Form(String),
    /// It has a user in it, and perhaps a password, so it is not repeated.
    #[error("a user and a password are not given in the URL, where everybody sees them, but by --agent.config.file")]
    Login,
}

impl FromStr for AgentChoice {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::At) }
    }
}

impl FromStr for AgentAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::Form(text.to_owned());
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(wrong()) };
        }
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err(AddressError::Login);
        }
        if uri.query().is_some() || authority.host().is_empty() {
            return Err(wrong());
        }
        let (tls, default_port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => {
                let host = authority.host().trim_start_matches('[').trim_end_matches(']');
                (Some(ServerName::try_from(host).map_err(|_| wrong())?.to_owned()), 443)
            }
            _ => return Err(wrong()),
        };
        let authority = match authority.port_u16() {
            Some(_) => authority.to_string(),
            None if authority.as_str() == authority.host() => format!("{authority}:{default_port}"),
            None => return Err(wrong()),
        };
        Ok(Self::Web { tls, authority, prefix: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for AgentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web { tls, authority, prefix } => {
                let scheme = if tls.is_some() { "https" } else { "http" };
                write!(f, "{scheme}://{authority}{prefix}")
            }
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
            ("https://node-1", "https://node-1:443"),
            ("https://node-1:9469/highwater/", "https://node-1:9469/highwater"),
            ("https://[::1]", "https://[::1]:443"),
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
            "https://",
            "https://:9469",
            "https://-a-",
            "https://node-1/?a=b",
        ] {
            assert!(text.parse::<AgentAddress>().is_err(), "{text}");
        }
        assert_eq!("none".parse(), Ok(AgentChoice::None));
    }

    #[test]
    fn over_tls_the_host_is_what_the_certificate_has_to_name() {
        for (text, name) in
            [("https://node-1:9469", "node-1"), ("https://10.0.0.1", "10.0.0.1"), ("https://[::1]", "::1")]
        {
            let Ok(AgentAddress::Web { tls: Some(host), .. }) = text.parse() else { panic!("{text}") };
            assert_eq!(host.to_str(), name);
        }
        for text in ["http://user:secret@node-1", "https://user:secret@node-1"] {
            let error = text.parse::<AgentAddress>().unwrap_err().to_string();
            assert!(error.contains("--agent.config.file") && !error.contains("secret"), "{error}");
        }
    }
}
