//! Is a certificate trusted? When an authority signed it that the configuration names, or else one of the system's bundle; when
//! it is itself among those that the configuration names, as Go has it for certificates that sign themselves; or unseen, when
//! `insecure_skip_verify` says so.

use super::setup_error::SetupError;
use crate::config::client::ClientTls;
use crate::config::tls::{authorities, certificates};
use std::sync::Arc;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// Whom a client trusts.
#[derive(Debug)]
pub(super) struct Trust {
    provider: Arc<CryptoProvider>,
    /// `None`: everybody.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Those that the configuration names.
    named: Vec<CertificateDer<'static>>,
}

impl Trust {
    pub(super) fn new(tls: &ClientTls, provider: &Arc<CryptoProvider>) -> Result<Self, SetupError> {
        let provider = Arc::clone(provider);
        if !tls.verifies {
            return Ok(Self { provider, chain: None, named: Vec::new() });
        }
        let (roots, named) = match &tls.authorities {
            Some(contents) => {
                let named = certificates(contents, "CA")?;
                (authorities(&named, contents, "CA")?, named)
            }
            None => (of_the_system(), Vec::new()),
        };
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        // Revocation lists, the other reason to fail, are not used.
        Ok(Self { provider, chain: Some(chain.map_err(|_| SetupError::NoAuthority)?), named })
    }
}

/// What the distribution keeps, or the file and folder in SSL_CERT_FILE and SSL_CERT_DIR. What cannot be read is left out.
fn of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.chain {
            None => Ok(ServerCertVerified::assertion()),
            Some(_) if self.named.contains(end_entity) => of_itself(end_entity, name, now),
            Some(chain) => {
                let result = chain.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
                match result {
                    Err(Error::InvalidCertificate(CertificateError::Other(_))) if signs_itself(end_entity) => {
                        Err(CertificateError::UnknownIssuer.into())
                    }
                    result => result,
                }
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether it names itself as its issuer. `openssl req -x509` marks such a certificate as one of an authority, and of that webpki
/// says only that nobody may serve with it.
fn signs_itself(certificate: &CertificateDer<'_>) -> bool {
    Certificate::from_der(certificate)
        .is_ok_and(|parsed| parsed.tbs_certificate().issuer() == parsed.tbs_certificate().subject())
}

/// A certificate that is trusted as such still has to be in its time and of this name.
fn of_itself(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let parsed = Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let validity = parsed.tbs_certificate().validity();
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    Ok(ServerCertVerified::assertion())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Contents;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use tokio_rustls::rustls::crypto::ring::default_provider;

    /// As `openssl req -x509` makes it: of itself, and marked as an authority.
    fn of_itself(from: i32, until: i32) -> rcgen::Certificate {
        let mut params = CertificateParams::new(vec!["node-1".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn a_certificate_that_signs_itself_is_trusted_when_it_is_named_and_only_then() {
        let (ours, strange) = (of_itself(2000, 2100), of_itself(2000, 2100));
        let (past, future) = (of_itself(2000, 2001), of_itself(2099, 2100));
        // The year 2026.
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_790_000_000));
        let judged = |certificate: &rcgen::Certificate, named: &rcgen::Certificate, name: &str| {
            let tls = ClientTls { authorities: Some(Contents::Inline(named.pem())), ..ClientTls::default() };
            let trust = Trust::new(&tls, &Arc::new(default_provider())).unwrap();
            let name = ServerName::try_from(name).unwrap();
            trust.verify_server_cert(certificate.der(), &[], &name, &[], now).map(|_| ())
        };
        assert_eq!(judged(&ours, &ours, "node-1"), Ok(()));
        assert_eq!(judged(&strange, &ours, "node-1"), Err(CertificateError::UnknownIssuer.into()));
        assert_eq!(judged(&past, &past, "node-1"), Err(CertificateError::Expired.into()));
        assert_eq!(judged(&future, &future, "node-1"), Err(CertificateError::NotValidYet.into()));
        let wrong = judged(&ours, &ours, "node-2").unwrap_err();
        assert!(matches!(wrong, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })), "{wrong}");
    }
}
