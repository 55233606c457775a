//! Does a forecast know only what was seen before it? Recorded traces, cut off anywhere, get the same forecasts up to the cut.

use flate2::read::GzDecoder;
use highwater::forecast::backtest::{Method, Played, Threshold, Trace, parse_csv, play};
use proptest::prelude::*;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

/// Hours of each trace: enough for every store to be in use, few enough for a debug build.
const SECONDS: i64 = 4 * 3_600;

type Told = (Trace, Vec<Played>);

/// The traces of the repository and what is said about each, or why they cannot be read.
static TRACES: LazyLock<Result<Vec<Told>, String>> =
    LazyLock::new(|| ["d018", "d026", "d035", "dr2"].into_iter().map(played).collect());

fn played(name: &str) -> Result<Told, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/traces/{name}.csv.gz"));
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let mut trace = parse_csv(name, &text).map_err(|error| error.to_string())?;
    trace.points.retain(|point| point.at <= SECONDS);
    let played = play(&trace, &Threshold::standard(), Method::Highwater);
    Ok((trace, played))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_trace_cut_off_anywhere_gets_the_same_forecasts_up_to_there(cut in 900..SECONDS) {
        for (trace, whole) in TRACES.as_ref().expect("fixtures") {
            let mut short = trace.clone();
            short.points.retain(|point| point.at <= cut);
            for (whole, part) in whole.iter().zip(play(&short, &Threshold::standard(), Method::Highwater)) {
                prop_assert!(!part.minutes.is_empty());
                for (a, b) in whole.minutes.iter().zip(&part.minutes) {
                    prop_assert_eq!((a.at, a.forecast), (b.at, b.forecast), "{} cut at {}", &trace.name, cut);
                }
            }
        }
    }
}
