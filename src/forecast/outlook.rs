//! Given the past, when is a level reached, and how sure is that? Joins the surfaces (`surface`) with the line (`line`).

use super::drawdown::LADDER;
use super::line::Line;
use super::past::{Past, float};
use super::rate::{RATE_SECONDS, recent_rate, steady_rate};
use super::series::Series;
use super::surface::Surface;
use super::views::EARLIER;
use super::{Forecast, Horizon};
use crate::time::Span;
use crate::units::{Bytes, Inodes, Ratio};

/// What the past of one filesystem says about its future.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    pub(super) bytes: Option<Level>,
    pub(super) inodes: Option<Level>,
}

/// The same for one of its two levels. All amounts are fractions of the capacity.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Level {
    capacity: f64,
    /// Available now, in the unit of the capacity.
    now: f64,
    line: Line,
    /// What the past says now and said in the minutes before, newest first; empty while the past is too short.
    past: Vec<Surface>,
    /// How much of the answer comes from the line alone: 1 at the beginning, 0 once there is a past to learn from.
    cold: f64,
    /// How far the present fill is beyond anything in the past, of which the past can say nothing: 0 where it has seen the
    /// like, 1 from [`WHOLLY_NEW`] on.
    new: f64,
}

/// The parts of the answers of now, a minute ago, and the minute before. Answers in a row even out what a single sample
/// changes, so that an alert flaps less.
const PARTS: [f64; 1 + EARLIER] = [0.6, 0.25, 0.15];
/// A fill this many times as fast as any before is wholly new.
const WHOLLY_NEW: f64 = 2.5;
/// Up to this age in minutes the line alone answers ...
const COLD_MINUTES: f64 = 5.0;
/// ... and from this age on the past alone, but for a steady fill.
const WARM_MINUTES: f64 = 15.0;
const SIX_HOURS: f64 = 21_600.0;
/// Times for which the probability is worked out: 10 s to a day, each 1.25 times the one before, and the ladder.
const FIRST_SECONDS: f64 = 10.0;
const LAST_SECONDS: f64 = 86_400.0;

impl Outlook {
    /// Time until fewer than `below` bytes are available; `below` 0 stands for "none available".
    /// `None` while too little was seen; [`Forecast::REACHED`] where it is so already.
    pub fn forecast(&self, below: Bytes) -> Option<Forecast> {
        self.bytes.as_ref().map(|level| level.forecast(below.as_f64()))
    }

    /// The same for inodes.
    pub fn forecast_inodes(&self, below: Inodes) -> Option<Forecast> {
        self.inodes.as_ref().map(|level| level.forecast(below.as_f64()))
    }
}

impl Level {
    pub(super) fn new(series: &Series) -> Option<Self> {
        let capacity = series.capacity();
        let now = series.last()?.level;
        let near = recent_rate(series.since(RATE_SECONDS))?.scaled(1.0 / capacity);
        let whole = series.since(SIX_HOURS);
        let (oldest, newest) = (whole.first()?, whole.last()?);
        let far = (oldest.level - newest.level) / (newest.at - oldest.at) / capacity;
        let steady = steady_rate(whole).map(|rate| rate.scaled(1.0 / capacity));
        let past = Past::new(series.minutes(), 0)?;
        let age = float(past.len());
        let cold = ((WARM_MINUTES - age) / (WARM_MINUTES - COLD_MINUTES)).clamp(0.0, 1.0);
        let new = (past.novelty().max(1.0).ln() / WHOLLY_NEW.ln()).min(1.0);
        let mut surfaces = Vec::new();
        if cold < 1.0 {
            surfaces.push(Surface::new(&past));
            surfaces.extend(series.earlier());
        }
        Some(Self { capacity, now, line: Line { near, far, steady }, past: surfaces, cold, new })
    }

    fn forecast(&self, below: f64) -> Forecast {
        // "Fewer than 0" cannot happen; the question behind it is when nothing is left.
        let distance = if below > 0.0 { self.now - below } else { self.now };
        if distance < 0.0 || (distance <= 0.0 && below <= 0.0) {
            return Forecast::REACHED;
        }
        let curve = self.curve((distance / self.capacity).max(1e-12), below / self.capacity);
        Forecast {
            p10: curve.quantile(0.1),
            p50: curve.quantile(0.5),
            p90: curve.quantile(0.9),
            probability: Horizon::ALL.map(|horizon| Ratio::new(curve.within(horizon.span().as_secs_f64()))),
        }
    }

    /// What the past says, averaged over the last minutes, each as seen from its own level; all 0 while it is too short.
    fn learned(&self, distance: f64, below: f64) -> [f64; LADDER.len()] {
        let mut learned = [0.0; LADDER.len()];
        let Some(newest) = self.past.first() else { return learned };
        for (ago, part) in PARTS.into_iter().enumerate() {
            // `along` takes a level that was below the line then as one just above it.
            let seen = match self.past.get(ago) {
                Some(surface) if ago > 0 => surface.along(surface.level - below),
                _ => newest.along(distance),
            };
            for (sum, probability) in learned.iter_mut().zip(seen) {
                *sum += part * probability;
            }
        }
        learned
    }

    /// The probability over time for one distance.
    fn curve(&self, distance: f64, below: f64) -> Curve {
        let learned = self.learned(distance, below);
        let new = self.new * self.line.lasts(distance);
        let trust = self.line.trust(distance);
        let mut times = Vec::with_capacity(64);
        let mut time = FIRST_SECONDS;
        while time < LAST_SECONDS {
            times.push(time);
            time *= 1.25;
        }
        times.extend(LADDER.map(|minutes| float(minutes) * 60.0));
        times.push(LAST_SECONDS);
        times.sort_unstable_by(f64::total_cmp);
        let mut highest: f64 = 0.0;
        let points = times
            .into_iter()
            .map(|seconds| {
                let warm = along(&learned, seconds);
                let line = if self.cold + new > 0.0 { self.line.reaches(distance, seconds) } else { 0.0 };
                let steady = if trust > 0.0 { self.line.steady_reaches(distance, seconds) } else { 0.0 };
                let usual = self.cold * line + (1.0 - self.cold) * warm;
                // A line only adds to what the past fears, so that what is nearer is never less likely.
                let feared = usual + new * (line - usual).max(0.0);
                highest = highest.max((feared + trust * (steady - feared).max(0.0)).clamp(0.0, 1.0));
                (seconds, highest)
            })
            .collect();
        Curve { points }
    }
}

/// The learned probability at any time: linear in log time along the ladder, 0 at 15 s, level beyond six hours.
fn along(ladder: &[f64; LADDER.len()], seconds: f64) -> f64 {
    const START: f64 = 15.0;
    let (mut t0, mut p0) = (START, 0.0);
    for (minutes, p1) in LADDER.iter().zip(ladder) {
        let t1 = float(*minutes) * 60.0;
        if seconds <= t1 {
            return p0 + ((seconds / t0).ln() / (t1 / t0).ln()).clamp(0.0, 1.0) * (p1 - p0);
        }
        (t0, p0) = (t1, *p1);
    }
    p0
}

/// Probability of the crossing by time: seconds and probability, both rising.
struct Curve {
    points: Vec<(f64, f64)>,
}

impl Curve {
    fn within(&self, seconds: f64) -> f64 {
        let known = self.points.partition_point(|(time, _)| *time <= seconds);
        known.checked_sub(1).and_then(|i| self.points.get(i)).map_or(0.0, |(_, p)| *p)
    }

    fn quantile(&self, probability: f64) -> Option<Span> {
        let next = self.points.partition_point(|(_, p)| *p < probability);
        let (t1, p1) = self.points.get(next)?;
        let (t0, p0) = next.checked_sub(1).and_then(|i| self.points.get(i)).unwrap_or(&(1.0, 0.0));
        let part = ((probability - p0) / (p1 - p0)).clamp(0.0, 1.0);
        Some(Span::from_secs_f64(t0 * (t1 / t0).powf(part)))
    }
}
