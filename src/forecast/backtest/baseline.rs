//! What would today's alerts say? Straight lines through the last minutes, without any uncertainty.
//!
//! `predict_linear` is Prometheus's least-squares line over a window; the average rate is Netdata's disk-fill estimate.

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
    /// The net change over so many seconds.
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

/// The bytes lost each second according to a baseline, from the samples so far; `None` with fewer than two in the window.
pub(super) fn fall_rate(method: Method, seen: &[TracePoint]) -> Option<f64> {
    let newest = seen.last()?;
    let (Method::PredictLinear(seconds) | Method::AverageRate(seconds)) = method else { return None };
    let window = seen.get(seen.partition_point(|point| point.at < newest.at - seconds)..)?;
    let oldest = window.first()?;
    let time = |point: &TracePoint| Span::from_secs(point.at - oldest.at).as_secs_f64();
    if newest.at <= oldest.at {
        return None;
    }
    if let Method::AverageRate(_) = method {
        return Some((u64_as_f64(oldest.available) - u64_as_f64(newest.available)) / time(newest));
    }
    let (mut n, mut sx, mut sy, mut sxx, mut sxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for point in window {
        let (x, y) = (time(point), u64_as_f64(point.available));
        n += 1.0;
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
    }
    Some(-(n * sxy - sx * sy) / (n * sxx - sx * sx))
}

/// A point forecast: probability 0 or 1, all quantiles alike.
pub(super) fn forecast(rate: Option<f64>, distance: f64) -> Forecast {
    let seconds = rate.filter(|rate| *rate > 0.0).map(|rate| distance.max(0.0) / rate);
    let when = seconds.map(Span::from_secs_f64);
    let within = |horizon: Horizon| seconds.is_some_and(|seconds| seconds <= horizon.span().as_secs_f64());
    Forecast {
        p10: when,
        p50: when,
        p90: when,
        probability: Horizon::ALL.map(|horizon| Ratio::new(if within(horizon) { 1.0 } else { 0.0 })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_followed() {
        let seen = (0..10).map(|i| TracePoint {
            at: i * 60,
            size: 1_000,
            available: 900 - u64::try_from(i).expect("small") * 60,
        });
        let seen: Vec<_> = seen.collect();
        for method in Method::BASELINES {
            let rate = fall_rate(method, &seen).expect("ten samples");
            assert!((rate - 1.0).abs() < 1e-9, "{method:?} {rate}");
        }
        let forecast = forecast(Some(1.0), 700.0);
        assert_eq!(forecast.p50, Some(Span::from_secs(700)));
        assert_eq!(forecast.probability, [0.0, 1.0, 1.0, 1.0].map(Ratio::new));
    }

    #[test]
    fn names_carry_their_window() {
        let names = Method::BASELINES.map(Method::name);
        assert_eq!(names, ["predict_linear_15m", "predict_linear_1h", "predict_linear_6h", "average_rate_1h"]);
    }
}
