//! The file of the state as bytes: a header with version, length and checksum; a line about its origin; and a line of JSON for each
//! piece. Pure.

use crate::assess::PersistedState;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Rises with every change of a line or its meaning; that of a history rises by itself. A file with another one is not read.
const VERSION: u32 = 1;
/// The largest file. Eight filesystems and 2,000 images take 1 MiB; pieces that do not fit are left out, the last ones first.
pub(super) const MOST_BYTES: usize = 8 << 20;
/// The first line is shorter than that.
const MOST_HEADER: usize = 128;

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    highwater_state: u32,
    /// Length of the rest.
    bytes: usize,
    /// CRC-32 (IEEE) of the rest.
    crc32: u32,
}

/// The second line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// [`PersistedState::HISTORY_VERSION`] of the writer.
    history: u32,
    /// The time of the last sample in it.
    pub(super) at: Timestamp,
    /// The kernel's boot_id.
    pub(super) boot_id: Option<String>,
    /// When the machine was booted, as start times of processes were told from.
    pub(super) booted_at: Option<Timestamp>,
}

/// Why a file is not what was written.
#[derive(Debug, Error)]
pub(super) enum Damage {
    #[error("it is not a state of highwater")]
    Foreign,
    #[error("it was written by another version of highwater")]
    Version,
    #[error("it is larger than {} MiB", MOST_BYTES >> 20)]
    TooLarge,
    #[error("it has {found} bytes instead of {wanted}")]
    Length { found: usize, wanted: usize },
    #[error("its checksum is wrong")]
    Checksum,
    #[error("line {line} is malformed: {source}")]
    Line { line: usize, source: serde_json::Error },
}

impl Origin {
    pub(super) fn new(at: Timestamp, boot_id: Option<String>, booted_at: Option<Timestamp>) -> Self {
        Self { history: PersistedState::HISTORY_VERSION, at, boot_id, booted_at }
    }
}

/// The whole file.
pub(super) fn encode<'a>(origin: &Origin, pieces: impl Iterator<Item = PersistedState<'a>>) -> Vec<u8> {
    let mut body = Vec::new();
    append(&mut body, origin);
    for piece in pieces {
        append(&mut body, &piece);
    }
    let header = Header { highwater_state: VERSION, bytes: body.len(), crc32: crc32fast::hash(&body) };
    let mut file = Vec::with_capacity(body.len() + MOST_HEADER);
    append(&mut file, &header);
    file.append(&mut body);
    file
}

/// Adds a line, or nothing where it does not fit.
fn append(body: &mut Vec<u8>, line: &impl Serialize) {
    let before = body.len();
    let written = serde_json::to_writer(&mut *body, line).is_ok();
    body.push(b'\n');
    if !written || body.len() > MOST_BYTES - MOST_HEADER {
        body.truncate(before);
    }
}

/// What [`encode`] was given.
///
/// # Errors
/// Anything that it did not write, as a whole.
pub(super) fn decode(file: &[u8]) -> Result<(Origin, Vec<PersistedState<'static>>), Damage> {
    if file.len() > MOST_BYTES {
        return Err(Damage::TooLarge);
    }
    let mut parts = file.splitn(2, |byte| *byte == b'\n');
    let (first, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if first.len() > MOST_HEADER {
        return Err(Damage::Foreign);
    }
    let header: Header = serde_json::from_slice(first).map_err(|_| Damage::Foreign)?;
    if header.highwater_state != VERSION {
        return Err(Damage::Version);
    }
    if header.bytes != body.len() {
        return Err(Damage::Length { found: body.len(), wanted: header.bytes });
    }
    if header.crc32 != crc32fast::hash(body) {
        return Err(Damage::Checksum);
    }
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let origin: Origin = line(2, lines.next().unwrap_or_default())?;
    if origin.history != PersistedState::HISTORY_VERSION {
        return Err(Damage::Version);
    }
    let pieces = lines.enumerate().map(|(index, text)| line(index + 3, text)).collect::<Result<_, _>>()?;
    Ok((origin, pieces))
}

fn line<T: for<'de> Deserialize<'de>>(line: usize, text: &[u8]) -> Result<T, Damage> {
    serde_json::from_slice(text).map_err(|source| Damage::Line { line, source })
}
