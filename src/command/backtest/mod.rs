//! `highwater backtest DIR`: how good would the forecasts have been? Reads recorded traces, prints and writes scores.
//!
//! Changes nothing but the files named by `--emit-forecasts` and `--plots`. What is read is limited in size and number; every
//! file is read, played and let go before the next one.

mod error;
mod read;

pub use error::BacktestError;

use crate::cli::{BacktestArgs, Output};
use crate::forecast::backtest::{
    Method, Played, Scores, Threshold, Trace, calibration, course, lines, play, score, table,
};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    traces: usize,
    scores: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    method: &'a str,
    threshold: &'a str,
    #[serde(flatten)]
    scores: &'a Scores,
}

/// Plays every trace below `args.path` and writes the scores to `out`.
///
/// # Errors
/// Where a trace cannot be read or a result cannot be written; nothing is printed then.
pub fn run(args: &BacktestArgs, out: &mut dyn Write) -> Result<(), BacktestError> {
    let thresholds = Threshold::standard();
    let mut methods = vec![Method::Highwater];
    if args.baseline {
        methods.extend(Method::BASELINES);
    }
    let mut emitted = args.emit_forecasts.as_deref().map(create).transpose()?;
    if let Some(folder) = &args.plots {
        fs::create_dir_all(folder).map_err(|source| write_error(folder, source))?;
    }
    let mut played: Vec<Vec<Played>> = vec![Vec::new(); methods.len()];
    let mut traces = 0;
    for path in read::files(&args.path)? {
        for trace in read::traces(&path)? {
            traces += 1;
            for (method, played) in methods.iter().zip(&mut played) {
                let new = play(&trace, &thresholds, *method);
                if *method == Method::Highwater {
                    record(args, &trace, &new, emitted.as_mut())?;
                }
                played.extend(new);
            }
        }
    }
    if let (Some(folder), Some(own)) = (&args.plots, played.first()) {
        write_file(&folder.join("calibration.svg"), &calibration(own))?;
    }
    if let Some((path, file)) = args.emit_forecasts.as_deref().zip(emitted.as_mut()) {
        file.flush().map_err(|source| write_error(path, source))?;
    }
    let rows = rows(&methods, &thresholds, &played);
    print(args.output, traces, &rows, out)
        .map_err(|source| BacktestError::Write { what: "the scores".to_owned(), source })
}

fn rows(methods: &[Method], thresholds: &[Threshold], played: &[Vec<Played>]) -> Vec<(String, String, Scores)> {
    let mut rows = Vec::new();
    for (method, played) in methods.iter().zip(played) {
        for threshold in thresholds {
            let of_threshold = played.iter().filter(|one| one.threshold == threshold.name);
            rows.push((method.name(), threshold.name.clone(), score(of_threshold)));
        }
        rows.push((method.name(), "all".to_owned(), score(played)));
    }
    rows
}

fn print(output: Output, traces: usize, rows: &[(String, String, Scores)], out: &mut dyn Write) -> io::Result<()> {
    match output {
        Output::Table => out.write_all(table(rows).as_bytes())?,
        Output::Json => {
            let scores = rows.iter().map(|(method, threshold, scores)| Row { method, threshold, scores }).collect();
            serde_json::to_writer_pretty(&mut *out, &Report { schema: "highwater/backtest/v1", traces, scores })?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()
}

/// Writes the forecasts and the plot of one trace.
fn record(
    args: &BacktestArgs,
    trace: &Trace,
    played: &[Played],
    emitted: Option<&mut BufWriter<File>>,
) -> Result<(), BacktestError> {
    if let (Some(file), Some(path)) = (emitted, &args.emit_forecasts) {
        for one in played {
            let text = lines(one).map_err(|error| write_error(path, error.into()))?;
            file.write_all(text.as_bytes()).map_err(|source| write_error(path, source))?;
        }
    }
    if let Some(folder) = &args.plots {
        write_file(&folder.join(format!("{}.svg", file_name(&trace.name))), &course(trace, played))?;
    }
    Ok(())
}

/// Traces of a range query are named by foreign labels: only harmless characters reach the file name.
fn file_name(trace: &str) -> String {
    trace.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).take(120).collect()
}

fn create(path: &Path) -> Result<BufWriter<File>, BacktestError> {
    File::create(path).map(BufWriter::new).map_err(|source| write_error(path, source))
}

fn write_file(path: &Path, text: &str) -> Result<(), BacktestError> {
    let mut file = create(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(|source| write_error(path, source))
}

fn write_error(path: &Path, source: io::Error) -> BacktestError {
    BacktestError::Write { what: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::path::PathBuf;

    fn args(path: &Path) -> BacktestArgs {
        BacktestArgs {
            path: path.to_owned(),
            baseline: false,
            output: Output::Table,
            emit_forecasts: None,
            plots: None,
        }
    }

    fn output(args: &BacktestArgs) -> String {
        let mut out = Vec::new();
        run(args, &mut out).expect("traces of the repository");
        String::from_utf8(out).expect("text")
    }

    fn traces() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/traces")
    }

    #[test]
    fn the_traces_of_the_repository_have_their_scores() {
        let text = output(&BacktestArgs { baseline: true, ..args(&traces()) });
        insta::with_settings!({ snapshot_path => "../../../tests/golden", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("backtest", text);
        });
    }

    #[test]
    fn forecasts_and_plots_are_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let (forecasts, plots) = (folder.path().join("f.jsonl"), folder.path().join("plots"));
        let text = output(&BacktestArgs {
            output: Output::Json,
            emit_forecasts: Some(forecasts.clone()),
            plots: Some(plots.clone()),
            ..args(&traces().join("d018.csv.gz"))
        });
        let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&report["schema"], &report["traces"]), (&"highwater/backtest/v1".into(), &1.into()));
        let mut written = String::new();
        File::open(forecasts).and_then(|mut file| file.read_to_string(&mut written)).expect("written");
        // A day of minutes and two thresholds; the very first minute has too few samples for a forecast.
        assert_eq!(written.lines().count(), 2 * 1_439);
        assert!(plots.join("calibration.svg").exists() && plots.join("d018.svg").exists());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut out = Vec::new();
        let error = run(&args(folder.path()), &mut out).expect_err("empty");
        assert!(error.to_string().starts_with("no .csv, .json or .jsonl, or one of these with .gz, in /"), "{error}");
        let error = run(&args(&folder.path().join("absent")), &mut out).expect_err("absent");
        assert!(error.to_string().starts_with("cannot read /"), "{error}");
        write_file(&folder.path().join("a.csv"), "t,s,a\n1,2\n").expect("written");
        let error = run(&args(folder.path()), &mut out).expect_err("malformed");
        assert!(error.to_string().ends_with("a.csv"), "{error}");
        assert!(out.is_empty());
    }

    #[test]
    fn foreign_names_stay_in_their_folder() {
        assert_eq!(file_name("../../etc/x:9100/"), "______etc_x_9100_");
    }
}
