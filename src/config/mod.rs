//! Which settings are in force? Defaults, then the configuration file, then flags; validated once, here.

mod agent_address;
pub mod client;
mod contents;
mod file;
mod hosts;
mod listen;
mod problem;
mod regular;
pub mod tls;
pub mod web;

pub use agent_address::{AddressError, Agent, AgentAddress, AgentChoice};
pub use contents::{Contents, Unreadable};
pub use file::{ConfigError, ConfigFile};
pub use hosts::{HostPattern, HostPatternError};
pub use listen::{ListenAddress, ListenError, Listening};
pub use regular::open_regular;
pub use tls::{PemError, TlsVersion};

use crate::time::Span;
use std::path::PathBuf;

/// Validated settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The procfs to read.
    pub procfs: PathBuf,
    /// The machine's root directory.
    pub rootfs: PathBuf,
    /// Sampling interval; 100 ms to 5 min.
    pub sample_interval: Span,
    /// Polling interval of a runtime; 1 s to 1 h.
    pub runtime_interval: Span,
    /// Pause between two walks of a disk; `None`: no walks.
    pub usage_interval: Option<Span>,
    /// The most files and directories that one walk looks at.
    pub usage_max_entries: u64,
    /// Where to listen.
    pub listen: Vec<ListenAddress>,
    /// Whether systemd hands the sockets over instead.
    pub systemd_socket: bool,
    /// Names under which a browser may reach the agent, beside IP addresses and the machine's own.
    pub allowed_hosts: Vec<HostPattern>,
    /// The file with TLS and users.
    pub web_file: Option<PathBuf>,
    /// The path of the metrics.
    pub telemetry_path: String,
    /// The most series of a scrape, 100 to 100,000; beyond it the least urgent are left out.
    pub max_series: usize,
    /// The directory in which the agent keeps what it has learnt; `None`: nothing is kept.
    pub storage: Option<PathBuf>,
    /// A trigger expected within this is critical.
    pub critical: Span,
    /// A trigger expected within this is a warning.
    pub warning: Span,
    /// Names of images whose loss is fatal; `*` stands for any text. At most 1,000, none empty.
    pub critical_images: Vec<String>,
}

/// What the command line says; everything that is `None` is left to the file or the default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Overrides {
    /// `--config.file`.
    pub file: Option<PathBuf>,
    /// `--path.procfs`.
    pub procfs: Option<PathBuf>,
    /// `--path.rootfs`.
    pub rootfs: Option<PathBuf>,
    /// `--sample.interval`.
    pub sample_interval: Option<Span>,
    /// `--runtime.interval`.
    pub runtime_interval: Option<Span>,
    /// `--usage.interval`; zero switches the walks off.
    pub usage_interval: Option<Span>,
    /// `--web.listen-address`.
    pub listen: Vec<ListenAddress>,
    /// `--web.systemd-socket`.
    pub systemd_socket: bool,
    /// `--web.allowed-host`.
    pub allowed_hosts: Vec<HostPattern>,
    /// `--web.config.file`.
    pub web_file: Option<PathBuf>,
    /// `--web.telemetry-path`.
    pub telemetry_path: Option<String>,
    /// `--storage.path`.
    pub storage: Option<PathBuf>,
    /// `--critical`.
    pub critical: Option<Span>,
    /// `--warning`.
    pub warning: Option<Span>,
}

impl Settings {
    /// Reads the file, if one is named, and applies flags over it.
    ///
    /// # Errors
    /// A file that cannot be read or understood, or a value out of its range.
    pub fn load(flags: Overrides) -> Result<Self, ConfigError> {
        let file = flags.file.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
        let settings = Self {
            procfs: flags.procfs.unwrap_or_else(|| "/proc".into()),
            rootfs: flags.rootfs.unwrap_or_else(|| "/".into()),
            sample_interval: flags.sample_interval.or(file.sample.interval).unwrap_or(Span::from_secs(5)),
            runtime_interval: flags.runtime_interval.or(file.runtime.interval).unwrap_or(Span::from_secs(30)),
            usage_interval: Some(flags.usage_interval.or(file.usage.interval).unwrap_or(Span::from_secs(300)))
                .filter(|interval| *interval > Span::ZERO),
            usage_max_entries: file.usage.max_entries.unwrap_or(20_000_000),
            listen: [flags.listen, file.web.listen_addresses]
                .into_iter()
                .find(|list| !list.is_empty())
                .unwrap_or_else(|| vec![ListenAddress::default()]),
            systemd_socket: flags.systemd_socket,
            allowed_hosts: [flags.allowed_hosts, file.web.allowed_hosts]
                .into_iter()
                .find(|list| !list.is_empty())
                .unwrap_or_default(),
            web_file: flags.web_file,
            telemetry_path: flags.telemetry_path.or(file.web.telemetry_path).unwrap_or_else(|| "/metrics".to_owned()),
            max_series: file.web.max_series.unwrap_or(5_000),
            storage: flags.storage.or(file.storage.path),
            critical: flags.critical.or(file.check.critical).unwrap_or(Span::from_secs(30 * 60)),
            warning: flags.warning.or(file.check.warning).unwrap_or(Span::from_secs(2 * 3_600)),
            critical_images: file.critical_images,
        };
        settings.validate()
    }

    fn validate(self) -> Result<Self, ConfigError> {
        in_range("sample.interval", self.sample_interval, Span::from_millis(100), Span::from_secs(300))?;
        in_range("runtime.interval", self.runtime_interval, Span::from_secs(1), Span::from_secs(3_600))?;
        if let Some(interval) = self.usage_interval {
            in_range("usage.interval", interval, Span::from_secs(1), Span::from_secs(86_400))?;
        }
        if !self.telemetry_path.starts_with('/') || self.telemetry_path == "/" {
            return Err(ConfigError::Value {
                key: "web.telemetry_path",
                given: self.telemetry_path,
                wanted: "a path that begins with / and is not / itself".to_owned(),
            });
        }
        if !(100..=100_000).contains(&self.max_series) {
            return Err(ConfigError::Value {
                key: "web.max_series",
                given: self.max_series.to_string(),
                wanted: "100 to 100000".to_owned(),
            });
        }
        // Each is compared with every name of every image.
        if self.critical_images.len() > 1_000 || self.critical_images.iter().any(String::is_empty) {
            return Err(ConfigError::Value {
                key: "critical_images",
                given: format!("a list of {} patterns", self.critical_images.len()),
                wanted: "at most 1000 patterns, none of them empty".to_owned(),
            });
        }
        if self.critical > self.warning {
            return Err(ConfigError::Value {
                key: "check.critical",
                given: self.critical.to_string(),
                wanted: format!("at most check.warning, which is {}", self.warning),
            });
        }
        Ok(self)
    }
}

fn in_range(key: &'static str, value: Span, least: Span, most: Span) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let text = |span: Span| humantime::format_duration(span.to_std()).to_string();
    let wanted = format!("between {} and {}", text(least), text(most));
    Err(ConfigError::Value { key, given: text(value), wanted })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::NamedTempFile, Overrides) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let flags = Overrides { file: Some(file.path().to_owned()), ..Overrides::default() };
        (file, flags)
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let (_keep, flags) = file("sample:\n  interval: 2s\nruntime:\n  interval: 1m\n");
        let flags = Overrides { sample_interval: Some(Span::from_secs(9)), ..flags };
        let settings = Settings::load(flags).unwrap();
        assert_eq!(settings.sample_interval, Span::from_secs(9));
        assert_eq!(settings.runtime_interval, Span::from_secs(60));
        assert_eq!(settings.usage_interval, Some(Span::from_secs(300)));
    }

    #[test]
    fn unknown_keys_and_bad_values_name_line_and_column() {
        let (keep, flags) = file("sample:\n  intervall: 2s\n");
        let error = Settings::load(flags).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:2:3: ", keep.path().display())), "{error}");
        assert!(error.contains("intervall"), "{error}");

        let (keep, flags) = file("sample:\n  interval: soon\n");
        let error = Settings::load(flags).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:2:13: ", keep.path().display())), "{error}");
    }

    #[test]
    fn malformed_yaml_and_a_missing_file_are_one_line_each() {
        let (_keep, flags) = file("sample: [\n");
        let error = Settings::load(flags).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        let flags = Overrides { file: Some("/nowhere/highwater.yaml".into()), ..Overrides::default() };
        assert_eq!(
            Settings::load(flags).unwrap_err().to_string(),
            "cannot read the configuration file /nowhere/highwater.yaml"
        );
    }

    #[test]
    fn intervals_out_of_range_are_refused() {
        let flags = Overrides { sample_interval: Some(Span::from_millis(1)), ..Overrides::default() };
        assert_eq!(
            Settings::load(flags).unwrap_err().to_string(),
            "sample.interval is 1ms, but must be between 100ms and 5m"
        );
    }

    #[test]
    fn the_most_series_of_a_scrape_may_be_set_within_bounds() {
        let (_keep, flags) = file("web: {max_series: 300}\n");
        assert_eq!(Settings::load(flags).unwrap().max_series, 300);
        let (_keep, flags) = file("web: {max_series: 1}\n");
        assert_eq!(Settings::load(flags).unwrap_err().to_string(), "web.max_series is 1, but must be 100 to 100000");
    }

    #[test]
    fn allowed_hosts_are_names_and_flags_win() {
        let (keep, flags) = file("web:\n  allowed_hosts: [\"*.example.com\", node-1]\n");
        let names = |flags| -> Vec<String> {
            Settings::load(flags).unwrap().allowed_hosts.iter().map(ToString::to_string).collect()
        };
        assert_eq!(names(flags.clone()), ["*.example.com", "node-1"]);
        assert_eq!(names(Overrides { allowed_hosts: vec!["other".parse().unwrap()], ..flags.clone() }), ["other"]);
        std::fs::write(keep.path(), "web:\n  allowed_hosts: [\"node-1:9469\"]\n").unwrap();
        let error = Settings::load(flags).unwrap_err().to_string();
        assert!(error.contains(":2:19: ") && error.contains("\"node-1:9469\" is no host name; write it as"), "{error}");
    }

    #[test]
    fn critical_images_are_a_list_of_patterns() {
        let (_keep, flags) = file("critical_images: [\"gcr.io/k8s-staging-cluster-api/*:dev\", \"*/etcd:*\"]\n");
        let settings = Settings::load(flags).unwrap();
        assert_eq!(settings.critical_images, ["gcr.io/k8s-staging-cluster-api/*:dev", "*/etcd:*"]);
        let (_keep, flags) = file("critical_images: [\"a\", \"\"]\n");
        assert_eq!(
            Settings::load(flags).unwrap_err().to_string(),
            "critical_images is a list of 2 patterns, but must be at most 1000 patterns, none of them empty"
        );
        let (_keep, flags) = file("critical_images: {name: a}\n");
        assert!(Settings::load(flags).is_err());
    }

    #[test]
    fn a_usage_interval_of_zero_switches_walks_off() {
        let flags = Overrides { usage_interval: Some(Span::ZERO), ..Overrides::default() };
        assert_eq!(Settings::load(flags).unwrap().usage_interval, None);
    }
}
