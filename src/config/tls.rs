//! What have a server and a client in common that speak TLS? Certificates and keys in PEM form, and versions.

use super::contents::{Contents, Unreadable};
use serde::Deserialize;
use std::ops::RangeInclusive;
use thiserror::Error;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, RootCertStore, SupportedProtocolVersion, version};

/// The versions that rustls speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "TLS12")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "TLS13")]
    Tls13,
}

impl TlsVersion {
    /// Those of a range, as rustls has them.
    pub fn within(range: &RangeInclusive<Self>) -> Vec<&'static SupportedProtocolVersion> {
        [(Self::Tls12, &version::TLS12), (Self::Tls13, &version::TLS13)]
            .into_iter()
            .filter(|(version, _)| range.contains(version))
            .map(|(_, version)| version)
            .collect()
    }
}

/// Certificates or a key that cannot be used.
#[derive(Debug, Error)]
pub enum PemError {
    /// A file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It holds no PEM, or nothing of that kind.
    #[error("no {what} in PEM form is in {contents}")]
    Malformed {
        /// What it should hold.
        what: &'static str,
        /// Where it is.
        contents: Contents,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// An authority is no certificate.
    #[error("the {what} in {contents} cannot be used")]
    Authority {
        /// What it should be.
        what: &'static str,
        /// Where it is.
        contents: Contents,
        /// Why.
        #[source]
        source: Box<rustls::Error>,
    },
}

/// The certificates in a text, at least one; `what` they are is for the error.
///
/// # Errors
/// When the text cannot be read or holds no certificate.
pub fn certificates(contents: &Contents, what: &'static str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let failure = |source| PemError::Malformed { what, contents: contents.clone(), source };
    let text = contents.read(what)?;
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(failure)?;
    if certificates.is_empty() { Err(failure(pem::Error::NoItemsFound)) } else { Ok(certificates) }
}

/// The key in a text.
///
/// # Errors
/// When the text cannot be read or holds no key.
pub fn private_key(contents: &Contents) -> Result<PrivateKeyDer<'static>, PemError> {
    let text = contents.read("key")?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|source| PemError::Malformed {
        what: "key",
        contents: contents.clone(),
        source,
    })
}

/// These certificates, which are in `contents`, as authorities.
///
/// # Errors
/// When one of them is none.
pub fn authorities(
    certificates: &[CertificateDer<'static>],
    contents: &Contents,
    what: &'static str,
) -> Result<RootCertStore, PemError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let added = roots.add(certificate.clone());
        added.map_err(|source| PemError::Authority { what, contents: contents.clone(), source: Box::new(source) })?;
    }
    Ok(roots)
}
