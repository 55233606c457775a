//! Where is a text that a configuration needs, as a certificate or a password? In a file that it names, or in the
//! configuration itself; an error or the log says where, never what.

use super::file::read_limited;
use super::problem::{Problem, problem};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where a text is.
#[derive(Clone, PartialEq, Eq)]
pub enum Contents {
    /// In this file.
    File(PathBuf),
    /// In the configuration itself.
    Inline(String),
}

/// A text that cannot be read.
#[derive(Debug, Error)]
#[error("cannot read the {what} in {contents}")]
pub struct Unreadable {
    /// What it should hold.
    what: &'static str,
    /// Where it is.
    contents: Contents,
    /// Why.
    #[source]
    source: io::Error,
}

impl Contents {
    /// The text; `what` it should be is for the error.
    ///
    /// # Errors
    /// When the file cannot be read, is larger than 1 MiB, or is not UTF-8.
    pub fn read(&self, what: &'static str) -> Result<Cow<'_, str>, Unreadable> {
        match self {
            Self::File(path) => match read_limited(path) {
                Ok(text) => Ok(Cow::Owned(text)),
                Err(source) => Err(Unreadable { what, contents: self.clone(), source }),
            },
            Self::Inline(text) => Ok(Cow::Borrowed(text)),
        }
    }

    /// The file, where it is in one.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Inline(_) => None,
        }
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Inline(_) => f.write_str("the configuration"),
        }
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contents({self})")
    }
}

/// Text that is not printed.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What the one of two keys, `name` and `name_file`, gives; files are relative to `folder`.
pub(super) fn one_of(
    inline: Option<Spanned<Secret>>,
    file: Option<Spanned<PathBuf>>,
    name: &str,
    folder: &Path,
) -> Result<Option<Contents>, Problem> {
    match (inline, file) {
        (Some(_), Some(file)) => {
            Err(problem(Some(file.referenced), format!("{name} and {name}_file are both given; remove one of them")))
        }
        (Some(inline), None) => Ok(Some(Contents::Inline(inline.value.0))),
        (None, Some(file)) => Ok(Some(Contents::File(folder.join(file.value)))),
        (None, None) => Ok(None),
    }
}
