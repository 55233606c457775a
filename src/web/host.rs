//! Under which name was the agent asked, and may a browser read the answer under it?
//!
//! Against DNS rebinding: a page of evil.example may have its name resolve to this machine, and then the browser of whoever is on
//! that page reads answers of the agent as if they were evil.example's. A password stops that, since the browser has none for
//! that name, and so does TLS, since the certificate has another name. Without both, the page and the API are answered under
//! names only that nobody else can own.

use crate::config::HostPattern;
use hyper::header;
use hyper::http::uri::Authority;
use hyper::{Request, Version};
use std::net::{IpAddr, Ipv6Addr};

/// The names under which a browser may read: IP addresses, `localhost` and names below it, the machine's own, configured ones.
#[derive(Debug, Clone, Default)]
pub struct AllowedHosts {
    own: Vec<String>,
    configured: Vec<HostPattern>,
}

impl AllowedHosts {
    /// `own`: the machine's host name, by which it is known as a whole and by its first label.
    pub fn new(own: Option<&str>, configured: Vec<HostPattern>) -> Self {
        let own = own.filter(|own| !own.is_empty()).map(str::to_ascii_lowercase);
        let first = own.as_deref().and_then(|own| own.split('.').next()).map(str::to_owned);
        Self { own: own.into_iter().chain(first).collect(), configured }
    }

    /// Whether a page that was loaded under this host may read what is answered.
    pub(super) fn contains(&self, host: &str) -> bool {
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        // A browser that shows a page of an IP address has it from that address.
        is_ip(&name)
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.own.contains(&name)
            || self.configured.iter().any(|pattern| pattern.matches(&name))
    }
}

fn is_ip(name: &str) -> bool {
    let v6 = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    v6.map_or_else(|| name.parse::<IpAddr>().is_ok(), |v6| v6.parse::<Ipv6Addr>().is_ok())
}

/// Not exactly one host, or one that is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadHost;

/// The host that a request names, without a port. `None`: HTTP/1.0 does not need one, and no browser leaves it out.
pub(super) fn requested<B>(request: &Request<B>) -> Result<Option<String>, BadHost> {
    let mut headers = request.headers().get_all(header::HOST).iter();
    let header = match (headers.next(), headers.next()) {
        (_, Some(_)) => return Err(BadHost),
        (Some(header), None) => Some(Authority::try_from(header.as_bytes()).map_err(|_| BadHost)?),
        (None, None) if request.version() == Version::HTTP_11 => return Err(BadHost),
        (None, None) => None,
    };
    // RFC 9112, 3.2.2: a whole URI as target wins over the header; RFC 9113, 8.3.1: HTTP/2 has its name there.
    let authority = request.uri().authority().or(header.as_ref());
    match authority.map(Authority::as_str) {
        Some(text) if text.contains('@') => Err(BadHost),
        None if request.version() == Version::HTTP_2 => Err(BadHost),
        _ => Ok(authority.map(|authority| authority.host().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: Version, uri: &str, hosts: &[&str]) -> Result<Option<String>, BadHost> {
        let request = Request::builder().version(version).uri(uri);
        requested(&hosts.iter().fold(request, |request, host| request.header(header::HOST, *host)).body(()).unwrap())
    }

    #[test]
    fn a_request_has_exactly_one_host() {
        let named = |name: &str| Ok(Some(name.to_owned()));
        for (version, uri, hosts, expected) in [
            (Version::HTTP_11, "/", &["node-1:9469"][..], named("node-1")),
            (Version::HTTP_11, "/", &["[::1]:9469"], named("[::1]")),
            (Version::HTTP_11, "/", &[], Err(BadHost)),
            (Version::HTTP_11, "/", &["a", "a"], Err(BadHost)),
            (Version::HTTP_11, "/", &[""], Err(BadHost)),
            (Version::HTTP_11, "/", &["a b"], Err(BadHost)),
            (Version::HTTP_11, "/", &["localhost@evil.example"], Err(BadHost)),
            (Version::HTTP_11, "http://evil.example/", &["localhost"], named("evil.example")),
            (Version::HTTP_11, "http://evil.example/", &[], Err(BadHost)),
            (Version::HTTP_10, "/", &[], Ok(None)),
            (Version::HTTP_10, "/", &["a"], named("a")),
            (Version::HTTP_10, "/", &["a", "b"], Err(BadHost)),
            (Version::HTTP_2, "https://node-1:9469/", &[], named("node-1")),
            (Version::HTTP_2, "/", &["a"], named("a")),
            (Version::HTTP_2, "/", &[], Err(BadHost)),
        ] {
            assert_eq!(of(version, uri, hosts), expected, "{version:?} {uri} {hosts:?}");
        }
    }

    #[test]
    fn names_that_nobody_else_can_own_are_allowed() {
        let hosts = AllowedHosts::new(Some("Node-1.example.com"), vec!["*.corp.example".parse().unwrap()]);
        for name in [
            "127.0.0.1",
            "10.1.2.3",
            "[::1]",
            "[2001:db8::1]",
            "localhost",
            "LocalHost.",
            "highwater.localhost",
            "node-1",
            "node-1.example.com",
            "NODE-1.EXAMPLE.COM.",
            "a.corp.example",
        ] {
            assert!(hosts.contains(name), "{name}");
        }
        for name in
            ["", ".", "evil.example", "node-1.evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[x]"]
        {
            assert!(!hosts.contains(name), "{name}");
        }
        assert!(!AllowedHosts::new(None, Vec::new()).contains("node-1"));
        assert!(!AllowedHosts::new(Some(""), Vec::new()).contains(""));
    }
}
