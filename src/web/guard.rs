//! Which rules of access are in force now? Those of the web configuration file, read again when it or one of its certificates
//! changes. What cannot be read leaves the old rules in force.

use super::rate::Bucket;
use super::tls::{TlsError, server_config};
use super::users::{NoRandomness, Users};
use crate::config::ConfigError;
use crate::config::web::WebConfig;
use crate::error_chain::error_chain;
use hyper::header::{HeaderName, HeaderValue};
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use thiserror::Error;
use tokio_rustls::rustls::ServerConfig;

/// A web configuration that cannot be used.
#[derive(Debug, Error)]
pub enum GuardError {
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its certificates are.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system gives no randomness.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// A change that only a restart can make.
    #[error("TLS was switched {} in the web configuration; restart highwater for that", if *.on { "on" } else { "off" })]
    Switched {
        /// What the new configuration wants.
        on: bool,
    },
}

/// The rules at one time.
pub(super) struct Rules {
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) rate_limit: Option<Bucket>,
    pub(super) config: WebConfig,
}

impl Rules {
    fn new(config: WebConfig) -> Result<Self, TlsError> {
        let tls = config.tls.as_ref().map(|tls| server_config(tls, config.http2)).transpose()?.map(Arc::new);
        // The values were checked when the file was read.
        let headers = config
            .headers
            .iter()
            .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?)));
        Ok(Self { tls, headers: headers.collect(), rate_limit: config.rate_limit.map(Bucket::new), config })
    }
}

/// The rules in force.
pub struct Guard {
    path: Option<PathBuf>,
    rules: RwLock<Arc<Rules>>,
    known: Mutex<Known>,
    /// Outlives the rules: what was checked under the old ones need not be checked again.
    pub(super) users: Arc<Users>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What the files were when they were read last.
#[derive(Debug, Default)]
struct Known {
    stamps: Vec<Stamp>,
    /// What was wrong then, and whether that was said.
    broken: Option<(String, bool)>,
}

/// Whether a file is another than before: its device, inode, size, and times of change in nanoseconds.
type Stamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

fn stamp(path: &Path) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()))
}

impl Guard {
    /// Everybody may ask, without TLS.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn open() -> Result<Self, GuardError> {
        let config = WebConfig {
            tls: None,
            http2: false,
            headers: Vec::new(),
            users: std::collections::BTreeMap::new(),
            rate_limit: None,
        };
        let rules = Rules { tls: None, headers: Vec::new(), rate_limit: None, config };
        Ok(Self {
            path: None,
            rules: RwLock::new(Arc::new(rules)),
            known: Mutex::default(),
            users: Arc::new(Users::new()?),
        })
    }

    /// The rules of this file.
    ///
    /// # Errors
    /// When the file or a certificate that it names cannot be read or used.
    pub fn from_file(path: &Path) -> Result<Self, GuardError> {
        let config = WebConfig::read(path)?;
        let known = Known { stamps: stamps(path, &config), broken: None };
        let rules = RwLock::new(Arc::new(Rules::new(config)?));
        Ok(Self { path: Some(path.to_owned()), rules, known: Mutex::new(known), users: Arc::new(Users::new()?) })
    }

    /// Whether TLS is spoken; this does not change while the server runs.
    pub fn is_tls(&self) -> bool {
        self.rules().tls.is_some()
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again if one of them changed. Says so; or what is wrong, once, if that has not mended itself by the next
    /// call: a certificate and its key are seldom replaced at the same instant.
    pub fn reread(&self) {
        let Some(path) = &self.path else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(path, &self.rules().config);
        if stamps == known.stamps && known.broken.is_none() {
            return;
        }
        match self.read(path) {
            Ok(rules) => {
                known.stamps = self::stamps(path, &rules.config);
                known.broken = None;
                *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
                tracing::info!(file = %path.display(), "web configuration read again");
            }
            Err(error) => {
                let problem = error_chain(&error);
                known.stamps = stamps;
                known.broken = Some(match known.broken.take() {
                    Some((before, said)) if before == problem => {
                        if !said {
                            tracing::warn!(error = problem, "the old web configuration stays in force");
                        }
                        (problem, true)
                    }
                    _ => (problem, false),
                });
            }
        }
    }

    fn read(&self, path: &Path) -> Result<Rules, GuardError> {
        let rules = Rules::new(WebConfig::read(path)?)?;
        let on = rules.tls.is_some();
        if on == self.is_tls() { Ok(rules) } else { Err(GuardError::Switched { on }) }
    }

    /// Looks each second whether the files changed, on a thread of its own, since a disk may hang.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn watch(self: &Arc<Self>) -> io::Result<Watched> {
        let (stop, stopped) = channel::<()>();
        if self.path.is_some() {
            let guard = Arc::clone(self);
            std::thread::Builder::new().name("web-config".to_owned()).stack_size(STACK).spawn(move || {
                while matches!(stopped.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
                    guard.reread();
                }
            })?;
        }
        Ok(Watched { _stop: stop })
    }
}

/// A change is in force after at most this.
const EVERY: Duration = Duration::from_secs(1);
/// Parsing certificates takes some tens of KiB.
const STACK: usize = 512 << 10;

/// Ends the looking when dropped.
#[derive(Debug)]
pub struct Watched {
    _stop: Sender<()>,
}

fn stamps(path: &Path, config: &WebConfig) -> Vec<Stamp> {
    std::iter::once(path.to_owned()).chain(config.files()).map(|path| stamp(&path)).collect()
}
