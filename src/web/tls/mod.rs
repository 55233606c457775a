//! How is a TLS configuration carried out? By rustls with ring: its certificate read, its suites and curves chosen.

mod client;

use crate::config::tls::{authorities, certificates, private_key};
use crate::config::web::{CipherSuite, ClientAuth, Curve, TlsConfig};
use crate::config::{Contents, PemError, TlsVersion};
use client::{AnyCertificate, Named};
use std::sync::Arc;
use thiserror::Error;
use tokio_rustls::rustls::crypto::ring::{cipher_suite, default_provider, kx_group};
use tokio_rustls::rustls::crypto::{CryptoProvider, SupportedKxGroup};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, SupportedCipherSuite};

/// A TLS configuration that cannot be carried out.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A certificate or a key cannot be read.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Certificate and key do not belong together, or are of a kind that rustls does not know.
    #[error("the certificate in {certificate} cannot be served with the key in {key}")]
    Certificate {
        /// Where the certificate is.
        certificate: Contents,
        /// Where the key is.
        key: Contents,
        /// Why.
        #[source]
        source: Box<rustls::Error>,
    },
    /// The authorities of clients do not make a verifier.
    #[error("clients cannot be verified")]
    Verifier(#[from] VerifierBuilderError),
    /// No suite is left for the versions.
    #[error("cipher_suites, curve_preferences, min_version and max_version leave nothing to speak; allow more")]
    Nothing(#[source] Box<rustls::Error>),
}

/// What rustls needs to serve. With `http2` a client may choose it.
///
/// # Errors
/// When a certificate, key or authority cannot be read or used.
pub(super) fn server_config(tls: &TlsConfig, http2: bool) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(provider(tls));
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&TlsVersion::within(&(tls.min_version..=tls.max_version)))
        .map_err(|source| TlsError::Nothing(Box::new(source)))?
        .with_client_cert_verifier(verifier(tls, &provider)?);
    let certificates = certificates(&tls.certificate, "certificate")?;
    let key = private_key(&tls.key)?;
    let mut config = builder.with_single_cert(certificates, key).map_err(|source| TlsError::Certificate {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        source: Box::new(source),
    })?;
    let protocols: &[&[u8]] = if http2 { &[HTTP_2, b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    // A scraper keeps its connection. Without resumption a client is verified each time, and nothing is kept of it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The name of HTTP/2 in the handshake.
pub(super) const HTTP_2: &[u8] = b"h2";

fn provider(tls: &TlsConfig) -> CryptoProvider {
    let mut provider = default_provider();
    if !tls.cipher_suites.is_empty() {
        provider
            .cipher_suites
            .retain(|suite| suite.tls13().is_some() || tls.cipher_suites.iter().any(|wanted| is(*wanted, *suite)));
    }
    if !tls.curves.is_empty() {
        provider.kx_groups = tls.curves.iter().map(|curve| group(*curve)).collect();
    }
    provider
}

fn is(wanted: CipherSuite, suite: SupportedCipherSuite) -> bool {
    let wanted = match wanted {
        CipherSuite::EcdheEcdsaAes128 => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheEcdsaAes256 => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheEcdsaChacha20 => cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdheRsaAes128 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheRsaAes256 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheRsaChacha20 => cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::OfTls13 => return suite.tls13().is_some(),
    };
    wanted == suite
}

fn group(curve: Curve) -> &'static dyn SupportedKxGroup {
    match curve {
        Curve::P256 => kx_group::SECP256R1,
        Curve::P384 => kx_group::SECP384R1,
        Curve::X25519 => kx_group::X25519,
    }
}

fn verifier(tls: &TlsConfig, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let by_authority = || -> Result<_, TlsError> {
        let roots = match &tls.client_ca {
            Some(pem) => authorities(&certificates(pem, "client CA")?, pem, "client CA")?,
            None => RootCertStore::empty(),
        };
        Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)))
    };
    let verifier = match tls.client_auth {
        ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::Request => Arc::new(AnyCertificate::new(provider, false)),
        ClientAuth::RequireAny => Arc::new(AnyCertificate::new(provider, true)),
        ClientAuth::VerifyIfGiven => by_authority()?.allow_unauthenticated().build()?,
        ClientAuth::RequireAndVerify => by_authority()?.build()?,
    };
    Ok(match &tls.client_allowed_sans {
        Some(names) => Arc::new(Named::new(verifier, names.clone())),
        None => verifier,
    })
}
