//! What does the file of `--agent.config.file` say? How to log in to an agent and whom to trust, in the format of Prometheus'
//! HTTP client (`http_config` there, `promtool --http.config.file`), as far as it applies to one question and its answer.

use super::contents::{Contents, Secret, one_of};
use super::file::{ConfigError, read_yaml};
use super::problem::{Problem, place, problem};
use super::tls::TlsVersion;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use tokio_rustls::rustls::pki_types::ServerName;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ClientFile {
    basic_auth: Option<Spanned<BasicAuth>>,
    authorization: Option<Spanned<Authorization>>,
    tls_config: Option<TlsSection>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BasicAuth {
    username: Option<Spanned<Secret>>,
    username_file: Option<Spanned<PathBuf>>,
    password: Option<Spanned<Secret>>,
    password_file: Option<Spanned<PathBuf>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Authorization {
    #[serde(rename = "type")]
    scheme: Option<Scheme>,
    credentials: Option<Spanned<Secret>>,
    credentials_file: Option<Spanned<PathBuf>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TlsSection {
    ca: Option<Spanned<Secret>>,
    ca_file: Option<Spanned<PathBuf>>,
    cert: Option<Spanned<Secret>>,
    cert_file: Option<Spanned<PathBuf>>,
    key: Option<Spanned<Secret>>,
    key_file: Option<Spanned<PathBuf>>,
    server_name: Option<Host>,
    insecure_skip_verify: bool,
    min_version: Option<Spanned<TlsVersion>>,
    max_version: Option<TlsVersion>,
}

/// The word before the credentials.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Scheme(String);

impl TryFrom<String> for Scheme {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // The text may be a token that stands in the wrong place: it is not repeated.
        if text.eq_ignore_ascii_case("basic") {
            Err("a user and a password are given by basic_auth instead")
        } else if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            Ok(Self(text))
        } else {
            Err("the type is one word, as Bearer; what is secret is given by credentials or credentials_file")
        }
    }
}

/// A name that can stand in a certificate.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Host(ServerName<'static>);

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = format!("\"{text}\" is no name; write a DNS name or an IP address, without port and brackets");
        ServerName::try_from(text).map(Self).map_err(|_| wrong)
    }
}

/// How to ask an agent, without contradictions. The files that it names are not read yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientConfig {
    /// `None`: the agent is asked without.
    pub login: Option<Login>,
    /// For agents that speak TLS.
    pub tls: ClientTls,
}

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// A user and a password.
    Basic {
        /// The name, without a colon where it is inline.
        user: Contents,
        /// The password.
        password: Contents,
    },
    /// A token, as a proxy before the agent may want it.
    Token {
        /// `Bearer`, or another word.
        scheme: String,
        /// The token.
        credentials: Contents,
    },
}

/// Whom a client trusts, and who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// Whom to trust instead of those whom the system trusts.
    pub authorities: Option<Contents>,
    /// The client's certificate and its key.
    pub identity: Option<(Contents, Contents)>,
    /// The name that the agent's certificate has to have instead of the one in the URL.
    pub server_name: Option<ServerName<'static>>,
    /// Whether the agent's certificate is verified at all.
    pub verifies: bool,
    /// Which versions are spoken; not empty.
    pub versions: RangeInclusive<TlsVersion>,
}

impl Default for ClientTls {
    fn default() -> Self {
        Self {
            authorities: None,
            identity: None,
            server_name: None,
            verifies: true,
            versions: TlsVersion::Tls12..=TlsVersion::Tls13,
        }
    }
}

impl ClientConfig {
    /// Reads and checks the file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 1 MiB or no YAML, or has unknown keys, unusable values or contradictions.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file: ClientFile = read_yaml(path)?.unwrap_or_default();
        file.validate(path.parent().unwrap_or(Path::new(""))).map_err(|problem| problem.within(path))
    }
}

impl ClientFile {
    fn validate(self, folder: &Path) -> Result<ClientConfig, Problem> {
        let tls = self.tls_config.unwrap_or_default().validate(folder)?;
        let login = match (self.basic_auth, self.authorization) {
            (Some(_), Some(token)) => {
                let text = "basic_auth and authorization are both given; remove one of them";
                return Err(problem(Some(token.referenced), text));
            }
            (Some(basic), None) => Some(basic.value.validate(basic.referenced, folder)?),
            (None, Some(token)) => Some(token.value.validate(token.referenced, folder)?),
            (None, None) => None,
        };
        Ok(ClientConfig { login, tls })
    }
}

impl BasicAuth {
    fn validate(self, at: Location, folder: &Path) -> Result<Login, Problem> {
        let user_at = place(self.username.as_ref());
        let lacking =
            |name: &str| problem(Some(at), format!("basic_auth needs {name} or {name}_file; add one of them"));
        let user = one_of(self.username, self.username_file, "username", folder)?.ok_or_else(|| lacking("username"))?;
        let password =
            one_of(self.password, self.password_file, "password", folder)?.ok_or_else(|| lacking("password"))?;
        if matches!(&user, Contents::Inline(name) if name.contains(':')) {
            return Err(problem(user_at, "a username has no colon; give the password by password or password_file"));
        }
        Ok(Login::Basic { user, password })
    }
}

impl Authorization {
    fn validate(self, at: Location, folder: &Path) -> Result<Login, Problem> {
        let credentials = one_of(self.credentials, self.credentials_file, "credentials", folder)?;
        let lacking = || problem(Some(at), "authorization needs credentials or credentials_file; add one of them");
        let scheme = self.scheme.map_or_else(|| "Bearer".to_owned(), |scheme| scheme.0);
        Ok(Login::Token { scheme, credentials: credentials.ok_or_else(lacking)? })
    }
}

impl TlsSection {
    fn validate(self, folder: &Path) -> Result<ClientTls, Problem> {
        let somewhere = place(self.cert.as_ref())
            .or(place(self.cert_file.as_ref()))
            .or(place(self.key.as_ref()))
            .or(place(self.key_file.as_ref()));
        let authorities = one_of(self.ca, self.ca_file, "ca", folder)?;
        let certificate = one_of(self.cert, self.cert_file, "cert", folder)?;
        let key = one_of(self.key, self.key_file, "key", folder)?;
        let lacking =
            |name: &str| problem(somewhere, format!("a client certificate needs {name}_file as well; add it"));
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(lacking("key")),
            (None, Some(_)) => return Err(lacking("cert")),
        };
        let min_at = place(self.min_version.as_ref());
        let default = ClientTls::default();
        let least = self.min_version.map_or(*default.versions.start(), |version| version.value);
        let versions = least..=self.max_version.unwrap_or(*default.versions.end());
        if versions.is_empty() {
            return Err(problem(min_at, "min_version is above max_version; exchange them"));
        }
        let server_name = self.server_name.map(|name| name.0);
        Ok(ClientTls { authorities, identity, server_name, verifies: !self.insecure_skip_verify, versions })
    }
}

#[cfg(test)]
mod tests;
