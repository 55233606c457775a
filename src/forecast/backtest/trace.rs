//! What was recorded? Reads traces from CSV and from the answer to a Prometheus range query.
//!
//! CSV: `t_seconds,size_bytes,avail_bytes` with a header line. Prometheus: the JSON of `/api/v1/query_range` for
//! `node_filesystem_avail_bytes` and `node_filesystem_size_bytes` (for both at once ask for
//! `{__name__=~"node_filesystem_(avail|size)_bytes"}`), joined by their other labels.

use serde::Deserialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// One sample of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracePoint {
    /// Whole seconds, since any origin.
    pub at: i64,
    /// Capacity in bytes.
    pub size: u64,
    /// Bytes available to an ordinary writer.
    pub available: u64,
}

/// The past of one filesystem, in time order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Names it in tables and forecasts.
    pub name: String,
    /// At least one sample.
    pub points: Vec<TracePoint>,
}

/// Why a trace cannot be read.
#[derive(Debug, Error)]
pub enum TraceError {
    /// A line is not three numbers.
    #[error("line {line}: expected t_seconds,size_bytes,avail_bytes, found `{found}`")]
    Line {
        /// Counted from 1, the header included.
        line: usize,
        /// What stands there, cut at 80 characters.
        found: String,
    },
    /// There is no sample.
    #[error("no sample")]
    Empty,
    /// It is played minute by minute, so that one damaged time stamp would take all memory.
    #[error("{}{at} is more than 366 days after the first sample, at {first}: mend the time stamp, or split the trace", at_line(*line))]
    TooLong {
        /// Counted from 1, in a CSV.
        line: Option<usize>,
        /// The time of the first sample in seconds.
        first: i64,
        /// The time that is too far from it.
        at: i64,
    },
    /// Not the JSON of a range query.
    #[error("not the answer to a Prometheus range query")]
    Json(#[source] serde_json::Error),
    /// Prometheus answered with an error.
    #[error("Prometheus answered `{0}` instead of a result")]
    Status(String),
    /// Only one of the two metrics is there.
    #[error("no node_filesystem_size_bytes for {0}: thresholds are parts of the size")]
    NoSize(String),
}

fn at_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!("line {line}: "))
}

/// Reads a CSV trace. Samples not later than their predecessor are left out.
///
/// # Errors
/// Where a line is malformed, a time is more than 366 days after the first, or no sample is left.
pub fn parse_csv(name: &str, text: &str) -> Result<Trace, TraceError> {
    let mut points = Vec::new();
    for (index, line) in text.lines().enumerate().skip(1) {
        if line.trim().is_empty() {
            continue;
        }
        let bad = || TraceError::Line { line: index + 1, found: line.chars().take(80).collect() };
        let mut fields = line.split(',').map(str::trim);
        let (Some(at), Some(size), Some(available), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(bad());
        };
        let at = at.parse().map_err(|_| bad())?;
        let first = points.first().map_or(at, |point: &TracePoint| point.at);
        check_span(first, at, Some(index + 1))?;
        points.push(TracePoint {
            at,
            size: size.parse().map_err(|_| bad())?,
            available: available.parse().map_err(|_| bad())?,
        });
    }
    Trace::new(name.to_owned(), points)
}

impl Trace {
    /// A trace of these samples; one that is not later than its predecessor is left out.
    ///
    /// # Errors
    /// Where there is no sample, or they span more than 366 days.
    pub fn new(name: String, mut points: Vec<TracePoint>) -> Result<Self, TraceError> {
        let mut last = None;
        points.retain(|point| {
            let later = last.is_none_or(|last| point.at > last);
            if later {
                last = Some(point.at);
            }
            later
        });
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return Err(TraceError::Empty) };
        check_span(first.at, last.at, None)?;
        Ok(Self { name, points })
    }
}

/// A year of minutes takes some 150 MB.
const MAX_SPAN: i64 = 366 * 86_400;

fn check_span(first: i64, at: i64, line: Option<usize>) -> Result<(), TraceError> {
    if at.saturating_sub(first) > MAX_SPAN { Err(TraceError::TooLong { line, first, at }) } else { Ok(()) }
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

/// Reads every filesystem in the JSON of a range query; their names are instance and mountpoint.
///
/// # Errors
/// Where the text is no such answer, holds no series, or lacks the size of a filesystem.
pub fn parse_prometheus(text: &str) -> Result<Vec<Trace>, TraceError> {
    let answer: Answer = serde_json::from_str(text).map_err(TraceError::Json)?;
    let Some(data) = answer.data.filter(|_| answer.status == "success") else {
        return Err(TraceError::Status(answer.status));
    };
    let mut available = BTreeMap::new();
    let mut sizes: BTreeMap<_, BTreeMap<i64, u64>> = BTreeMap::new();
    for mut series in data.result {
        let values: BTreeMap<i64, u64> = series
            .values
            .iter()
            .filter_map(|(at, value)| Some((whole(*at)?, unsigned(value.parse().ok()?)?)))
            .collect();
        match series.metric.remove("__name__").as_deref() {
            Some("node_filesystem_size_bytes") => drop(sizes.insert(series.metric, values)),
            // A query that is no plain selector drops the name; what is asked for is the space available.
            _ => drop(available.insert(series.metric, values)),
        }
    }
    let mut traces = Vec::new();
    for (labels, values) in available {
        let name = name_of(&labels);
        let sizes = sizes.get(&labels).filter(|sizes| !sizes.is_empty());
        let sizes = sizes.ok_or_else(|| TraceError::NoSize(name.clone()))?;
        let points = values
            .into_iter()
            .filter_map(|(at, available)| {
                // The size changes rarely: the newest known, or the first one.
                let size = sizes.range(..=at).next_back().or_else(|| sizes.iter().next())?;
                Some(TracePoint { at, size: *size.1, available })
            })
            .collect();
        traces.push(Trace::new(name, points)?);
    }
    if traces.is_empty() { Err(TraceError::Empty) } else { Ok(traces) }
}

fn name_of(labels: &BTreeMap<String, String>) -> String {
    let wanted = ["instance", "mountpoint"].map(|label| labels.get(label).map_or("", String::as_str));
    wanted.concat()
}

fn whole(seconds: f64) -> Option<i64> {
    seconds.is_finite().then(|| crate::time::Timestamp::from_secs_f64(seconds).micros() / 1_000_000)
}

fn unsigned(value: f64) -> Option<u64> {
    (value.is_finite() && value >= 0.0).then(|| crate::units::Bytes::from_f64_saturating(value).get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_read_and_repeated_times_are_left_out() {
        let trace =
            parse_csv("a", "t_seconds,size_bytes,avail_bytes\n0,100,50\n15,100,49\n15,100,48\n").expect("valid");
        assert_eq!(trace.points.len(), 2);
        assert_eq!(trace.points[1], TracePoint { at: 15, size: 100, available: 49 });
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = parse_csv("a", "t,s,a\n0,100,50\n15,100\n").expect_err("two fields");
        assert_eq!(error.to_string(), "line 3: expected t_seconds,size_bytes,avail_bytes, found `15,100`");
        assert!(matches!(parse_csv("a", "t,s,a\n"), Err(TraceError::Empty)));
    }

    #[test]
    fn a_damaged_time_stamp_is_named_instead_of_played() {
        let csv = |at: &[i64]| at.iter().fold("t,s,a\n".to_owned(), |text, at| format!("{text}{at},100,50\n"));
        for (at, expected) in [
            ([0, 15, 1_700_000_000], "line 4: 1700000000 is more than 366 days after the first sample, at 0: "),
            ([0, i64::MAX, 30], "line 3: 9223372036854775807 is more than 366 days after the first sample, at 0: "),
            ([i64::MIN, 0, 15], "line 3: 0 is more than 366 days after the first sample, at -9223372036854775808: "),
        ] {
            let error = parse_csv("a", &csv(&at)).expect_err("too long").to_string();
            assert!(
                error.starts_with(expected) && error.ends_with("mend the time stamp, or split the trace"),
                "{error}"
            );
        }
        assert!(parse_csv("a", &csv(&[0, 366 * 86_400])).is_ok());
        let point = |at| TracePoint { at, size: 100, available: 50 };
        let error = Trace::new("a".to_owned(), vec![point(0), point(1_700_000_000)]).expect_err("too long").to_string();
        assert!(error.starts_with("1700000000 is more than 366 days"), "{error}");
    }

    #[test]
    fn a_range_query_with_both_metrics_becomes_traces() {
        let text = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"node_filesystem_avail_bytes","instance":"n1:9100","mountpoint":"/"},
             "values":[[1700000000.123,"5e10"],[1700000060.123,"49000000000"],[1700000120.123,"NaN"]]},
            {"metric":{"__name__":"node_filesystem_size_bytes","instance":"n1:9100","mountpoint":"/"},
             "values":[[1700000000.123,"100000000000"]]}]}}"#;
        let traces = parse_prometheus(text).expect("valid");
        assert_eq!(traces.len(), 1);
        assert_eq!(traces[0].name, "n1:9100/");
        let points = [(1_700_000_000, 50_000_000_000), (1_700_000_060, 49_000_000_000)];
        assert_eq!(traces[0].points, points.map(|(at, available)| TracePoint { at, size: 100_000_000_000, available }));
    }

    #[test]
    fn a_missing_size_and_an_error_are_told() {
        let text = r#"{"status":"success","data":{"result":[{"metric":{"instance":"n","mountpoint":"/"},"values":[[1,"1"]]}]}}"#;
        let error = parse_prometheus(text).expect_err("no size");
        assert_eq!(error.to_string(), "no node_filesystem_size_bytes for n/: thresholds are parts of the size");
        let error = parse_prometheus(r#"{"status":"error","error":"x"}"#).expect_err("refused");
        assert_eq!(error.to_string(), "Prometheus answered `error` instead of a result");
        assert!(parse_prometheus("nonsense").is_err());
    }
}
