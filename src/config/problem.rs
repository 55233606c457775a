//! What is wrong in a configuration file, and where? For what is found after the file was parsed: contradictions and gaps.

use super::file::ConfigError;
use serde_saphyr::{Location, Spanned};
use std::path::Path;

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Problem {
    line: u64,
    column: u64,
    text: String,
}

impl Problem {
    /// The error that names the file, too.
    pub(super) fn within(self, path: &Path) -> ConfigError {
        ConfigError::Malformed { path: path.to_owned(), line: self.line, column: self.column, problem: self.text }
    }
}

pub(super) fn problem(at: Option<Location>, text: impl Into<String>) -> Problem {
    Problem {
        line: at.map_or(1, |location| location.line()),
        column: at.map_or(1, |location| location.column()),
        text: text.into(),
    }
}

pub(super) fn place<T>(value: Option<&Spanned<T>>) -> Option<Location> {
    value.map(|value| value.referenced)
}
