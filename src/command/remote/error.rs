//! Why did an agent not answer, and what helps?

use super::setup_error::SetupError;
use super::tls::Certificate;
use crate::error_chain::error_chain;
use crate::untrusted::printable;
use hyper::StatusCode;
use std::io;
use std::time::Duration;
use thiserror::Error;
use tokio_rustls::rustls::{CertificateError, Error as TlsError, InvalidMessage};

/// Why an agent did not answer.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// It cannot be asked as its configuration file says.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Nobody is there.
    #[error("cannot reach the agent at {address}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not trusted, does not trust us, or does not speak TLS.
    #[error("no TLS with the agent at {address}: {reason}")]
    Tls {
        /// Where.
        address: String,
        /// Why, and what helps.
        reason: String,
    },
    /// It did not answer in time.
    #[error("the agent at {address} has not answered within {}s", within.as_secs_f64())]
    TimedOut {
        /// Where.
        address: String,
        /// The limit.
        within: Duration,
    },
    /// The connection broke, or what is there does not speak HTTP.
    #[error("the connection to the agent at {address} failed{hint}")]
    Broken {
        /// Where.
        address: String,
        /// What may help; empty, or begins with "; ".
        hint: &'static str,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// It refused.
    #[error("the agent at {address} answers {status}{}", after(message, remedy))]
    Refused {
        /// Where.
        address: String,
        /// The status.
        status: StatusCode,
        /// What it says of it; may be empty.
        message: String,
        /// What helps; may be empty.
        remedy: &'static str,
    },
    /// The question was wrong, for example after a layer that is not there.
    #[error("the agent at {address} says: {message}")]
    Question {
        /// Where.
        address: String,
        /// What is wrong.
        message: String,
    },
    /// It says more than any agent does.
    #[error("the agent at {address} answers with more than {most_mib} MiB")]
    TooLarge {
        /// Where.
        address: String,
        /// The limit.
        most_mib: usize,
    },
    /// It is no agent, or one of another release.
    #[error("what the agent at {address} answers is not understood{}", hint.as_deref().unwrap_or_default())]
    Malformed {
        /// Where.
        address: String,
        /// What may be the reason.
        hint: Option<String>,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

/// What is said behind a status: the words of the agent, then what helps.
fn after(message: &str, remedy: &str) -> String {
    match (message.is_empty(), remedy.is_empty()) {
        (true, true) => String::new(),
        (true, false) => format!(": {remedy}"),
        (false, true) => format!(": {message}"),
        (false, false) => format!(": {message}; {remedy}"),
    }
}

/// The most characters of names in a certificate that are repeated.
const MOST_NAMES: usize = 400;

/// Why a handshake failed, and what helps.
pub(super) fn handshake(error: &io::Error, certificate: Certificate) -> String {
    let Some(tls) = error.get_ref().and_then(|cause| cause.downcast_ref::<TlsError>()) else {
        return format!("{}{}", error_chain(error), of_client(certificate));
    };
    match tls {
        TlsError::InvalidCertificate(problem) => of_agent(problem),
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what answers there speaks no TLS; write http:// instead".to_owned()
        }
        TlsError::AlertReceived(_) => format!("{tls}{}", of_client(certificate)),
        _ => tls.to_string(),
    }
}

/// What is wrong with the agent's certificate.
fn of_agent(problem: &CertificateError) -> String {
    match problem {
        // The latter: it names a CA that is trusted, but another key signed it.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is not trusted; name its CA, or itself, in tls_config.ca_file of --agent.config.file"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } if presented.is_empty() => {
            format!("its certificate names nobody, not {} either; it needs a subjectAltName", expected.to_str())
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            format!(
                "its certificate is of {}, not of {}; ask it by that name, or give the name in tls_config.server_name of \
                 --agent.config.file",
                printable(&names.join(", "), MOST_NAMES),
                expected.to_str()
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; renew it there, or set the clock here".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; set the clocks".to_owned()
        }
        problem => format!("its certificate cannot be used: {}", printable(&problem.to_string(), MOST_NAMES)),
    }
}

/// The name itself out of `DnsName("node-1")` or `IpAddress(10.0.0.1)`, as webpki writes them.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(name, |name| name.trim_matches('"'))
}

/// What helps when the agent may have refused the client.
pub(super) const fn of_client(certificate: Certificate) -> &'static str {
    match certificate {
        Certificate::NotWanted => "",
        Certificate::Lacking => {
            "; it asks for a client certificate: tls_config.cert_file and key_file of --agent.config.file"
        }
        Certificate::Given => "; it may not accept the client certificate of --agent.config.file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_rustls::rustls::AlertDescription;
    use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};

    #[test]
    fn what_fails_in_a_handshake_is_told_with_what_helps() {
        let for_others = |presented: &[&str]| {
            TlsError::InvalidCertificate(CertificateError::NotValidForNameContext {
                expected: ServerName::try_from("node-1").unwrap(),
                presented: presented.iter().map(|name| (*name).to_owned()).collect(),
            })
        };
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired = CertificateError::ExpiredContext { time: at(2), not_after: at(1) };
        for (error, says) in [
            (for_others(&[]), "its certificate names nobody, not node-1 either; it needs a subjectAltName"),
            (
                for_others(&["DnsName(\"node-2\")", "IpAddress(10.0.0.1)", "DnsName(\"\u{1b}[31m\")"]),
                "its certificate is of node-2, 10.0.0.1, \u{fffd}[31m, not of node-1; ask it by that name, or give the name in \
                 tls_config.server_name of --agent.config.file",
            ),
            (expired.into(), "its certificate has expired; renew it there, or set the clock here"),
            (CertificateError::Revoked.into(), "its certificate cannot be used: Revoked"),
            (InvalidMessage::InvalidContentType.into(), "what answers there speaks no TLS; write http:// instead"),
            (TlsError::AlertReceived(AlertDescription::ProtocolVersion), "received fatal alert: ProtocolVersion"),
        ] {
            assert_eq!(handshake(&io::Error::other(error), Certificate::NotWanted), says);
        }
        let refused = io::Error::other(TlsError::AlertReceived(AlertDescription::CertificateRequired));
        assert_eq!(
            handshake(&refused, Certificate::Lacking),
            "received fatal alert: CertificateRequired; it asks for a client certificate: tls_config.cert_file and key_file of \
             --agent.config.file"
        );
    }
}
