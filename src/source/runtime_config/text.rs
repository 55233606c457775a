//! The text of a configuration file, and where it is wrong.

use crate::access::AccessError;
use crate::access::root::Root;
use crate::sample::AbsenceReason;
use std::path::Path;

/// Configuration files of runtimes are a few KiB.
const LIMIT: usize = 256 << 10;

pub(super) fn read_text(root: &Root, path: &Path, must_exist: bool) -> Result<Option<String>, AccessError> {
    match root.read_file(path, LIMIT) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| malformed(path, None)),
        Err(error) if !must_exist && error.reason() == AbsenceReason::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says where, never what: the file may be a link to something secret.
pub(super) fn malformed(path: &Path, line: Option<usize>) -> AccessError {
    let problem = line.map_or_else(|| "is not valid UTF-8".to_owned(), |line| format!("line {line} is not understood"));
    AccessError::Malformed { path: path.to_owned(), problem }
}

pub(super) fn malformed_toml(path: &Path, text: &str, error: &toml::de::Error) -> AccessError {
    malformed(path, error.span().map(|span| line_of(text, span.start)))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}
