//! Fits the constants of `src/forecast/fitted.rs` on a folder of traces and prints them as they stand there.
//!
//! `cargo run --release --example fit_forecast -- DIR`, where DIR holds `NAME.csv.gz` with the columns
//! `t_seconds,size_bytes,avail_bytes` and `index.json`, which names the family of each trace: `{"NAME": {"family": "leak"}}`.
//! Prints also how good the model, and its half-and-half blend with the node's own past, are on the traces they were fitted
//! on and on families that were left out of the fit (skill: 1 is perfect, 0 no better than the average frequency).
//!
//! Logistic regression by Newton's method, ridge 1, on every third judged minute of both standard thresholds and all horizons of
//! the ladder; 600 dead calm disks at each of eight distances keep a calm disk calm, of which the traces have too few.

#![expect(clippy::indexing_slicing, reason = "matrix arithmetic on arrays of one length; a tool for developers")]
#![expect(clippy::print_stdout, reason = "its result")]

use flate2::read::GzDecoder;
use highwater::forecast::backtest::{Method, Threshold, Trace, parse_csv, play};
use highwater::forecast::{History, Observation};
use highwater::time::{Span, Timestamp};
use highwater::units::{Bytes, Inodes, u64_as_f64};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read;
use std::path::Path;

/// Values the model weighs.
const VALUES: usize = 9;
/// A curve (three constants) for each of them and for the base.
const CONSTANTS: usize = 3 * (VALUES + 1);
const EVERY: i64 = 3;
const CALM_DISTANCES: [f64; 8] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8];
const CALM_WEIGHT: f64 = 600.0;
const RIDGE: f64 = 1.0;

/// One judged minute, threshold and horizon whose outcome is known.
struct Row {
    family: usize,
    minutes: usize,
    values: [f64; VALUES],
    crossed: bool,
    weight: f64,
    /// Whether it is one of those that are fitted on, or only scored.
    fitted: bool,
}

type Vector = [f64; CONSTANTS];
type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let dir = std::env::args().nth(1).ok_or("usage: fit_forecast DIR")?;
    let index: BTreeMap<String, serde_json::Value> =
        serde_json::from_reader(std::fs::File::open(Path::new(&dir).join("index.json"))?)?;
    let family = |entry: &serde_json::Value| entry["family"].as_str().unwrap_or("?").to_owned();
    let mut families: Vec<String> = index.values().map(family).collect();
    families.sort();
    families.dedup();
    let mut rows = Vec::new();
    for (name, entry) in &index {
        let mut text = String::new();
        GzDecoder::new(std::fs::File::open(Path::new(&dir).join(format!("{name}.csv.gz")))?)
            .read_to_string(&mut text)?;
        let number = families.iter().position(|other| *other == family(entry)).unwrap_or(0);
        add_rows(&parse_csv(name, &text)?, number, &mut rows);
    }
    let calm = calm_rows();
    let all = fit(rows.iter().chain(&calm));
    print_constants(&all);
    print_skill("fitted on all", &rows, &vec![all; families.len()]);
    let without: Vec<Vector> =
        (0..families.len()).map(|family| fit(rows.iter().filter(|row| row.family != family).chain(&calm))).collect();
    print_skill("family left out", &rows, &without);
    Ok(())
}

/// Plays a trace and keeps what the model weighs at every judged minute whose outcome is known.
fn add_rows(trace: &Trace, family: usize, rows: &mut Vec<Row>) {
    // The method does not matter for what is judged; a line through 15 minutes is quick.
    let played = play(trace, &Threshold::standard(), Method::PredictLinear(900));
    let mut history = History::new();
    let mut points = trace.points.iter().peekable();
    let mut size = 0;
    let minutes = played.first().map_or(0, |played| played.minutes.len());
    for i in 0..minutes {
        let at = played[0].minutes[i].at;
        while let Some(point) = points.next_if(|point| point.at <= at) {
            size = point.size;
            history.observe(Observation {
                at: Timestamp::from_micros(0) + Span::from_secs(point.at),
                capacity: Bytes::new(size),
                available: Bytes::new(point.available),
                files: Inodes::new(0),
                files_free: Inodes::new(0),
            });
        }
        for (played, threshold) in played.iter().zip(Threshold::standard()) {
            let judged = played.minutes[i];
            if !judged.judged {
                continue;
            }
            let below = Bytes::from_f64_saturating((threshold.part * u64_as_f64(size)).ceil());
            for (minutes, values) in history.weighed(below).unwrap_or_default() {
                let seconds = i64::try_from(minutes).unwrap_or(i64::MAX) * 60;
                if judged.rest < seconds {
                    continue;
                }
                rows.push(Row {
                    family,
                    minutes,
                    values: values.try_into().unwrap_or_default(),
                    crossed: judged.event_in.is_some_and(|event| event <= seconds),
                    weight: f64::from(i32::try_from(EVERY).unwrap_or(1)),
                    fitted: i64::try_from(i).unwrap_or(0) % EVERY == 0,
                });
            }
        }
    }
}

/// A disk on which nothing ever happened, at several distances.
fn calm_rows() -> Vec<Row> {
    let mut history = History::new();
    let size = 1_000_000_000_000;
    for minute in 0..1_440 {
        history.observe(Observation {
            at: Timestamp::from_micros(0) + Span::from_secs(minute * 60),
            capacity: Bytes::new(size),
            available: Bytes::new(size * 9 / 10),
            files: Inodes::new(0),
            files_free: Inodes::new(0),
        });
    }
    let below = |distance: f64| Bytes::from_f64_saturating((0.9 - distance) * u64_as_f64(size));
    let weighed = CALM_DISTANCES.iter().flat_map(|distance| history.weighed(below(*distance)).unwrap_or_default());
    weighed
        .map(|(minutes, values)| Row {
            family: usize::MAX,
            minutes,
            values: values.try_into().unwrap_or_default(),
            crossed: false,
            weight: CALM_WEIGHT,
            fitted: true,
        })
        .collect()
}

/// The values with their curves over the horizon: v, v l, v l^2 with l = ln(horizon / 30 min), the base first.
fn expanded(row: &Row) -> Vector {
    let l = (u64_as_f64(u64::try_from(row.minutes).unwrap_or(0)) / 30.0).ln();
    let mut vector = [0.0; CONSTANTS];
    for (three, value) in vector.chunks_exact_mut(3).zip(std::iter::once(&1.0).chain(&row.values)) {
        three.copy_from_slice(&[*value, value * l, value * l * l]);
    }
    vector
}

fn dot(a: &Vector, b: &Vector) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn logistic(z: f64) -> f64 {
    1.0 / (1.0 + (-z.clamp(-30.0, 30.0)).exp())
}

fn fit<'a>(rows: impl Iterator<Item = &'a Row>) -> Vector {
    const STEPS: usize = 10;
    let rows: Vec<(Vector, f64, f64)> = rows
        .filter(|row| row.fitted)
        .map(|row| (expanded(row), f64::from(u8::from(row.crossed)), row.weight))
        .collect();
    let mut constants = [0.0; CONSTANTS];
    for _ in 0..STEPS {
        let mut gradient = constants.map(|c| c * RIDGE);
        let mut hessian = [[0.0; CONSTANTS]; CONSTANTS];
        for (x, y, weight) in &rows {
            let p = logistic(dot(x, &constants));
            let (off, curvature) = (weight * (p - y), weight * p * (1.0 - p));
            for i in 0..CONSTANTS {
                gradient[i] += off * x[i];
                let part = curvature * x[i];
                // The lower half; the rest is its mirror image.
                for j in 0..=i {
                    hessian[i][j] += part * x[j];
                }
            }
        }
        for (i, row) in hessian.iter_mut().enumerate() {
            row[i] += RIDGE;
        }
        let step = solve(hessian, gradient);
        for (constant, step) in constants.iter_mut().zip(step) {
            *constant -= step;
        }
    }
    constants
}

/// Solves `matrix` x = `right` by Cholesky's method; of the symmetric matrix only the lower half is read.
fn solve(mut matrix: [[f64; CONSTANTS]; CONSTANTS], mut right: Vector) -> Vector {
    for i in 0..CONSTANTS {
        for j in 0..=i {
            let rest = matrix[i][j] - (0..j).map(|k| matrix[i][k] * matrix[j][k]).sum::<f64>();
            matrix[i][j] = if i == j { rest.sqrt() } else { rest / matrix[j][j] };
        }
        right[i] = (right[i] - (0..i).map(|k| matrix[i][k] * right[k]).sum::<f64>()) / matrix[i][i];
    }
    for i in (0..CONSTANTS).rev() {
        right[i] = (right[i] - (i + 1..CONSTANTS).map(|k| matrix[k][i] * right[k]).sum::<f64>()) / matrix[i][i];
    }
    right
}

fn print_constants(constants: &Vector) {
    let mut curves = constants.chunks_exact(3).map(|c| format!("[{:.4}, {:.4}, {:.4}]", c[0], c[1], c[2]));
    println!("const BASE: Curve = {};", curves.next().unwrap_or_default());
    curves.for_each(|curve| println!("    {curve},"));
}

/// Brier skill of model and blend, each row judged with the constants of its family.
fn print_skill(title: &str, rows: &[Row], constants: &[Vector]) {
    print!("{title}: skill of model / blend");
    for minutes in [10, 30, 60, 360] {
        let (mut n, mut crossed, mut model, mut blend) = (0.0, 0.0, 0.0, 0.0);
        for row in rows.iter().filter(|row| row.minutes == minutes) {
            let p = logistic(dot(&expanded(row), &constants[row.family]));
            let outcome = f64::from(u8::from(row.crossed));
            n += 1.0;
            crossed += outcome;
            model += (p - outcome).powi(2);
            blend += (f64::midpoint(p, logistic(row.values[0])) - outcome).powi(2);
        }
        let base = crossed / n;
        let skill = |sum: f64| 1.0 - sum / n / (base * (1.0 - base));
        print!(", {minutes} min {:.3} / {:.3}", skill(model), skill(blend));
    }
    println!();
}
