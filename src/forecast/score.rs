//! Was an earlier forecast right? The forecasts of one level are kept until time has answered them; only counts stay.
//!
//! Knows neither triggers nor filesystems: the caller keeps one scorer for each level it watches. The rules are those of the
//! alert on the half-hour probability: on at 0.5, off below 0.3; an alarm came true if the crossing followed within an hour.

use super::{Forecast, Horizon};
use crate::time::{Span, Timestamp};
use crate::units::u64_as_f64;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Checks the forecasts of one level; at most 8 KiB, serialized 16 KiB.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scorer {
    pending: VecDeque<Pending>,
    last: Option<Timestamp>,
    /// Since when the level has not been crossed.
    above_since: Option<Timestamp>,
    alarm: Option<Alarm>,
    tally: Tally,
}

/// What has been found out so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Crossings with an alarm on in the hour before them.
    pub hit: u64,
    /// Crossings without.
    pub missed: u64,
    /// Alarms without a crossing within an hour.
    pub false_alarm: u64,
    /// Forecasts answered, for each of [`Horizon::ALL`].
    pub answered: [u64; 4],
    /// Sum of the squared errors of their probabilities, each 0 (right and sure) to 1.
    pub squared_error: [f64; 4],
    /// Forecasts whose crossing time is known, six hours counting as "not within six hours".
    pub timed: u64,
    /// Those with the truth between p10 and p90.
    pub covered: u64,
}

/// A forecast that waits for its answer: what six hours of truth need, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Pending {
    at: Timestamp,
    probability: [f32; 4],
    p10: Option<Span>,
    p90: Option<Span>,
    /// Whether each horizon has been answered.
    answered: [bool; 4],
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Alarm {
    since: Timestamp,
    /// When it went off again; it may come true until an hour after `since`.
    until: Option<Timestamp>,
}

/// Forecasts are taken for checking this far apart: six hours of them are 72.
const EVERY: Span = Span::from_secs(300);
/// A level counts as crossed anew after it has not been crossed for this long.
const REARM: Span = Span::from_secs(600);
const ALARM_HOLDS: Span = Span::from_secs(3_600);
const ON: f64 = 0.5;
const OFF: f64 = 0.3;
const SIX_HOURS: Span = Span::from_secs(21_600);

impl Scorer {
    /// A longer silence leaves open what happened: what is pending is dropped, not guessed. What was found out before stays.
    pub const SILENCE: Span = Span::from_secs(300);

    /// Nothing forecast yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was seen and forecast at `now`; `forecast` is `None` while there is none. Whether the level is crossed is
    /// read off the forecast: [`Forecast::REACHED`].
    pub fn record(&mut self, now: Timestamp, forecast: Option<&Forecast>) {
        let Some(forecast) = forecast else { return };
        if let Some(last) = self.last {
            let step = now.since(last);
            if step > Self::SILENCE || step < Span::ZERO {
                *self = Self { tally: self.tally, ..Self::default() };
            }
        }
        self.last = Some(now);
        if *forecast == Forecast::REACHED {
            if self.above_since.is_some_and(|since| now.since(since) >= REARM) {
                self.crossed(now);
            }
            self.above_since = None;
            return;
        }
        let above_since = *self.above_since.get_or_insert(now);
        self.time_passes(now);
        // Only a level that can be crossed anew is judged.
        if now.since(above_since) >= REARM {
            self.watch_alarm(now, forecast.within(Horizon::HalfHour).get());
            if self.pending.back().is_none_or(|newest| now.since(newest.at) >= EVERY) {
                self.pending.push_back(Pending::new(now, forecast));
            }
        }
    }

    /// What has been found out.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The time of the last forecast it was given; `None`: there was none.
    pub const fn last(&self) -> Option<Timestamp> {
        self.last
    }

    fn crossed(&mut self, now: Timestamp) {
        let alarmed = self.alarm.take().is_some_and(|alarm| now.since(alarm.since) > Span::ZERO);
        if alarmed {
            self.tally.hit += 1;
        } else {
            self.tally.missed += 1;
        }
        for pending in std::mem::take(&mut self.pending) {
            let after = now.since(pending.at);
            for (i, horizon) in Horizon::ALL.iter().enumerate() {
                self.tally.answer(&pending, i, after <= horizon.span());
            }
            self.tally.time(&pending, after);
        }
    }

    fn time_passes(&mut self, now: Timestamp) {
        for pending in &mut self.pending {
            for (i, horizon) in Horizon::ALL.iter().enumerate() {
                if now.since(pending.at) > horizon.span() {
                    self.tally.answer(pending, i, false);
                    if let Some(answered) = pending.answered.get_mut(i) {
                        *answered = true;
                    }
                }
            }
        }
        while let Some(oldest) = self.pending.front().copied().filter(|oldest| now.since(oldest.at) > SIX_HOURS) {
            self.tally.time(&oldest, SIX_HOURS);
            self.pending.pop_front();
        }
    }

    fn watch_alarm(&mut self, now: Timestamp, probability: f64) {
        match &mut self.alarm {
            None if probability >= ON => self.alarm = Some(Alarm { since: now, until: None }),
            None => {}
            Some(alarm) => {
                if alarm.until.is_none() && probability < OFF {
                    alarm.until = Some(now);
                }
                if now.since(alarm.since) > ALARM_HOLDS {
                    self.tally.false_alarm += 1;
                    // One that is still on starts to count anew: a permanent alarm is not free.
                    self.alarm = alarm.until.is_none().then_some(Alarm { since: now, until: None });
                }
            }
        }
    }
}

impl Pending {
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "six digits of a probability are enough"
    )]
    fn new(at: Timestamp, forecast: &Forecast) -> Self {
        Self {
            at,
            probability: forecast.probability.map(|p| p.get() as f32),
            p10: forecast.p10,
            p90: forecast.p90,
            answered: [false; 4],
        }
    }
}

impl Tally {
    /// Mean squared error of the probabilities for a horizon, 0 (best) to 1; `None` before the first answer.
    pub fn brier(&self, horizon: Horizon) -> Option<f64> {
        let i = Horizon::ALL.iter().position(|other| *other == horizon)?;
        share(*self.squared_error.get(i)?, *self.answered.get(i)?)
    }

    /// Share of forecasts with the truth between p10 and p90, wanted 0.8 or more; `None` before the first answer.
    pub fn coverage(&self) -> Option<f64> {
        share(u64_as_f64(self.covered), self.timed)
    }

    /// Adds what another scorer has found out.
    pub fn add(&mut self, other: &Self) {
        let count = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        count(&mut self.hit, other.hit);
        count(&mut self.missed, other.missed);
        count(&mut self.false_alarm, other.false_alarm);
        for (sum, more) in self.answered.iter_mut().zip(other.answered) {
            count(sum, more);
        }
        for (sum, more) in self.squared_error.iter_mut().zip(other.squared_error) {
            *sum += more;
        }
        count(&mut self.timed, other.timed);
        count(&mut self.covered, other.covered);
    }

    fn answer(&mut self, pending: &Pending, i: usize, happened: bool) {
        if pending.answered.get(i) == Some(&false)
            && let (Some(p), Some(count), Some(sum)) =
                (pending.probability.get(i), self.answered.get_mut(i), self.squared_error.get_mut(i))
        {
            *count += 1;
            *sum += (f64::from(*p) - if happened { 1.0 } else { 0.0 }).powi(2);
        }
    }

    fn time(&mut self, pending: &Pending, after: Span) {
        let capped = |quantile: Option<Span>| quantile.map_or(SIX_HOURS, |span| span.min(SIX_HOURS));
        let truth = after.min(SIX_HOURS);
        self.timed += 1;
        self.covered += u64::from(capped(pending.p10) <= truth && truth <= capped(pending.p90));
    }
}

fn share(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / u64_as_f64(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Ratio;

    fn forecast(half_hour: f64) -> Forecast {
        Forecast {
            p10: Some(Span::from_secs(600)),
            p50: Some(Span::from_secs(1_800)),
            p90: Some(Span::from_secs(7_200)),
            probability: [0.0, half_hour, half_hour, 1.0].map(Ratio::new),
        }
    }

    /// Feeds one forecast a minute; minutes from `crossing` on are crossed.
    fn run(minutes: i64, crossing: i64, probability: impl Fn(i64) -> f64) -> Scorer {
        let mut scorer = Scorer::new();
        for minute in 0..minutes {
            let now = Timestamp::from_micros(0) + Span::from_secs(minute * 60);
            let forecast = if minute >= crossing { Forecast::REACHED } else { forecast(probability(minute)) };
            scorer.record(now, Some(&forecast));
        }
        scorer
    }

    fn outcomes(scorer: &Scorer) -> (u64, u64, u64) {
        (scorer.tally.hit, scorer.tally.missed, scorer.tally.false_alarm)
    }

    #[test]
    fn an_alarm_before_the_crossing_is_a_hit() {
        assert_eq!(outcomes(&run(100, 90, |minute| if minute > 60 { 0.8 } else { 0.1 })), (1, 0, 0));
    }

    #[test]
    fn a_crossing_without_alarm_is_missed_and_an_alarm_without_crossing_is_false() {
        assert_eq!(outcomes(&run(100, 90, |_| 0.1)), (0, 1, 0));
        assert_eq!(outcomes(&run(200, 1_000, |minute| if minute == 60 { 0.8 } else { 0.1 })), (0, 0, 1));
    }

    #[test]
    fn an_alarm_that_stays_on_is_false_again_every_hour() {
        assert_eq!(outcomes(&run(10 + 250, 1_000, |_| 0.9)), (0, 0, 4));
    }

    #[test]
    fn a_level_that_hovers_is_crossed_once() {
        let mut scorer = run(91, 90, |_| 0.1);
        for minute in 91..120 {
            let now = Timestamp::from_micros(0) + Span::from_secs(minute * 60);
            let seen = if minute % 3 == 0 { Forecast::REACHED } else { forecast(0.1) };
            scorer.record(now, Some(&seen));
        }
        assert_eq!(outcomes(&scorer), (0, 1, 0));
    }

    #[test]
    fn brier_and_coverage_are_those_of_the_answers() {
        // Forecasts every 5 min from minute 10 to 85, crossing at 90: the half-hour ones from minute 60 on came true (6 of 16),
        // probability 0.5 is off by 0.5 each time.
        let scorer = run(91, 90, |_| 0.5);
        assert_eq!(scorer.tally.brier(Horizon::HalfHour), Some(0.25));
        assert_eq!(scorer.tally.answered, [16, 16, 16, 16]);
        // Covered where 10 to 120 minutes remained: minutes 10 to 80.
        assert_eq!(scorer.tally.coverage(), Some(15.0 / 16.0));
    }

    #[test]
    fn nothing_is_concluded_across_a_gap() {
        let mut scorer = run(60, 1_000, |_| 0.9);
        scorer.record(Timestamp::from_micros(0) + Span::from_secs(60 * 200), Some(&Forecast::REACHED));
        assert_eq!(outcomes(&scorer), (0, 0, 0));
        assert_eq!(scorer.tally.coverage(), None);
    }

    #[test]
    fn days_of_forecasts_stay_within_the_budget() {
        let scorer = run(5_000, 10_000, |_| 0.123_456_7);
        assert_eq!(scorer.pending.len(), 72);
        assert!(serde_json::to_string(&scorer).expect("plain data").len() < 16_384);
    }
}
