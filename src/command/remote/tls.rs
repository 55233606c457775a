//! Is the agent the one that it says it is, and who are we? TLS by rustls with ring, HTTP/1.1 inside.

use super::setup_error::SetupError;
use super::trust::Trust;
use crate::config::TlsVersion;
use crate::config::client::ClientTls;
use crate::config::tls::{certificates, private_key};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::{ResolvesClientCert, Resumption};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ClientConfig, SignatureScheme};

/// What one connection needs.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    identity: Arc<Identity>,
}

/// What became of the client's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certificate {
    /// The agent did not ask for one.
    NotWanted,
    /// It asked, and there is none.
    Lacking,
    /// It asked, and was given one.
    Given,
}

impl Tls {
    /// For an agent on this host.
    pub(super) fn new(tls: &ClientTls, host: &ServerName<'static>) -> Result<Self, SetupError> {
        let provider = Arc::new(default_provider());
        let identity = Arc::new(Identity::read(tls, &provider)?);
        let trust = Trust::new(tls, &provider)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&TlsVersion::within(&tls.versions))
            .map_err(|source| SetupError::Tls(Box::new(source)))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trust))
            .with_client_cert_resolver(Arc::<Identity>::clone(&identity));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        let name = tls.server_name.as_ref().unwrap_or(host).clone();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name, identity })
    }

    /// Speaks TLS over this connection.
    pub(super) async fn over<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        self.connector.connect(self.name.clone(), stream).await
    }

    /// What became of the client's certificate.
    pub(super) fn certificate(&self) -> Certificate {
        match (self.identity.asked.load(Ordering::Relaxed), &self.identity.key) {
            (false, _) => Certificate::NotWanted,
            (true, None) => Certificate::Lacking,
            (true, Some(_)) => Certificate::Given,
        }
    }
}

/// The client's certificate, and whether the agent asked for it. With TLS 1.3 an agent refuses a client after the handshake, when
/// the connection just breaks: that it asked may be all that is known.
#[derive(Debug)]
struct Identity {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Identity {
    fn read(tls: &ClientTls, provider: &CryptoProvider) -> Result<Self, SetupError> {
        let mut key = None;
        if let Some((certificate, private)) = &tls.identity {
            let certified =
                CertifiedKey::from_der(certificates(certificate, "certificate")?, private_key(private)?, provider);
            key = Some(Arc::new(certified.map_err(|source| SetupError::Identity {
                certificate: certificate.clone(),
                key: private.clone(),
                source: Box::new(source),
            })?));
        }
        Ok(Self { key, asked: AtomicBool::new(false) })
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        // Else it is not asked, and does not learn that the agent wants one.
        true
    }
}
