//! How good were they? The figures of the traces' own scorer, with its definitions.

use super::play::{Judged, Played};
use super::truth::MAX_AGE;
use crate::forecast::Horizon;
use crate::time::Span;
use crate::units::u64_as_f64;
use serde::Serialize;

/// The figures of one block of judged minutes. `None` where there is nothing to divide by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// Judged minutes.
    pub n_eval: u64,
    /// The same in days.
    pub days: f64,
    /// Crossings.
    pub n_events: u64,
    /// Judged minutes without a forecast; they count as "not predicted".
    pub missing: u64,
    /// The alert on the half-hour probability.
    pub imminent: AlertScores,
    /// The alert on the one-hour probability.
    pub early: AlertScores,
    /// Median of |log10(p50 / actual)| where an event follows within six hours; 0.3 is a factor of two.
    pub p50_abs_log10_error: Option<f64>,
    /// Share of judged minutes with the truth between p10 and p90, all capped at six hours.
    pub coverage_all: Option<f64>,
    /// The same where an event follows within six hours.
    pub coverage_when_crossing: Option<f64>,
    /// Mean pinball loss of the three quantiles on log10 seconds; lower is better.
    pub pinball_log10: Option<f64>,
    /// Mean squared error of the probabilities within 10 min, 30 min, 1 h, 6 h.
    pub brier: [Option<f64>; 4],
    /// 1 - brier / (brier of always quoting the average frequency).
    pub skill: [Option<f64>; 4],
    /// 0 to 100: 40 mean skill + 25 f1 imminent + 15 f1 early + 10 coverage + 10 timing.
    pub score: f64,
}

/// An alert with hysteresis: on at 0.5, off below 0.3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AlertScores {
    /// Share of events with the alert on between twice the horizon and the wanted lead before.
    pub recall: Option<f64>,
    /// Share of alarms followed by an event within twice the horizon.
    pub precision: Option<f64>,
    /// Their harmonic mean.
    pub f1: f64,
    /// Alarms that did not come true, for each judged day.
    pub false_per_day: Option<f64>,
    /// Changes of the alert, for each judged day.
    pub flaps_per_day: Option<f64>,
}

/// Counts behind [`AlertScores`].
#[derive(Default)]
struct Counts {
    eligible: u64,
    hit: u64,
    came_true: u64,
    false_alarms: u64,
    flaps: u64,
}

const CAP: f64 = 21_600.0;
const FLOOR: f64 = 15.0;

/// Scores any number of played traces and thresholds together.
pub fn score<'a>(played: impl IntoIterator<Item = &'a Played>) -> Scores {
    let mut judged = Vec::new();
    let (mut imminent, mut early) = (Counts::default(), Counts::default());
    let mut n_events = 0;
    for one in played {
        let minutes: Vec<Judged> = one.minutes.iter().filter(|minute| minute.judged).copied().collect();
        imminent.add(one, &minutes, Horizon::HalfHour, 600);
        early.add(one, &minutes, Horizon::Hour, 1_800);
        n_events += count(one.events.len());
        judged.extend(minutes);
    }
    let n_eval = count(judged.len());
    let days = u64_as_f64(n_eval) * 60.0 / 86_400.0;
    let timing = Timing::new(&judged);
    let quality = Horizon::ALL.map(|horizon| quality(&judged, horizon));
    let mut scores = Scores {
        n_eval,
        days,
        n_events,
        missing: count(judged.iter().filter(|minute| minute.forecast.is_none()).count()),
        imminent: imminent.scores(days),
        early: early.scores(days),
        p50_abs_log10_error: timing.p50_error,
        coverage_all: timing.coverage,
        coverage_when_crossing: timing.coverage_when_crossing,
        pinball_log10: timing.pinball,
        brier: quality.map(|(brier, _)| brier),
        skill: quality.map(|(_, skill)| skill),
        score: 0.0,
    };
    scores.score = summary(&scores);
    scores
}

fn summary(scores: &Scores) -> f64 {
    let known: Vec<f64> = scores.skill.iter().copied().flatten().collect();
    let skill = ratio(known.iter().sum(), u64_as_f64(count(known.len()))).unwrap_or(0.0).clamp(-1.0, 1.0);
    let coverage = scores.coverage_all.unwrap_or(0.0);
    let timing = scores.p50_abs_log10_error.unwrap_or(1.0).min(1.0);
    40.0 * skill
        + 25.0 * scores.imminent.f1
        + 15.0 * scores.early.f1
        + 10.0 * (1.0 - (coverage - 0.8).abs() / 0.8)
        + 10.0 * (1.0 - timing)
}

impl Counts {
    fn add(&mut self, played: &Played, minutes: &[Judged], horizon: Horizon, lead: i64) {
        const ON: f64 = 0.5;
        const OFF: f64 = 0.3;
        let hold = horizon.span().micros() / 1_000_000;
        let mut on = false;
        let mut states: Vec<(i64, bool)> = Vec::with_capacity(minutes.len());
        let mut started: Option<i64> = None;
        for minute in minutes {
            let before = states.last().copied();
            let broken = before.is_some_and(|(at, _)| minute.at - at > MAX_AGE);
            let probability = minute.forecast.map_or(0.0, |forecast| forecast.within(horizon).get());
            on = probability >= if on && !broken { OFF } else { ON };
            self.flaps += u64::from(!broken && before.is_some_and(|(_, was)| was != on));
            states.push((minute.at, on));
            if !on {
                started = None;
            } else if broken || started.is_none_or(|start| minute.at - start >= hold) {
                started = Some(minute.at);
                let next = played.events.get(played.events.partition_point(|event| *event <= minute.at));
                if next.is_some_and(|event| *event <= minute.at + 2 * hold) {
                    self.came_true += 1;
                } else if minute.at + 2 * hold <= played.end {
                    self.false_alarms += 1;
                }
            }
        }
        for event in &played.events {
            let from = states.partition_point(|(at, _)| *at < event - 2 * hold);
            let to = states.partition_point(|(at, _)| *at <= event - lead);
            if let Some(window) = states.get(from..to).filter(|window| !window.is_empty()) {
                self.eligible += 1;
                self.hit += u64::from(window.iter().any(|(_, on)| *on));
            }
        }
    }

    fn scores(&self, days: f64) -> AlertScores {
        let share = |part: u64, all: u64| ratio(u64_as_f64(part), u64_as_f64(all));
        let recall = share(self.hit, self.eligible);
        let precision = share(self.came_true, self.came_true + self.false_alarms);
        let f1 = match (recall, precision) {
            (Some(recall), Some(precision)) if recall > 0.0 && precision > 0.0 => {
                2.0 * recall * precision / (recall + precision)
            }
            _ => 0.0,
        };
        AlertScores {
            recall,
            precision,
            f1,
            false_per_day: ratio(u64_as_f64(self.false_alarms), days),
            flaps_per_day: ratio(u64_as_f64(self.flaps), days),
        }
    }
}

/// The figures that compare quantiles with the truth; the last six hours of a trace are left out.
struct Timing {
    p50_error: Option<f64>,
    coverage: Option<f64>,
    coverage_when_crossing: Option<f64>,
    pinball: Option<f64>,
}

impl Timing {
    fn new(judged: &[Judged]) -> Self {
        let capped = |seconds: f64| seconds.clamp(FLOOR, CAP);
        let quantile = |span: Option<Span>| span.map_or(CAP, |span| capped(span.as_secs_f64()));
        let (mut n, mut covered, mut crossing, mut covered_crossing, mut pinball) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let mut errors = Vec::new();
        for minute in judged.iter().filter(|minute| seconds(minute.rest) >= CAP) {
            let truth = minute.event_in.map_or(CAP, |event| capped(seconds(event)));
            let forecast = minute.forecast;
            let [p10, p50, p90] = [
                quantile(forecast.and_then(|f| f.p10)),
                quantile(forecast.and_then(|f| f.p50)),
                quantile(forecast.and_then(|f| f.p90)),
            ];
            let inside = if p10 <= truth && truth <= p90 { 1.0 } else { 0.0 };
            n += 1.0;
            covered += inside;
            for (alpha, quantile) in [(0.1, p10), (0.5, p50), (0.9, p90)] {
                let off = (truth / quantile).log10();
                pinball += f64::max(alpha * off, (alpha - 1.0) * off) / 3.0;
            }
            if truth < CAP {
                crossing += 1.0;
                covered_crossing += inside;
                errors.push((p50 / truth).log10().abs());
            }
        }
        errors.sort_unstable_by(f64::total_cmp);
        Self {
            p50_error: median(&errors),
            coverage: ratio(covered, n),
            coverage_when_crossing: ratio(covered_crossing, crossing),
            pinball: ratio(pinball, n),
        }
    }
}

/// Brier score and skill for a horizon; minutes nearer to the end of the trace than the horizon are left out.
fn quality(judged: &[Judged], horizon: Horizon) -> (Option<f64>, Option<f64>) {
    let length = horizon.span().as_secs_f64();
    let (mut n, mut happened, mut squares) = (0.0, 0.0, 0.0);
    for minute in judged.iter().filter(|minute| seconds(minute.rest) >= length) {
        let truth = if minute.event_in.is_some_and(|event| seconds(event) <= length) { 1.0 } else { 0.0 };
        n += 1.0;
        happened += truth;
        squares += (minute.forecast.map_or(0.0, |forecast| forecast.within(horizon).get()) - truth).powi(2);
    }
    let brier = ratio(squares, n);
    let base = ratio(happened, n).unwrap_or(0.0);
    (brier, brier.and_then(|brier| ratio(brier, base * (1.0 - base))).map(|part| 1.0 - part))
}

fn median(sorted: &[f64]) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(f64::midpoint(*sorted.get(last / 2)?, *sorted.get(last.div_ceil(2))?))
}

fn ratio(part: f64, all: f64) -> Option<f64> {
    (all > 0.0).then(|| part / all)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn seconds(whole: i64) -> f64 {
    Span::from_secs(whole).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::super::truth::STEP;
    use super::*;
    use crate::forecast::Forecast;
    use crate::units::Ratio;

    /// One threshold over eight hours, crossed at the end of the second hour; `probability` at each minute for all horizons.
    fn played(probability: impl Fn(i64) -> f64) -> Played {
        let (event, end) = (7_200, 36_000);
        let minutes = (15..120).map(|minute| {
            let at = minute * STEP;
            let event_in = event - at;
            let exact = Some(Span::from_secs(event_in));
            let forecast =
                Forecast { p10: exact, p50: exact, p90: exact, probability: [Ratio::new(probability(event_in)); 4] };
            Judged { at, forecast: Some(forecast), judged: true, event_in: Some(event_in), rest: end - at }
        });
        Played {
            trace: "t".to_owned(),
            threshold: "image_gc".to_owned(),
            minutes: minutes.collect(),
            events: vec![event],
            end,
        }
    }

    #[test]
    fn a_perfect_alert_has_full_recall_and_precision() {
        let scores = score([&played(|event_in| if event_in <= 1_800 { 1.0 } else { 0.0 })]);
        assert_eq!(
            (scores.imminent.recall, scores.imminent.precision, scores.imminent.f1),
            (Some(1.0), Some(1.0), 1.0)
        );
        assert_eq!(scores.brier[1], Some(0.0));
        assert_eq!((scores.p50_abs_log10_error, scores.coverage_all), (Some(0.0), Some(1.0)));
        assert_eq!((scores.n_eval, scores.n_events, scores.missing), (105, 1, 0));
    }

    #[test]
    fn an_alert_that_is_always_on_pays_with_precision() {
        // On from 6,300 s before the event: alarms count there and every 1,800 s; the last two of four come true.
        let scores = score([&played(|_| 0.9)]);
        assert_eq!((scores.imminent.recall, scores.imminent.precision), (Some(1.0), Some(0.5)));
    }

    #[test]
    fn silence_is_no_alarm() {
        let scores = score([&played(|_| 0.0)]);
        assert_eq!((scores.imminent.recall, scores.imminent.precision, scores.imminent.f1), (Some(0.0), None, 0.0));
        assert_eq!(scores.imminent.flaps_per_day, Some(0.0));
    }

    #[test]
    fn hysteresis_counts_flaps() {
        let course = [0.0, 0.6, 0.4, 0.29, 0.4, 0.5, 0.31, 0.2, 0.9];
        let scores = score([&played(|event_in| {
            usize::try_from((6_300 - event_in) / 60).ok().and_then(|i| course.get(i)).copied().unwrap_or(0.9)
        })]);
        let flaps = scores.imminent.flaps_per_day.expect("judged") * scores.days;
        assert!((flaps - 5.0).abs() < 1e-9, "{flaps}");
    }

    #[test]
    fn nothing_judged_is_nothing_claimed() {
        let scores = score([]);
        assert_eq!((scores.coverage_all, scores.imminent.recall, scores.skill), (None, None, [None; 4]));
    }
}
