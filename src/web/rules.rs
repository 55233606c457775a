//! Which rules of access are in force now? Those of the web configuration file, reloaded when it or one of its certificates
//! changes. What cannot be read leaves the old rules in force.

use super::host::AllowedHosts;
use super::tls::{TlsError, server_config};
use super::users::{NoRandomness, Users};
use crate::config::ConfigError;
use crate::config::web::{RateLimit, WebConfig};
use crate::error_chain::error_chain;
use crate::time::Span;
use hyper::header::{HeaderName, HeaderValue};
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use thiserror::Error;
use tokio::time::sleep;
use tokio_rustls::rustls::ServerConfig;

/// A web configuration that cannot be used.
#[derive(Debug, Error)]
pub enum WebConfigError {
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
pub struct AccessRules {
    path: Option<PathBuf>,
    rules: RwLock<Arc<Rules>>,
    files: Mutex<FileState>,
    /// Names under which a browser may read without password and TLS.
    pub(super) hosts: AllowedHosts,
    /// Outlives the rules: what was checked under the old ones need not be checked again.
    pub(super) users: Arc<Users>,
}

impl fmt::Debug for AccessRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessRules").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What the files were when they were read last.
#[derive(Debug, Default)]
struct FileState {
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

impl AccessRules {
    /// Every client is answered, without TLS.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn open() -> Result<Self, WebConfigError> {
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
            files: Mutex::default(),
            hosts: AllowedHosts::default(),
            users: Arc::new(Users::new()?),
        })
    }

    /// The rules of this file.
    ///
    /// # Errors
    /// When the file or a certificate that it names cannot be read or used.
    pub fn from_file(path: &Path) -> Result<Self, WebConfigError> {
        let config = WebConfig::read(path)?;
        let files = FileState { stamps: stamps(path, &config), broken: None };
        let rules = RwLock::new(Arc::new(Rules::new(config)?));
        let (files, hosts) = (Mutex::new(files), AllowedHosts::default());
        Ok(Self { path: Some(path.to_owned()), rules, files, hosts, users: Arc::new(Users::new()?) })
    }

    /// The same with further names under which a browser may read; without them these are IP addresses and `localhost`.
    #[must_use]
    pub fn with_hosts(self, hosts: AllowedHosts) -> Self {
        Self { hosts, ..self }
    }

    /// Whether TLS is spoken; this does not change while the server runs.
    pub fn is_tls(&self) -> bool {
        self.current().tls.is_some()
    }

    pub(super) fn current(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reloads the files if one of them changed. Logs that; or what is wrong, once, if that is not mended by the next call: a certificate and its key are seldom replaced at the same instant.
    pub fn reload(&self) {
        let Some(path) = &self.path else { return };
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(path, &self.current().config);
        if stamps == files.stamps && files.broken.is_none() {
            return;
        }
        match self.read(path) {
            Ok(rules) => {
                files.stamps = self::stamps(path, &rules.config);
                files.broken = None;
                *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
                tracing::info!(file = %path.display(), "web configuration reloaded");
            }
            Err(error) => {
                let problem = error_chain(&error);
                files.stamps = stamps;
                files.broken = Some(match files.broken.take() {
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

    fn read(&self, path: &Path) -> Result<Rules, WebConfigError> {
        let rules = Rules::new(WebConfig::read(path)?)?;
        let on = rules.tls.is_some();
        if on == self.is_tls() { Ok(rules) } else { Err(WebConfigError::Switched { on }) }
    }

    /// Checks each second whether the files changed, on a thread of its own, since a disk may hang.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn watch(self: &Arc<Self>) -> io::Result<ReloadThread> {
        let (stop, stopped) = channel::<()>();
        if self.path.is_some() {
            let rules = Arc::clone(self);
            std::thread::Builder::new().name("web-config".to_owned()).stack_size(STACK).spawn(move || {
                while matches!(stopped.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
                    rules.reload();
                }
            })?;
        }
        Ok(ReloadThread { _stop: stop })
    }
}

/// A change is in force after at most this.
const EVERY: Duration = Duration::from_secs(1);
/// Parsing certificates takes some tens of KiB.
const STACK: usize = 512 << 10;

/// Ends the reloading when dropped.
#[derive(Debug)]
pub struct ReloadThread {
    _stop: Sender<()>,
}

fn stamps(path: &Path, config: &WebConfig) -> Vec<Stamp> {
    std::iter::once(path.to_owned()).chain(config.files()).map(|path| stamp(&path)).collect()
}

/// The resolution of tokio's timers.
const LEAST: Span = Span::from_millis(1);

/// How many requests are answered in a time: a bucket that is refilled steadily, for all clients together; full at first.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    /// How many are taken; while there are any, one is put back in each interval.
    taken: Arc<Mutex<u32>>,
}

impl Bucket {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, taken: Arc::default() }
    }

    /// Takes one request out; false when the bucket is empty.
    pub(super) fn take(&self) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if *taken >= self.limit.burst.get() {
            return false;
        }
        *taken += 1;
        if *taken == 1 {
            tokio::spawn(refill(self.limit, Arc::clone(&self.taken)));
        }
        true
    }
}

/// Puts one back in each interval until the bucket is full; several at a time where the interval is less than a timer can do.
async fn refill(limit: RateLimit, taken: Arc<Mutex<u32>>) {
    let pause = limit.interval.max(LEAST);
    let several = u32::try_from(pause.micros() / limit.interval.micros().max(1)).unwrap_or(1);
    loop {
        sleep(pause.to_std()).await;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_sub(several);
        if *taken == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_let_through_and_then_one_in_each_interval() {
        let limit = RateLimit { interval: Span::from_secs(1), burst: NonZeroU32::new(3).unwrap() };
        let bucket = Bucket::new(limit);
        let take = |count: usize| (0..count).filter(|_| bucket.take()).count();
        assert_eq!(take(10), 3);
        sleep(Duration::from_millis(2_500)).await;
        assert_eq!(take(10), 2);
        sleep(Duration::from_hours(1)).await;
        assert_eq!(take(10), 3);
    }
}
