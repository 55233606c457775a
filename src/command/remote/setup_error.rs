//! Why can an agent not be asked as its configuration file says?

use crate::config::{ConfigError, Contents, PemError, Unreadable};
use thiserror::Error;
use tokio_rustls::rustls;

/// Why an agent cannot be asked as its configuration file says.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A certificate or a key cannot be read.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Certificate and key do not belong together, or are of a kind that rustls does not know.
    #[error("the client certificate in {certificate} cannot be used with the key in {key}")]
    Identity {
        /// Where the certificate is.
        certificate: Contents,
        /// Where the key is.
        key: Contents,
        /// Why.
        #[source]
        source: Box<rustls::Error>,
    },
    /// Nobody is trusted.
    #[error("this machine has no CA bundle; name the CA of the agent in tls_config.ca_file of --agent.config.file")]
    NoAuthority,
    /// rustls does not take what it is given.
    #[error("TLS cannot be set up")]
    Tls(#[source] Box<rustls::Error>),
    /// The user, the password or the credentials cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// They cannot be sent.
    #[error("the {what} in {contents} cannot be sent: {problem}")]
    Unsendable {
        /// What it should hold.
        what: &'static str,
        /// Where it is.
        contents: Contents,
        /// What is wrong.
        problem: &'static str,
    },
}
