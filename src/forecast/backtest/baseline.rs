//! What would today's alerts say? Straight lines through the last minutes, without any uncertainty.
//!
//! `predict_linear` is Prometheus's least-squares line over a window; the average rate is that of Netdata's disk alarm.

use super::trace::TracePoint;
use crate::forecast::{Forecast, Horizon};
use crate::time::Span;
use crate::units::{Ratio, u64_as_f64};

/// Who forecasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// highwater's own core.
    Highwater,
    /// Prometheus's `predict_linear` over so many seconds.
    PredictLinear(i64),
    /// Netdata's: from the lowest level of the first ten minutes of so many seconds to now.
    AverageRate(i64),
}

impl Method {
    /// The baselines that stand beside the core.
    pub const BASELINES: [Self; 4] =
        [Self::PredictLinear(900), Self::PredictLinear(3_600), Self::PredictLinear(21_600), Self::AverageRate(3_600)];

    /// The name in tables: `highwater`, `predict_linear_15m`, `average_rate_1h`.
    pub fn name(self) -> String {
        let window = |seconds: i64| {
            if seconds % 3_600 == 0 { format!("{}h", seconds / 3_600) } else { format!("{}m", seconds / 60) }
        };
        match self {
            Self::Highwater => "highwater".to_owned(),
            Self::PredictLinear(seconds) => format!("predict_linear_{}", window(seconds)),
            Self::AverageRate(seconds) => format!("average_rate_{}", window(seconds)),
        }
    }
}

/// A straight line into the future.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// Bytes available now, as the line has it.
    level: f64,
    /// Bytes lost each second.
    fall: f64,
}

impl Line {
    /// The baseline's line at `now` from the samples so far; `None` with too few of them.
    pub(super) fn new(method: Method, seen: &[TracePoint], now: i64) -> Option<Self> {
        match method {
            Method::Highwater => None,
            Method::PredictLinear(seconds) => least_squares(window(seen, now - seconds), now),
            Method::AverageRate(seconds) => average(seen, seconds, now),
        }
    }

    /// A point forecast: probability 0 or 1, all quantiles alike.
    pub(super) fn forecast(self, below: f64) -> Forecast {
        let distance = self.level - below;
        let when = if distance < 0.0 {
            Some(Span::ZERO)
        } else {
            (self.fall > 0.0).then(|| Span::from_secs_f64(distance / self.fall))
        };
        let within = |horizon: Horizon| if distance < self.fall * horizon.span().as_secs_f64() { 1.0 } else { 0.0 };
        Forecast { p10: when, p50: when, p90: when, probability: Horizon::ALL.map(|h| Ratio::new(within(h))) }
    }
}

fn window(seen: &[TracePoint], from: i64) -> &[TracePoint] {
    seen.get(seen.partition_point(|point| point.at < from)..).unwrap_or(&[])
}

fn least_squares(window: &[TracePoint], now: i64) -> Option<Line> {
    let (mut n, mut sx, mut sy, mut sxx, mut sxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for point in window {
        let (x, y) = (Span::from_secs(point.at - now).as_secs_f64(), u64_as_f64(point.available));
        n += 1.0;
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
    }
    let spread = n * sxx - sx * sx;
    if spread <= 0.0 {
        return None;
    }
    let slope = (n * sxy - sx * sy) / spread;
    Some(Line { level: (sy - slope * sx) / n, fall: -slope })
}

/// From the lowest level of the ten minutes at the beginning of the window to now.
fn average(seen: &[TracePoint], seconds: i64, now: i64) -> Option<Line> {
    let old = window(seen, now - seconds).iter().take_while(|point| point.at <= now - seconds + 600);
    let lowest = u64_as_f64(old.map(|point| point.available).min()?);
    let level = u64_as_f64(seen.last()?.available);
    Some(Line { level, fall: ((lowest - level) / Span::from_secs(seconds).as_secs_f64()).max(0.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_followed() {
        let point = |i: u32| TracePoint { at: i64::from(i) * 60, size: 10_000, available: 8_000 - u64::from(i) * 60 };
        let seen: Vec<_> = (0..120).map(point).collect();
        // The average starts from the lowest level 60 to 50 minutes ago: 50 minutes' fall over an hour.
        for (method, fall) in [(Method::PredictLinear(900), 1.0), (Method::AverageRate(3_600), 3_000.0 / 3_600.0)] {
            let line = Line::new(method, &seen, 7_140).expect("two hours");
            assert!((line.level - 860.0).abs() < 1e-9 && (line.fall - fall).abs() < 1e-9, "{method:?} {line:?}");
        }
        let forecast = Line { level: 1_000.0, fall: 1.0 }.forecast(300.0);
        assert_eq!(forecast.p50, Some(Span::from_secs(700)));
        assert_eq!(forecast.probability, [0.0, 1.0, 1.0, 1.0].map(Ratio::new));
    }

    #[test]
    fn names_carry_their_window() {
        let names = Method::BASELINES.map(Method::name);
        assert_eq!(names, ["predict_linear_15m", "predict_linear_1h", "predict_linear_6h", "average_rate_1h"]);
    }
}
