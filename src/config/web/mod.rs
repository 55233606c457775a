//! What does the file of `--web.config.file` say? TLS, users and headers, in the format of Prometheus' exporter-toolkit
//! (docs/web-configuration.md there), so that one file serves every exporter of a node.
//!
//! What rustls does not offer (TLS 1.0 and 1.1, CBC suites, P-521) is an error here instead of a surprise at a handshake.

mod http;
mod tls;
mod users;

pub use http::RateLimit;
pub use tls::{CipherSuite, ClientAuth, Curve, TlsConfig};
pub use users::PasswordHash;

use super::file::{ConfigError, read_yaml};
use http::{HttpSection, RateLimitSection};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tls::TlsSection;

/// The file as exporter-toolkit defines it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WebFile {
    tls_server_config: Option<TlsSection>,
    http_server_config: Option<HttpSection>,
    basic_auth_users: Option<BTreeMap<String, PasswordHash>>,
    rate_limit: Option<RateLimitSection>,
}

/// A web configuration without contradictions. Its certificates are not read yet.
#[derive(Debug, Clone, PartialEq)]
pub struct WebConfig {
    /// `None`: without TLS.
    pub tls: Option<TlsConfig>,
    /// Whether HTTP/2 is offered; only with TLS, as in exporter-toolkit.
    pub http2: bool,
    /// Headers of every answer, which win over highwater's own.
    pub headers: Vec<(&'static str, String)>,
    /// Who may ask; empty: everybody.
    pub users: BTreeMap<String, PasswordHash>,
    /// How many requests are answered, of all clients together.
    pub rate_limit: Option<RateLimit>,
}

impl WebConfig {
    /// Reads and checks the file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 1 MiB or no YAML, or has unknown keys, unusable values or contradictions.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file: WebFile = read_yaml(path)?.unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new(""));
        let tls = match file.tls_server_config {
            Some(section) => section.validate(folder).map_err(|problem| problem.within(path))?,
            None => None,
        };
        let http = file.http_server_config.unwrap_or_default();
        Ok(Self {
            tls,
            http2: http.http2,
            headers: http.headers(),
            users: file.basic_auth_users.unwrap_or_default(),
            rate_limit: file.rate_limit.and_then(RateLimitSection::rate_limit),
        })
    }

    /// The files that this configuration names, which may change without it.
    pub fn files(&self) -> Vec<PathBuf> {
        self.tls.iter().flat_map(TlsConfig::files).map(Path::to_owned).collect()
    }
}

#[cfg(test)]
mod tests;
