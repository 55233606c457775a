//! What does a method say at every minute of a trace? Streams the samples in time order; nothing later than the question is
//! seen before it is answered.

use super::baseline::{Line, Method};
use super::trace::{Trace, TracePoint};
use super::truth::{Truth, minutes, truth};
use crate::forecast::{Forecast, History, Observation};
use crate::time::{Span, Timestamp};
use crate::units::{Bytes, Inodes, u64_as_f64};

/// A level that is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// `image_gc`, `disk_full`.
    pub name: String,
    /// The part of the size below which it is crossed, 0 to 1.
    pub part: f64,
}

/// A forecast at one minute, with what came of it where it is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// Seconds on the trace's clock.
    pub at: i64,
    /// The forecast; `None` where there was none.
    pub forecast: Option<Forecast>,
    /// Whether this minute is judged: armed, fresh, past the warm-up.
    pub judged: bool,
    /// Seconds to the next event; `None` where none follows.
    pub event_in: Option<i64>,
    /// Seconds to the end of the trace.
    pub rest: i64,
}

/// One trace under one threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// The trace's name.
    pub trace: String,
    /// The threshold's name.
    pub threshold: String,
    /// Every minute.
    pub minutes: Vec<Judged>,
    /// When the threshold was crossed.
    pub events: Vec<i64>,
    /// The last sample's time.
    pub end: i64,
}

impl Threshold {
    /// The two that the traces are scored for: the kubelet's default image GC (85 % used by its own integer arithmetic, so
    /// below 16 % available) and a full disk (below 1 %).
    pub fn standard() -> Vec<Self> {
        [("image_gc", 0.16), ("disk_full", 0.01)].map(|(name, part)| Self { name: name.to_owned(), part }).to_vec()
    }
}

/// Plays one trace through one method.
pub fn play(trace: &Trace, thresholds: &[Threshold], method: Method) -> Vec<Played> {
    let end = trace.points.last().map_or(0, |point| point.at);
    let truths: Vec<Truth> = thresholds.iter().map(|threshold| truth(&trace.points, threshold.part)).collect();
    let mut played: Vec<Played> = thresholds
        .iter()
        .zip(&truths)
        .map(|(threshold, truth)| Played {
            trace: trace.name.clone(),
            threshold: threshold.name.clone(),
            minutes: Vec::new(),
            events: truth.events.clone(),
            end,
        })
        .collect();
    let mut history = History::new();
    let mut seen = 0;
    for minute in minutes(&trace.points) {
        while let Some(point) = trace.points.get(seen).filter(|point| point.at <= minute) {
            if method == Method::Highwater {
                history.observe(observation(point));
            }
            seen += 1;
        }
        let so_far = trace.points.get(..seen).unwrap_or(&[]);
        let answers = answers(method, &history, so_far, thresholds, minute);
        for ((played, truth), forecast) in played.iter_mut().zip(&truths).zip(answers) {
            let next = truth.events.get(truth.events.partition_point(|event| *event <= minute));
            played.minutes.push(Judged {
                at: minute,
                forecast,
                judged: truth.judged.binary_search(&minute).is_ok(),
                event_in: next.map(|event| event - minute),
                rest: end - minute,
            });
        }
    }
    played
}

fn answers(
    method: Method,
    history: &History,
    seen: &[TracePoint],
    thresholds: &[Threshold],
    now: i64,
) -> Vec<Option<Forecast>> {
    let Some(newest) = seen.last() else { return vec![None; thresholds.len()] };
    if method == Method::Highwater {
        let outlook = history.outlook();
        // The first whole number of bytes that is not below the line.
        let below = |part: f64| Bytes::from_f64_saturating((part * u64_as_f64(newest.size)).ceil());
        return thresholds.iter().map(|threshold| outlook.forecast(below(threshold.part))).collect();
    }
    let line = Line::new(method, seen, now);
    thresholds
        .iter()
        .map(|threshold| line.map(|line| line.forecast(threshold.part * u64_as_f64(newest.size))))
        .collect()
}

fn observation(point: &TracePoint) -> Observation {
    Observation {
        at: Timestamp::from_micros(0) + Span::from_secs(point.at),
        capacity: Bytes::new(point.size),
        available: Bytes::new(point.available),
        files: Inodes::new(0),
        files_free: Inodes::new(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(points: usize) -> Trace {
        let level = |i: u64| 60_000_000_000 - (i * 40_000_000) % 50_000_000_000 - (i * 7_919_993) % 90_000_000;
        let points = (0..u64::try_from(points).expect("small"))
            .map(|i| TracePoint {
                at: i64::try_from(i * 15).expect("small"),
                size: 100_000_000_000,
                available: level(i),
            })
            .collect();
        Trace { name: "t".to_owned(), points }
    }

    #[test]
    fn a_shorter_trace_gets_the_same_forecasts_up_to_its_end() {
        let all = play(&trace(1_500), &Threshold::standard(), Method::Highwater);
        for points in [50, 333, 1_203] {
            for (whole, part) in all.iter().zip(play(&trace(points), &Threshold::standard(), Method::Highwater)) {
                assert!(!part.minutes.is_empty());
                for (a, b) in whole.minutes.iter().zip(&part.minutes) {
                    assert_eq!((a.at, a.forecast), (b.at, b.forecast));
                }
            }
        }
    }

    #[test]
    fn an_event_is_counted_down_to() {
        let played = play(&trace(1_500), &Threshold::standard(), Method::PredictLinear(900));
        let image_gc = played.first().expect("two thresholds");
        let event = *image_gc.events.first().expect("falls from 60 % to 10 % and more");
        let before = image_gc.minutes.iter().rev().find(|minute| minute.at < event).expect("minutes before");
        assert_eq!(before.event_in, Some(event - before.at));
    }
}
