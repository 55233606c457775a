//! Opens recordings, and answers from them by the same `assess` that answers from a machine.

use crate::assess::{Assessment, State, assess};
use crate::config::open_regular;
use crate::error_chain::error_chain;
use crate::sample::Sample;
use crate::sample::recording::{BEGIN, Reader, Report};
use crate::time::Timestamp;
use flate2::bufread::MultiGzDecoder;
use std::io::{BufRead, BufReader, Read, Write, stderr};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A recording that cannot be opened, or holds nothing that can be read.
#[derive(Debug, Error)]
#[error("cannot {attempt} the recording {}", path.display())]
pub struct RecordingError {
    /// `read` or `write`.
    pub attempt: &'static str,
    /// Which.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// What a recording tells at one time.
#[derive(Debug)]
pub struct Recorded {
    /// The last sample up to then.
    pub sample: Sample,
    /// Its assessment.
    pub assessment: Assessment,
    /// How the reading went.
    pub report: Report,
}

/// The samples of a file.
pub type Samples = Reader<Box<dyn BufRead>>;

/// Opens a recording, compressed with gzip or not.
///
/// # Errors
/// A file that cannot be read.
pub fn open(path: &Path) -> Result<Samples, RecordingError> {
    Ok(Reader::new(input(path)?))
}

/// Whether the file begins as a recording does.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn is_one(path: &Path) -> Result<bool, RecordingError> {
    let length = u64::try_from(BEGIN.len()).unwrap_or(u64::MAX);
    let mut begin = Vec::new();
    // One that cannot be unpacked is none.
    Ok(input(path)?.take(length).read_to_end(&mut begin).is_ok() && begin == BEGIN)
}

fn input(path: &Path) -> Result<Box<dyn BufRead>, RecordingError> {
    let failure = |error: std::io::Error| unreadable(path, error);
    let mut input = BufReader::with_capacity(64 << 10, open_regular(path).map_err(failure)?);
    let is_gzip = input.fill_buf().map_err(failure)?.starts_with(&[0x1f, 0x8b]);
    if is_gzip {
        return Ok(Box::new(BufReader::with_capacity(64 << 10, MultiGzDecoder::new(input))));
    }
    Ok(Box::new(input))
}

/// The last sample up to `time`, or to the end: every sample up to then is assessed in its order.
///
/// # Errors
/// A file that cannot be read, or has no sample up to then.
pub fn sample_at(path: &Path, time: Option<Timestamp>) -> Result<Recorded, RecordingError> {
    let mut samples = open(path)?;
    let mut state = State::default();
    let mut last = None;
    let mut first_after = None;
    while let Some(sample) = samples.next_sample() {
        if let Some(time) = time.filter(|time| sample.at > *time) {
            first_after = Some((sample.at, time));
            break;
        }
        let (assessment, next) = assess(&sample, state);
        state = next;
        last = Some((sample, assessment));
    }
    match last {
        Some((sample, assessment)) => Ok(Recorded { sample, assessment, report: samples.into_report() }),
        None => Err(match first_after {
            Some((first, time)) => unreadable(path, format!("it begins at {first}, after {time}")),
            None => nothing(path, samples.into_report()),
        }),
    }
}

/// The failure of a recording without any sample.
pub(super) fn nothing(path: &Path, report: Report) -> RecordingError {
    match report.damage.into_iter().next() {
        Some(damage) => unreadable(path, damage),
        None => unreadable(path, "it has no samples"),
    }
}

fn unreadable(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RecordingError {
    RecordingError { attempt: "read", path: path.to_owned(), source: source.into() }
}

/// Says on standard error what [`warnings`] has to say.
pub(super) fn warn(path: &Path, report: &Report) {
    for line in warnings(path, report) {
        // Nothing is left to be done when standard error is closed.
        writeln!(stderr(), "highwater: {line}").ok();
    }
}

/// What has to be said of a recording that was not read as a whole, a line for each.
pub fn warnings(path: &Path, report: &Report) -> Vec<String> {
    let name = path.display();
    let mut lines: Vec<String> =
        report.damage.iter().map(|damage| format!("{name}: {}", error_chain(damage))).collect();
    if report.more_damage > 0 {
        lines.push(format!("{name}: {} more damaged lines", report.more_damage));
    }
    if !report.damage.is_empty() {
        let (samples, lost) = (report.samples, report.skipped.lost);
        lines.push(format!(
            "{name}: {samples} samples were read; after damage everything up to the next header is passed over, here {lost} lines"
        ));
    }
    let (unknown, fields) = (report.skipped.lines, report.skipped.fields);
    if unknown > 0 || fields > 0 {
        lines.push(format!(
            "{name}: skipped {unknown} lines and {fields} fields of kinds that this highwater does not know; a newer one may"
        ));
    }
    lines
}
