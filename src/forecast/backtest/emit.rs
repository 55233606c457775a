//! Every forecast as the traces' own scorer reads it: one JSON line for each minute and threshold.

use super::play::Played;
use crate::forecast::{Forecast, Horizon};
use crate::time::Span;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Line<'a> {
    trace: &'a str,
    t: i64,
    threshold: &'a str,
    p10: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    prob: BTreeMap<i64, f64>,
}

/// The lines of one played trace and threshold, each ended by a line feed. Minutes without a forecast are left out.
///
/// # Errors
/// Where JSON cannot be written, which plain numbers and text do not cause.
pub fn lines(played: &Played) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for minute in &played.minutes {
        let Some(forecast) = &minute.forecast else { continue };
        let quantile = |span: Option<Span>| span.map(Span::as_secs_f64);
        let line = Line {
            trace: &played.trace,
            t: minute.at,
            threshold: &played.threshold,
            p10: quantile(forecast.p10),
            p50: quantile(forecast.p50),
            p90: quantile(forecast.p90),
            prob: probabilities(forecast),
        };
        text.push_str(&serde_json::to_string(&line)?);
        text.push('\n');
    }
    Ok(text)
}

fn probabilities(forecast: &Forecast) -> BTreeMap<i64, f64> {
    Horizon::ALL.map(|horizon| (horizon.span().micros() / 1_000_000, forecast.within(horizon).get())).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::backtest::Judged;

    #[test]
    fn a_line_has_the_scorers_form() {
        let minute = Judged { at: 3_600, forecast: Some(Forecast::REACHED), judged: true, event_in: None, rest: 0 };
        let played = Played {
            trace: "d001".to_owned(),
            threshold: "image_gc".to_owned(),
            minutes: vec![minute, Judged { forecast: None, ..minute }],
            events: Vec::new(),
            end: 3_600,
        };
        assert_eq!(
            lines(&played).expect("plain"),
            "{\"trace\":\"d001\",\"t\":3600,\"threshold\":\"image_gc\",\"p10\":0.0,\"p50\":0.0,\"p90\":0.0,\
             \"prob\":{\"600\":1.0,\"1800\":1.0,\"3600\":1.0,\"21600\":1.0}}\n"
        );
    }
}
