//! What does the file say of TLS?

use crate::config::contents::{Contents, Secret, one_of};
use crate::config::problem::{Problem, place, problem};
use crate::config::tls::TlsVersion;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::path::{Path, PathBuf};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TlsSection {
    cert: Option<Spanned<Secret>>,
    key: Option<Spanned<Secret>>,
    client_ca: Option<Spanned<Secret>>,
    cert_file: Option<Spanned<PathBuf>>,
    key_file: Option<Spanned<PathBuf>>,
    client_ca_file: Option<Spanned<PathBuf>>,
    client_auth_type: Option<Spanned<ClientAuth>>,
    client_allowed_sans: Option<Spanned<Vec<String>>>,
    min_version: Option<Spanned<TlsVersion>>,
    max_version: Option<TlsVersion>,
    cipher_suites: Vec<CipherSuite>,
    curve_preferences: Vec<Curve>,
    /// Accepted as Go accepts it: without effect since Go 1.17.
    #[serde(rename = "prefer_server_cipher_suites")]
    _prefer_server_cipher_suites: Option<bool>,
}

/// How a server uses certificates of clients; the names are Go's `crypto/tls.ClientAuthType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    #[serde(rename = "NoClientCert")]
    None,
    /// Asked for; whatever comes, or nothing, is accepted.
    #[serde(rename = "RequestClientCert")]
    Request,
    /// Any is required, and not verified.
    #[serde(rename = "RequireAnyClientCert", alias = "RequireClientCert")]
    RequireAny,
    /// If one comes it must be signed by a known authority.
    #[serde(rename = "VerifyClientCertIfGiven")]
    VerifyIfGiven,
    /// One signed by a known authority is required.
    #[serde(rename = "RequireAndVerifyClientCert")]
    RequireAndVerify,
}

/// A cipher suite by its Go name. Those of TLS 1.3 are always on, as in Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum CipherSuite {
    #[serde(rename = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")]
    EcdheEcdsaAes128,
    #[serde(rename = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")]
    EcdheEcdsaAes256,
    #[serde(rename = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", alias = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305")]
    EcdheEcdsaChacha20,
    #[serde(rename = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")]
    EcdheRsaAes128,
    #[serde(rename = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384")]
    EcdheRsaAes256,
    #[serde(rename = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", alias = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305")]
    EcdheRsaChacha20,
    #[serde(
        rename = "TLS_AES_128_GCM_SHA256",
        alias = "TLS_AES_256_GCM_SHA384",
        alias = "TLS_CHACHA20_POLY1305_SHA256"
    )]
    OfTls13,
}

/// A curve by its Go name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Curve {
    /// NIST P-256.
    #[serde(rename = "CurveP256")]
    P256,
    /// NIST P-384.
    #[serde(rename = "CurveP384")]
    P384,
    /// Curve25519.
    X25519,
}

/// A TLS configuration without contradictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The server's certificate and those between it and its authority.
    pub certificate: Contents,
    /// Its key.
    pub key: Contents,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// Authorities of clients; present where they are verified.
    pub client_ca: Option<Contents>,
    /// Names of which a client's certificate has to have one; `None`: any.
    pub client_allowed_sans: Option<Vec<String>>,
    /// The least version.
    pub min_version: TlsVersion,
    /// The greatest version; at least the least.
    pub max_version: TlsVersion,
    /// Suites for TLS 1.2; empty: all that rustls has.
    pub cipher_suites: Vec<CipherSuite>,
    /// Curves, the preferred first; empty: all that rustls has.
    pub curves: Vec<Curve>,
}

impl TlsSection {
    /// Whether any key is given that makes no sense without TLS; the rule is exporter-toolkit's `TLSConfig.IsEnabled`.
    fn is_enabled(&self) -> bool {
        self.cert.is_some()
            || self.cert_file.is_some()
            || self.key.is_some()
            || self.key_file.is_some()
            || self.client_ca.is_some()
            || self.client_ca_file.is_some()
            || self.client_auth_type.is_some()
    }

    /// What the section means; `None` where it does not switch TLS on. Paths are relative to `folder`.
    pub(super) fn validate(self, folder: &Path) -> Result<Option<TlsConfig>, Problem> {
        if !self.is_enabled() {
            return Ok(None);
        }
        let somewhere = place(self.cert_file.as_ref())
            .or(place(self.key_file.as_ref()))
            .or(place(self.client_auth_type.as_ref()))
            .or(place(self.client_ca_file.as_ref()));
        let authority = place(self.client_ca.as_ref()).or(place(self.client_ca_file.as_ref()));
        let lacking = |name: &str| problem(somewhere, format!("TLS needs {name} or {name}_file; add one of them"));
        let certificate = one_of(self.cert, self.cert_file, "cert", folder)?.ok_or_else(|| lacking("cert"))?;
        let key = one_of(self.key, self.key_file, "key", folder)?.ok_or_else(|| lacking("key"))?;
        let client_ca = one_of(self.client_ca, self.client_ca_file, "client_ca", folder)?;

        let client_auth_at = place(self.client_auth_type.as_ref());
        let client_auth = self.client_auth_type.map(|value| value.value).unwrap_or_default();
        if client_ca.is_some() && client_auth == ClientAuth::None {
            let text = "a client CA is of no use with client_auth_type NoClientCert; set RequireAndVerifyClientCert";
            return Err(problem(authority, text));
        }
        let verifies = matches!(client_auth, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify);
        if verifies && client_ca.is_none() {
            let text = "this client_auth_type needs the authority of the clients; add client_ca_file";
            return Err(problem(client_auth_at, text));
        }
        let requires = matches!(client_auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify);
        if let Some(names) = self.client_allowed_sans.as_ref().filter(|_| !requires) {
            let text = "client_allowed_sans needs client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert";
            return Err(problem(Some(names.referenced), text));
        }
        let min_at = place(self.min_version.as_ref());
        let min_version = self.min_version.map_or(TlsVersion::Tls12, |value| value.value);
        let max_version = self.max_version.unwrap_or(TlsVersion::Tls13);
        if min_version > max_version {
            return Err(problem(min_at, "min_version is above max_version; exchange them"));
        }
        Ok(Some(TlsConfig {
            certificate,
            key,
            client_auth,
            client_ca,
            client_allowed_sans: self.client_allowed_sans.map(|value| value.value),
            min_version,
            max_version,
            cipher_suites: self.cipher_suites,
            curves: self.curve_preferences,
        }))
    }
}

impl TlsConfig {
    /// The files that are read for it.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let pems = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        pems.into_iter().flatten().filter_map(Contents::file)
    }
}
