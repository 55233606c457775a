//! What does the configuration file say? Every key is optional; unknown ones are errors.

use super::{HostPattern, ListenAddress, open_regular};
use crate::time::Span;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The configuration file as written.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    pub(super) sample: Interval,
    pub(super) runtime: Interval,
    pub(super) usage: UsageSection,
    pub(super) web: WebSection,
    pub(super) storage: StorageSection,
    pub(super) check: CheckSection,
    pub(super) critical_images: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Interval {
    #[serde(deserialize_with = "duration")]
    pub(super) interval: Option<Span>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UsageSection {
    #[serde(deserialize_with = "duration")]
    pub(super) interval: Option<Span>,
    pub(super) max_entries: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WebSection {
    pub(super) listen_addresses: Vec<ListenAddress>,
    pub(super) allowed_hosts: Vec<HostPattern>,
    pub(super) telemetry_path: Option<String>,
    pub(super) max_series: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StorageSection {
    pub(super) path: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CheckSection {
    #[serde(deserialize_with = "duration")]
    pub(super) critical: Option<Span>,
    #[serde(deserialize_with = "duration")]
    pub(super) warning: Option<Span>,
}

/// A configuration that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}:{line}:{column}: {problem}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong.
        problem: String,
    },
    /// A value is out of its range.
    #[error("{key} is {given}, but must be {wanted}")]
    Value {
        /// The key, as in the file.
        key: &'static str,
        /// What was given.
        given: String,
        /// What is accepted.
        wanted: String,
    },
}

/// A configuration of more than 1 MiB is a mistake.
const LIMIT: u64 = 1 << 20;

impl ConfigFile {
    /// Reads and parses the file.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 1 MiB, is no YAML, or has unknown keys or values of the wrong form.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Ok(read_yaml(path)?.unwrap_or_default())
    }
}

/// The text of a regular file of at most 1 MiB.
pub(super) fn read_limited(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open_regular(path)?.take(LIMIT + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > LIMIT) {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

/// What a YAML file says; `None` where it says nothing.
pub(super) fn read_yaml<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ConfigError> {
    let text = read_limited(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    serde_saphyr::from_str(&text).map_err(|error| malformed(path, &error))
}

fn malformed(path: &Path, error: &serde_saphyr::Error) -> ConfigError {
    let error = error.without_snippet();
    let location = error.location();
    // The location stands in front; the library repeats it at the end of its text.
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or(&text).lines().collect::<Vec<_>>().join(" ");
    ConfigError::Malformed {
        path: path.to_owned(),
        line: location.map_or(1, |location| location.line()),
        column: location.map_or(1, |location| location.column()),
        problem,
    }
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| {
        humantime::parse_duration(&text)
            .map(Span::from)
            .map_err(|_| serde::de::Error::custom(format!("\"{text}\" is no duration; write it as 30s, 5m or 1h30m")))
    })
    .transpose()
}
