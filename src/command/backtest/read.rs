//! Where are the traces, and what is in them? One file at a time, of three forms known by their names.

use super::error::{BacktestError, MOST_BYTES, MOST_POINTS};
use crate::command::recording;
use crate::config::open_regular;
use crate::forecast::backtest::{Trace, TraceError, TracePoint, parse_csv, parse_prometheus};
use crate::sample::{FilesystemId, FilesystemSample, Reading};
use flate2::read::MultiGzDecoder;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

enum Form {
    Csv,
    Prometheus,
    Recording,
}

/// The form that a name tells, and the name without its endings; `None` where it is no trace.
fn form(path: &Path) -> Option<(Form, &str)> {
    let name = path.file_name()?.to_str()?;
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    let (stem, ending) = plain.rsplit_once('.')?;
    match ending {
        "csv" => Some((Form::Csv, stem)),
        // An index of the traces is no trace.
        "json" if stem != "index" => Some((Form::Prometheus, stem)),
        "jsonl" => Some((Form::Recording, stem)),
        _ => None,
    }
}

/// The traces of a folder by name, or the one file.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, BacktestError> {
    let error = |source| BacktestError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(error)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(error)? {
        let file = entry.map_err(error)?.path();
        if form(&file).is_some() {
            files.push(file);
        }
    }
    files.sort_unstable();
    if files.is_empty() { Err(BacktestError::Nothing { path: path.to_owned() }) } else { Ok(files) }
}

/// The traces of one file. One whose name tells nothing is a recording, which may have any name, or taken for CSV.
pub(super) fn traces(path: &Path) -> Result<Vec<Trace>, BacktestError> {
    let whole = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (form, stem) = match form(path) {
        Some(known) => known,
        None if recording::is_one(path)? => (Form::Recording, whole),
        None => (Form::Csv, whole),
    };
    let traces = match form {
        Form::Csv => parse_csv(stem, &text(path)?).map(|trace| vec![trace]),
        Form::Prometheus => parse_prometheus(&text(path)?),
        Form::Recording => return recorded(path, stem),
    };
    traces.map_err(|source| BacktestError::Trace { path: path.to_owned(), source })
}

fn text(path: &Path) -> Result<String, BacktestError> {
    let error = |source| BacktestError::Read { path: path.to_owned(), source };
    let file = open_regular(path).map_err(error)?;
    let is_packed = path.extension().is_some_and(|ending| ending == "gz");
    let mut reader: Box<dyn Read> = if is_packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut text = String::new();
    reader.by_ref().take(MOST_BYTES + 1).read_to_string(&mut text).map_err(error)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MOST_BYTES {
        return Err(BacktestError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}

/// What a recording saw of each filesystem, its older generation first.
fn recorded(path: &Path, stem: &str) -> Result<Vec<Trace>, BacktestError> {
    let mut older = path.as_os_str().to_owned();
    older.push(".1");
    let older = PathBuf::from(older);
    let mut seen: BTreeMap<FilesystemId, (String, Vec<TracePoint>)> = BTreeMap::new();
    let mut points = 0;
    for file in [older.as_path(), path].into_iter().filter(|file| *file == path || file.exists()) {
        let mut samples = recording::open(file)?;
        while let Some(sample) = samples.next_sample() {
            for (filesystem, point) in sample.filesystems.iter().filter_map(|found| Some((found, point(found)?))) {
                let named = || (filesystem.name.mountpoint.as_str().to_owned(), Vec::new());
                seen.entry(filesystem.id).or_insert_with(named).1.push(point);
                points += 1;
            }
            if points > MOST_POINTS {
                return Err(BacktestError::TooMany { path: path.to_owned() });
            }
        }
        let report = samples.into_report();
        if report.samples == 0 {
            return Err(recording::nothing(file, report).into());
        }
        recording::warn(file, &report);
    }
    let several = seen.len() > 1;
    let mut traces = Vec::new();
    for (id, (mountpoint, points)) in seen {
        let name = if several { format!("{stem} {mountpoint} {}:{}", id.major(), id.minor()) } else { stem.to_owned() };
        // One that was never measured, or only at one time, gives nothing to forecast.
        match Trace::new(name, points) {
            Ok(trace) => traces.push(trace),
            Err(TraceError::Empty) => {}
            Err(source) => return Err(BacktestError::Trace { path: path.to_owned(), source }),
        }
    }
    if traces.is_empty() {
        return Err(BacktestError::Trace { path: path.to_owned(), source: TraceError::Empty });
    }
    Ok(traces)
}

fn point(filesystem: &FilesystemSample) -> Option<TracePoint> {
    let Reading::Present { value, at } = &filesystem.space else { return None };
    let at = at.micros().div_euclid(1_000_000);
    Some(TracePoint { at, size: value.capacity.get(), available: value.available.get() })
}
