//! Answers a scorer in lock step: `NAME T SIZE AVAIL` is a sample, `? NAME T` asks for the two forecasts at that time.
//!
//! Thresholds as in the scorer: `image_gc` below 16 % of the size, `disk_full` below 1 %.

use highwater::forecast::{Forecast, History, Horizon, Observation};
use highwater::time::{Span, Timestamp};
use highwater::units::{Bytes, Inodes};
use std::io::{BufRead, Write};

fn main() -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut name = String::new();
    let mut history = History::new();
    let mut size = 0.0;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            ["?", trace, time] => {
                let outlook = history.outlook();
                for (threshold, part) in [("image_gc", 0.16), ("disk_full", 0.01)] {
                    // The first whole number of bytes that is not below the scorer's line.
                    let below = Bytes::from_f64_saturating(f64::ceil(part * size));
                    writeln!(out, "{}", answer(trace, time, threshold, outlook.forecast(below)))?;
                }
                out.flush()?;
            }
            [trace, time, capacity, available] => {
                if *trace != name {
                    (*trace).clone_into(&mut name);
                    history = History::new();
                }
                size = number(capacity)?;
                history.observe(Observation {
                    at: Timestamp::from_secs_f64(number(time)?),
                    capacity: Bytes::from_f64_saturating(size),
                    available: Bytes::from_f64_saturating(number(available)?),
                    files: Inodes::new(0),
                    files_free: Inodes::new(0),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn number(text: &str) -> std::io::Result<f64> {
    text.parse().map_err(std::io::Error::other)
}

fn answer(trace: &str, time: &str, threshold: &str, forecast: Option<Forecast>) -> String {
    let quantile = |span: Option<Span>| span.map_or("null".to_owned(), |span| format!("{:.1}", span.as_secs_f64()));
    let (p10, p50, p90) = forecast.map_or((None, None, None), |f| (f.p10, f.p50, f.p90));
    let prob: Vec<String> = Horizon::ALL
        .iter()
        .map(|h| format!("\"{}\":{:.5}", h.span().as_secs_f64(), forecast.map_or(0.0, |f| f.within(*h).get())))
        .collect();
    format!(
        "{{\"trace\":\"{trace}\",\"t\":{time},\"threshold\":\"{threshold}\",\"p10\":{},\"p50\":{},\"p90\":{},\"prob\":{{{}}}}}",
        quantile(p10),
        quantile(p50),
        quantile(p90),
        prob.join(",")
    )
}
